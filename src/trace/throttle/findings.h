// SPDX-License-Identifier: Apache-2.0
//
// Dependencies that no call shows, found by holding threads up (Mesnier et al., //TRACE, FAST '07: who stops while a
// thread is held waits for it). A hold is finite, and the places of a loop are asked in different turns of it, so one
// run is enough; what holds in the asked turns is taken to hold in all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reel/trace.h"
#include "trace/throttle/prober.h"

namespace reel::trace {

// For i below `count`: call from + i * from_step of thread `from_thread` is over before call to + i * to_step of
// `to_thread` begins. Calls are counted as ThreadCalls does.
struct Series {
  uint32_t from_thread = 0, to_thread = 0;
  uint64_t from = 0, from_step = 0, to = 0, to_step = 0, count = 0;
};

struct Findings {
  std::vector<Series> series;
  size_t holds = 0;
  size_t places = 0, asked = 0;  // of all loops' calls: how many there are, how many were held up often enough
};

// How to throttle a program that was recorded as `plain`. invalid: no thread has a loop, or there is one thread only.
Result<Probes> plan_probes(const Trace& plain);

// invalid: the program did not do the same in both runs.
Result<Findings> find_dependencies(const Trace& plain, const Trace& throttled);

// In a trace: docs/trace-format.md, `found`.
Status write_findings(Writer& writer, const Findings& findings);
std::vector<Series> found_series(const Trace& trace);

}  // namespace reel::trace

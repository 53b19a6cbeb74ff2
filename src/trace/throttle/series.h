// SPDX-License-Identifier: Apache-2.0
//
// What throttling found, as a trace carries it: docs/trace-format.md, `found`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reel/trace.h"

namespace reel::trace {

// For i below `count`: call from + i * from_step of thread `from_thread` is over before call to + i * to_step of
// `to_thread` begins. Calls are counted as ThreadCalls does.
struct Series {
  uint32_t from_thread = 0, to_thread = 0;
  uint64_t from = 0, from_step = 0, to = 0, to_step = 0, count = 0;
};

// The facts that say it.
std::map<std::string, std::string> facts_of(const std::vector<Series>& all);
Status write_series(Writer& writer, const std::vector<Series>& all);
std::vector<Series> found_series(const Trace& trace);

}  // namespace reel::trace

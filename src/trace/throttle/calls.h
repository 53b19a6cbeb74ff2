// SPDX-License-Identifier: Apache-2.0
//
// The calls of a program's threads, so that two recordings of it can be laid side by side. A thread is known by who
// made it: "1.2.1" is the first that the second made by the first thread made; a rank of MPI by its number.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "reel/trace.h"
#include "trace/ops.h"

namespace reel::trace {

struct ThreadCalls {
  uint32_t thread = 0;
  std::vector<uint32_t> calls;  // indexes into Trace::events, of is_call
};

// By the name above.
std::map<std::string, ThreadCalls> calls_of(const Trace& trace);

// Whether it is a call that every recorder sees: what `found.N` counts.
inline bool is_call(const Event& event) {
  return event.op != Op::compute && event.op != Op::held && event.op != Op::mpi_done &&
         family_of(event.op) != Family::memory;
}

// From the end of the call before to the beginning of this one, nanoseconds. call > 0.
uint64_t gap_before(const Trace& trace, const std::vector<uint32_t>& calls, size_t call);

// Whether a program made the same calls in two runs; looking at names, places and lengths. invalid: it did not; the
// text says where they part.
Status same_calls(const Trace& a, const std::map<std::string, ThreadCalls>& calls_a, const Trace& b,
                  const std::map<std::string, ThreadCalls>& calls_b);

}  // namespace reel::trace

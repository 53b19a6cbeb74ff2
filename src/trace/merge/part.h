// SPDX-License-Identifier: Apache-2.0
//
// One of the traces that are merged: its rank, its machine, its clock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reel/trace.h"
#include "trace/merge/clocks.h"

namespace reel::trace {

struct Part {
  std::string log;
  Trace trace;
  int64_t rank = -1;                 // -1: MPI did not begin in it
  std::string machine;               // what has one clock and one set of file systems
  uint64_t ahead = 0;                // nanoseconds its times are ahead of its monotonic clock
  std::vector<ClockSample> samples;  // against rank 0's
};

// What a trace tells about these.
Part part_of(const std::string& log, Trace trace);

}  // namespace reel::trace

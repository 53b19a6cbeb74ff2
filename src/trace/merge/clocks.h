// SPDX-License-Identifier: Apache-2.0
//
// The clocks of the parts of a merged trace: from one part's monotonic clock to another's, and what messages between
// the parts say against it. Pure; nanoseconds throughout.
#pragma once

#include <cstdint>
#include <vector>

namespace reel::trace {

// Both clocks at one moment, give or take `error`.
struct ClockSample {
  uint64_t here = 0, there = 0, error = 0;
};

// The moment `here` by the other clock: offset and drift of the first and the last sample; of one sample, the offset
// alone; of none, the same.
uint64_t to_other_clock(const std::vector<ClockSample>& samples, uint64_t here);

// A message: sent not before `sent` by the clock of part `from`, received not after `received` by that of part `to`.
struct Crossing {
  uint32_t from = 0, to = 0;
  uint64_t sent = 0, received = 0;
};

struct Shifts {
  std::vector<int64_t> by_part;  // to be added to its times
  uint64_t broken = 0;           // messages that are received before they are sent all the same
};

// The least shifts by which each message is received after it was sent; part `fixed` keeps its times.
Shifts shifts_for(uint32_t parts, uint32_t fixed, const std::vector<Crossing>& crossings);

}  // namespace reel::trace

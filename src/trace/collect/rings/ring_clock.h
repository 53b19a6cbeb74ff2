// SPDX-License-Identifier: Apache-2.0
//
// Turns the ticks of ring events (trace/wire.h) into time. The collector looks at both clocks each
// time it collects; between two looks the line through them holds. One thread.
#pragma once

#include <deque>

#include "trace/wire.h"

namespace reel::trace {

uint64_t monotonic_now();  // nanoseconds

class RingClock {
 public:
  // Which clock a new recording uses, and its rate; takes a millisecond. `may_count` false: the
  // kernel's, always.
  static void choose(wire::Control& control, bool may_count = true);

  // `control` outlives the clock; what it knows of a recording that was cut off is used.
  explicit RingClock(wire::Control& control);
  void look();
  // CLOCK_MONOTONIC in nanoseconds. Never runs backwards, for ticks before the last look().
  uint64_t to_monotonic(uint64_t ticks) const;

 private:
  wire::Control& control_;
  std::deque<wire::ClockPair> pairs_;  // rising
};

}  // namespace reel::trace

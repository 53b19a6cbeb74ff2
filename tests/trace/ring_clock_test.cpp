// SPDX-License-Identifier: Apache-2.0
//
// Ticks become times that never run backwards, and are right to what a look at two clocks can tell.
#include "trace/collect/rings/ring_clock.h"

#include <gtest/gtest.h>
#include <x86intrin.h>

#include <vector>

namespace reel::trace {
namespace {

TEST(RingClock, TheKernelsClockNeedsNoChange) {
  wire::Control control{};
  RingClock::choose(control, false);
  EXPECT_EQ(control.clock, wire::kMonotonic);
  RingClock clock(control);
  clock.look();
  EXPECT_EQ(clock.to_monotonic(12345), 12345u);
}

TEST(RingClock, TheCounterGivesTheKernelsTimeAndNeverRunsBackwards) {
  wire::Control control{};
  RingClock::choose(control);
  if (control.clock != wire::kCounter) GTEST_SKIP() << "the kernel does not keep time by the counter here";
  RingClock clock(control);
  struct Moment {
    uint64_t before, ticks, after;
  };
  std::vector<Moment> moments;
  for (int look = 0; look < 10000; ++look) {  // more than are kept
    for (int i = 0; i < 3; ++i) {
      Moment moment{};
      moment.before = monotonic_now();
      moment.ticks = __rdtsc();
      moment.after = monotonic_now();
      moments.push_back(moment);
    }
    clock.look();
  }
  uint64_t last = 0;
  for (const Moment& moment : moments) {
    uint64_t ns = clock.to_monotonic(moment.ticks);
    EXPECT_GE(ns, last);
    EXPECT_GE(ns + 2000, moment.before);
    EXPECT_LE(ns, moment.after + 2000);
    last = ns;
  }
}

// Made up: a counter of 2.5 GHz whose kernel clock is bent, as it is when it is being set right.
TEST(RingClock, BetweenLooksTheLineHolds) {
  wire::Control control{};
  control.clock = wire::kCounter;
  control.pairs[0] = {1000, 400};
  control.pairs[1] = {3500, 1400};
  RingClock clock(control);
  EXPECT_EQ(clock.to_monotonic(2250), 900u);
  EXPECT_EQ(clock.to_monotonic(1000), 400u);
  EXPECT_EQ(clock.to_monotonic(3500), 1400u);
  EXPECT_EQ(clock.to_monotonic(6000), 2400u) << "behind the last look: as between the last two";
  EXPECT_EQ(clock.to_monotonic(750), 300u) << "before the first";
}

}  // namespace
}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Clocks of merged traces, simulated: machines with an offset and a drift, messages between them.
#include "trace/merge/clocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace reel::trace {
namespace {

struct Machine {
  int64_t offset;
  double rate;
  uint64_t clock(uint64_t true_ns) const {
    return static_cast<uint64_t>(static_cast<int64_t>(static_cast<double>(true_ns) * rate) + offset);
  }
};

TEST(MergedClocks, OffsetAndDriftAreTakenOut) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int run = 0; run < 200; ++run) {
    Machine here{static_cast<int64_t>(random() % 1'000'000'000'000), 1 + static_cast<double>(random() % 200) * 1e-6};
    Machine there{static_cast<int64_t>(random() % 1'000'000'000'000), 1};
    uint64_t begin = 1'000'000'000, end = begin + 3'600'000'000'000, error = 2000;
    auto sample = [&](uint64_t at) {
      return ClockSample{here.clock(at), there.clock(at + random() % (2 * error) - error), error};
    };
    std::vector<ClockSample> samples = {sample(begin), sample(end)};
    for (int i = 0; i < 50; ++i) {
      uint64_t at = begin + random() % (end - begin);
      auto off = static_cast<int64_t>(to_other_clock(samples, here.clock(at)) - there.clock(at));
      EXPECT_LE(std::abs(off), static_cast<int64_t>(error) + 100);
    }
  }
}

TEST(MergedClocks, OneSampleIsAnOffset) {
  EXPECT_EQ(to_other_clock({{100, 1100, 0}}, 250), 1250u);
  EXPECT_EQ(to_other_clock({{1100, 100, 0}}, 1050), 50u);
  EXPECT_EQ(to_other_clock({}, 7), 7u);
}

TEST(MergedClocks, MessagesBoundWhatSamplesLeave) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int run = 0; run < 100; ++run) {
    uint32_t parts = 2 + static_cast<uint32_t>(random() % 4);
    std::vector<int64_t> wrong(parts);
    for (uint32_t i = 1; i < parts; ++i) wrong[i] = static_cast<int64_t>(random() % 20'000) - 10'000;
    std::vector<Crossing> crossings;
    for (int i = 0; i < 400; ++i) {
      auto from = static_cast<uint32_t>(random() % parts), to = static_cast<uint32_t>(random() % parts);
      if (from == to) continue;
      uint64_t at = 1'000'000 + random() % 1'000'000'000;
      crossings.push_back({from, to, at + static_cast<uint64_t>(wrong[from]),
                           at + 500 + random() % 3000 + static_cast<uint64_t>(wrong[to])});
    }
    Shifts shifts = shifts_for(parts, 0, crossings);
    EXPECT_EQ(shifts.by_part[0], 0);
    EXPECT_EQ(shifts.broken, 0u);
  }
}

TEST(MergedClocks, WhatCannotBeIsCounted) {
  // A to B and back in less than no time.
  Shifts shifts = shifts_for(2, 0, {{0, 1, 1000, 500}, {1, 0, 1000, 500}});
  EXPECT_GT(shifts.broken, 0u);
}

TEST(MergedClocks, NothingMovesWithoutNeed) {
  Shifts shifts = shifts_for(2, 0, {{0, 1, 1000, 1500}, {1, 0, 2000, 2500}});
  EXPECT_EQ(shifts.by_part[1], 0);
  EXPECT_EQ(shifts.broken, 0u);
}

}  // namespace
}  // namespace reel::trace

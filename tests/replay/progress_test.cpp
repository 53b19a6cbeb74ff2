// SPDX-License-Identifier: Apache-2.0
//
// Waiting for counts: nobody goes on too early, and nobody sleeps through.
#include "replay/play/progress.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace reel::replay {
namespace {

// Each thread goes on when the one before it has come as far, and now and then when another is some way ahead of where
// it was. A wake that is lost costs the 200 ms after which sleepers look again.
TEST(Progress, NobodySleepsThroughWhatItWaitsFor) {
  constexpr uint32_t kThreads = 5, kSteps = 20'000;
  std::vector<Progress> progress(kThreads);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> early{0};
  uint64_t begin = now_ns();
  auto play = [&](uint32_t me) {
    std::mt19937 random(me + 1);
    uint32_t before = (me + kThreads - 1) % kThreads;
    for (uint32_t step = 1; step <= kSteps; ++step) {
      uint32_t wanted = me == 0 ? step - 1 : step;
      progress[before].wait_for(wanted, random() % 4 == 0 ? 20'000 : 0, stop);
      if (progress[before].count() < wanted) early.fetch_add(1);
      auto other = static_cast<uint32_t>(random() % kThreads), back = static_cast<uint32_t>(1 + random() % 3);
      if (other != me && step > 3) progress[other].wait_for(step - back, 0, stop);
      progress[me].set(step, true);
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; ++i) threads.emplace_back(play, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(early.load(), 0u);
  // 200 naps would be 40 s; a step takes some 20 us.
  EXPECT_LT(now_ns() - begin, 40'000'000'000u);
}

// Sleepers with different wishes, those that want most first: each is woken for its own.
TEST(Progress, WhoWantsMoreIsWokenLater) {
  constexpr uint32_t kSleepers = 6, kRounds = 200;
  std::atomic<bool> stop{false};
  uint64_t begin = now_ns();
  for (uint32_t round = 0; round < kRounds; ++round) {
    Progress count;
    std::vector<std::thread> sleepers;
    for (uint32_t i = kSleepers; i > 0; --i) {
      sleepers.emplace_back([&count, &stop, i] {
        count.wait_for(i, 0, stop);
        EXPECT_GE(count.count(), i);
      });
    }
    spin_until(now_ns() + 100'000, stop);  // most of them are asleep by then
    for (; !sleepers.empty(); sleepers.pop_back()) {
      count.add(1);
      sleepers.back().join();
    }
  }
  EXPECT_LT(now_ns() - begin, 10'000'000'000u);
}

TEST(Progress, WhoIsToldToStopDoesNotWait) {
  std::atomic<bool> stop{false};
  Progress count;
  std::thread sleeper([&] { count.wait_for(1, 0, stop); });
  stop = true;
  count.wake_all();
  sleeper.join();
  EXPECT_EQ(count.count(), 0u);
}

}  // namespace
}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Computing as long as was computed.
#include "replay/play/pacing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace reel::replay {
namespace {

template <class Work>
uint64_t median_ns(Work work) {
  std::vector<uint64_t> took(501);
  for (uint64_t& one : took) {
    uint64_t begin = now_ns();
    work();
    one = now_ns() - begin;
  }
  std::sort(took.begin(), took.end());
  return took[took.size() / 2];
}

// Calls that follow each other closely would else take as long as it takes to ask how long they took.
TEST(Pacing, AShortBurnDoesNotWaitForTheThreadsClock) {
  std::atomic<bool> stop{false};
  uint64_t clock = median_ns([] { nanoseconds_of(CLOCK_THREAD_CPUTIME_ID); });
  uint64_t burnt = median_ns([&] { burn(200, stop); });
  EXPECT_GE(burnt, 200u);
  EXPECT_LT(burnt, 400 + clock);
}

// On a processor that others want, too, it is this thread's time that counts.
TEST(Pacing, ALongBurnUsesSoMuchOfTheProcessor) {
  std::atomic<bool> stop{false}, over{false};
  std::vector<std::thread> others;
  for (unsigned i = 0; i < 2 * std::thread::hardware_concurrency(); ++i) {
    others.emplace_back([&] {
      while (!over) {
      }
    });
  }
  constexpr uint64_t kWanted = 20'000'000, kUnbroken = 20'000;
  uint64_t begin = nanoseconds_of(CLOCK_THREAD_CPUTIME_ID);
  burn(kWanted, stop);
  uint64_t used = nanoseconds_of(CLOCK_THREAD_CPUTIME_ID) - begin;
  over = true;
  for (std::thread& other : others) other.join();
  EXPECT_GE(used + kUnbroken, kWanted);
}

TEST(Pacing, ABurnThatIsStoppedEnds) {
  std::atomic<bool> stop{true};
  uint64_t begin = nanoseconds_of(CLOCK_THREAD_CPUTIME_ID);
  burn(3'600'000'000'000, stop);
  EXPECT_LT(nanoseconds_of(CLOCK_THREAD_CPUTIME_ID) - begin, 1'000'000'000u);
}

}  // namespace
}  // namespace reel::replay

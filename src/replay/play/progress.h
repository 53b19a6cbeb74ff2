// SPDX-License-Identifier: Apache-2.0
//
// Counts that threads wait for, of this process or another: how far another is, how many have come to a meeting.
#pragma once

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "replay/play/pacing.h"

namespace reel::replay {

// Only rises. Any thread waits; set() is one thread's, add() anybody's. Begins as zeros.
class Progress {
 public:
  uint32_t count() const { return count_.load(std::memory_order_acquire); }
  void set(uint32_t count, bool wake) {
    count_.store(count, wake ? std::memory_order_seq_cst : std::memory_order_release);
    if (wake) wake_if_wanted(count);
  }
  void add(uint32_t how_many) { wake_if_wanted(count_.fetch_add(how_many) + how_many); }
  void wake_all() {
    soonest_.store(0);
    wakes_.fetch_add(1);
    ::syscall(SYS_futex, &wakes_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
  // Until it is `wanted`, or `stop`. To be woken takes a processor that had nothing to do tens of microseconds; who
  // polls looks for so many nanoseconds before it sleeps, and gives way to those who have something to do.
  void wait_for(uint32_t wanted, uint64_t poll, const std::atomic<bool>& stop) {
    for (int i = 0; i < kSpins; ++i)
      if (count() >= wanted) return;
    for (uint64_t begin = now_ns(); now_ns() - begin < poll && !stop.load(std::memory_order_relaxed); ::sched_yield())
      if (count() >= wanted) return;
    for (;;) {
      uint32_t wakes = wakes_.load();
      want(wanted);
      if (count_.load() >= wanted || stop.load(std::memory_order_relaxed)) return;
      timespec nap{0, 200'000'000};
      ::syscall(SYS_futex, &wakes_, FUTEX_WAIT, wakes, &nap, nullptr, 0);
    }
  }

 private:
  static constexpr int kSpins = 200;  // looks at the count before anything else

  // Who waits says what for before it looks at the count, who counts looks behind it at what is waited for. Sleepers
  // that want more than the soonest rely on its wake, after which they say it again: one that comes too late to be
  // woken sees in `wakes_` that it was.
  void want(uint32_t count) {
    uint32_t soonest = soonest_.load();
    while ((soonest == 0 || count < soonest) && !soonest_.compare_exchange_weak(soonest, count)) {
    }
  }
  void wake_if_wanted(uint32_t count) {
    uint32_t soonest = soonest_.load();
    if (soonest != 0 && count >= soonest) wake_all();
  }

  std::atomic<uint32_t> count_{0}, soonest_{0}, wakes_{0};  // soonest: the lowest count that a sleeper wants, 0: none
};

}  // namespace reel::replay

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

// Only rises. Any thread waits; set() is one thread's, add() anybody's.
class Progress {
 public:
  uint32_t count() const { return count_.load(std::memory_order_acquire); }
  void set(uint32_t count, bool wake) {
    count_.store(count, wake ? std::memory_order_seq_cst : std::memory_order_release);
    if (wake && waiting_.load(std::memory_order_seq_cst) != 0) wake_all();
  }
  void add(uint32_t how_many) {
    count_.fetch_add(how_many);
    if (waiting_.load() != 0) wake_all();
  }
  void wake_all() { ::syscall(SYS_futex, &count_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }
  // Until it is `wanted`, or `stop`. To be woken takes a processor that had nothing to do tens of microseconds; who
  // polls looks for so many nanoseconds before it sleeps, and gives way to those who have something to do.
  void wait_for(uint32_t wanted, uint64_t poll, const std::atomic<bool>& stop) {
    for (int i = 0; i < kSpins; ++i)
      if (count() >= wanted) return;
    for (uint64_t begin = now_ns(); now_ns() - begin < poll && !stop.load(std::memory_order_relaxed); ::sched_yield())
      if (count() >= wanted) return;
    waiting_.fetch_add(1);
    for (;;) {
      uint32_t now = count_.load();
      if (now >= wanted || stop.load(std::memory_order_relaxed)) break;
      timespec nap{0, 200'000'000};
      ::syscall(SYS_futex, &count_, FUTEX_WAIT, now, &nap, nullptr, 0);
    }
    waiting_.fetch_sub(1);
  }

 private:
  static constexpr int kSpins = 200;  // looks at the count before anything else

  std::atomic<uint32_t> count_{0}, waiting_{0};
};

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Waiting and computing.
#include "replay/play/pacing.h"

#include <sched.h>

#include <algorithm>

namespace reel::replay {
namespace {

// A sleep ends later than asked by up to this, mostly.
constexpr uint64_t kLate = 60'000;
constexpr uint64_t kNap = 100'000'000;  // between looks at `stop`
// So little is taken to be computed without a break. A thread's own clock is asked by a system call (0.6 us on a
// virtual machine), so most gaps between two calls would take twice as long by it.
constexpr uint64_t kUnbroken = 20'000;

}  // namespace

void sleep_until(uint64_t ns, const std::atomic<bool>& stop) {
  for (;;) {
    uint64_t now = now_ns();
    if (now >= ns || stop.load(std::memory_order_relaxed)) return;
    uint64_t until = std::min(ns, now + kNap);
    timespec at{static_cast<time_t>(until / 1'000'000'000), static_cast<long>(until % 1'000'000'000)};
    ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
  }
}

void wait_until(uint64_t ns, const std::atomic<bool>& stop) {
  sleep_until(ns - std::min(ns, kLate), stop);
  while (now_ns() < ns && !stop.load(std::memory_order_relaxed)) ::sched_yield();
}

void spin_until(uint64_t ns, const std::atomic<bool>& stop) {
  while (now_ns() < ns && !stop.load(std::memory_order_relaxed)) {
  }
}

void burn(uint64_t cpu_ns, const std::atomic<bool>& stop) {
  if (cpu_ns > kUnbroken) {
    uint64_t until = nanoseconds_of(CLOCK_THREAD_CPUTIME_ID) + cpu_ns, now;
    do {
      now = nanoseconds_of(CLOCK_THREAD_CPUTIME_ID);
    } while (now + kUnbroken < until && !stop.load(std::memory_order_relaxed));
    cpu_ns = now < until ? until - now : 0;
  }
  spin_until(now_ns() + cpu_ns, stop);
}

void burn_until(uint64_t due, uint64_t now, uint64_t cpu_ns, const std::atomic<bool>& stop) {
  if (due - now > kUnbroken) burn(std::min(cpu_ns, due - now), stop);
  spin_until(due, stop);
}

}  // namespace reel::replay

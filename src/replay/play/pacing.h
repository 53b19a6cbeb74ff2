// SPDX-License-Identifier: Apache-2.0
//
// Waiting and computing to the microsecond.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>

namespace reel::replay {

inline uint64_t nanoseconds_of(clockid_t clock) {
  timespec now;
  ::clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}
inline uint64_t now_ns() {
  return nanoseconds_of(CLOCK_MONOTONIC);
}

// Sleeps until the moment, and gives way for the last bit, which ends to the microsecond; sooner when `stop`.
void wait_until(uint64_t ns, const std::atomic<bool>& stop);
// Sleeps all the time. Later by tens of microseconds, where processors have nothing else to do; where they have, who
// gives way is late by a slice of theirs, and a sleeper takes one.
void sleep_until(uint64_t ns, const std::atomic<bool>& stop);
// Spins all the time until then.
void spin_until(uint64_t ns, const std::atomic<bool>& stop);
// Uses so much CPU time of this thread, however long that takes on a busy machine.
void burn(uint64_t cpu_ns, const std::atomic<bool>& stop);
// The same, and computes on until `due`, which is later than `now`.
void burn_until(uint64_t due, uint64_t now, uint64_t cpu_ns, const std::atomic<bool>& stop);

}  // namespace reel::replay

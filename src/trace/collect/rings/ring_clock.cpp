// SPDX-License-Identifier: Apache-2.0
//
// Ticks and time.
#include "trace/collect/rings/ring_clock.h"

#include <time.h>
#include <x86intrin.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace reel::trace {
namespace {

constexpr size_t kKept = 4096;  // looks
constexpr uint64_t kCalibration_ns = 1'000'000;
constexpr uint64_t kUnit = 1u << 24;

uint64_t counter() {
  _mm_lfence();
  return __rdtsc();
}

// Of several tries the one that took least: nothing came between.
wire::ClockPair look_at_both() {
  wire::ClockPair best{0, 0};
  uint64_t shortest = ~0ull;
  for (int i = 0; i < 5; ++i) {
    uint64_t before = counter();
    uint64_t ns = monotonic_now();
    uint64_t took = counter() - before;
    if (took < shortest) best = {before + took / 2, ns};
    shortest = std::min(shortest, took);
  }
  return best;
}

// The kernel has found the counter to be steady, and equal on all processors, when it keeps time by
// it.
bool kernel_counts() {
  std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string name;
  return file >> name && name == "tsc";
}

}  // namespace

uint64_t monotonic_now() {
  struct timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

void RingClock::choose(wire::Control& control, bool may_count) {
  control.clock = wire::kMonotonic;
  control.ns_per_tick_24 = kUnit;
  if (!may_count || !kernel_counts()) return;
  wire::ClockPair first = look_at_both(), last = first;
  while (last.monotonic_ns - first.monotonic_ns < kCalibration_ns) last = look_at_both();
  double rate =
      static_cast<double>(last.monotonic_ns - first.monotonic_ns) / static_cast<double>(last.ticks - first.ticks);
  control.clock = wire::kCounter;
  control.ns_per_tick_24 = static_cast<uint32_t>(rate * kUnit);
  control.pairs[0] = first;
  control.pairs[1] = last;
}

RingClock::RingClock(wire::Control& control) : control_(control) {
  if (control.clock == wire::kCounter) pairs_.assign(control.pairs, control.pairs + 2);
}

void RingClock::look() {
  if (control_.clock != wire::kCounter) return;
  wire::ClockPair pair = look_at_both();
  if (pair.ticks <= pairs_.back().ticks || pair.monotonic_ns < pairs_.back().monotonic_ns) return;
  pairs_.push_back(pair);
  control_.pairs[1] = pair;
  // Of long ago every second look is enough, and the first.
  if (pairs_.size() > kKept) {
    size_t at = 0;
    auto end = pairs_.begin() + kKept / 2;
    auto kept = std::remove_if(pairs_.begin(), end, [&at](const wire::ClockPair&) { return at++ % 2 == 1; });
    pairs_.erase(kept, end);
  }
}

uint64_t RingClock::to_monotonic(uint64_t ticks) const {
  if (control_.clock != wire::kCounter) return ticks;
  auto after = std::upper_bound(pairs_.begin() + 1, pairs_.end() - 1, ticks,
                                [](uint64_t value, const wire::ClockPair& pair) { return value < pair.ticks; });
  const wire::ClockPair& a = *(after - 1);
  double rate = static_cast<double>(after->monotonic_ns - a.monotonic_ns) / static_cast<double>(after->ticks - a.ticks);
  double since = static_cast<double>(static_cast<int64_t>(ticks - a.ticks)) * rate;
  return a.monotonic_ns + static_cast<uint64_t>(static_cast<int64_t>(since));
}

}  // namespace reel::trace

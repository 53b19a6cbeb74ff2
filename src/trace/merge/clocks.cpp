// SPDX-License-Identifier: Apache-2.0
//
// See clocks.h.
#include "trace/merge/clocks.h"

#include <algorithm>
#include <limits>

namespace reel::trace {
namespace {

constexpr int64_t kNoBound = std::numeric_limits<int64_t>::max() / 4;

int64_t slack(const Crossing& crossing, const std::vector<int64_t>& by_part) {
  return static_cast<int64_t>(crossing.received - crossing.sent) + by_part[crossing.to] - by_part[crossing.from];
}

}  // namespace

uint64_t to_other_clock(const std::vector<ClockSample>& samples, uint64_t here) {
  if (samples.empty()) return here;
  const ClockSample& a = samples.front();
  const ClockSample& b = samples.back();
  auto since = static_cast<double>(static_cast<int64_t>(here - a.here));
  double rate = 1;
  if (b.here > a.here)
    rate = static_cast<double>(static_cast<int64_t>(b.there - a.there)) / static_cast<double>(b.here - a.here);
  return a.there + static_cast<uint64_t>(static_cast<int64_t>(since * rate));
}

// A message from part i to part j says: the shift of i is at most that of j plus the time it took. All that follows
// from these bounds together is their closure; each part in turn then takes the shift next to none that those before it
// allow.
Shifts shifts_for(uint32_t parts, uint32_t fixed, const std::vector<Crossing>& crossings) {
  std::vector<std::vector<int64_t>> most(parts, std::vector<int64_t>(parts, kNoBound));
  for (const Crossing& crossing : crossings) {
    int64_t& bound = most[crossing.from][crossing.to];
    bound = std::min(bound, static_cast<int64_t>(crossing.received - crossing.sent));
  }
  for (uint32_t via = 0; via < parts; ++via)
    for (uint32_t i = 0; i < parts; ++i)
      for (uint32_t j = 0; j < parts && most[i][via] < kNoBound; ++j)
        if (most[via][j] < kNoBound) most[i][j] = std::min(most[i][j], most[i][via] + most[via][j]);
  Shifts shifts;
  shifts.by_part.assign(parts, 0);
  std::vector<uint32_t> placed = {fixed};
  for (uint32_t part = 0; part < parts; ++part) {
    if (part == fixed) continue;
    int64_t lowest = -kNoBound, highest = kNoBound;
    for (uint32_t other : placed) {
      if (most[part][other] < kNoBound) highest = std::min(highest, shifts.by_part[other] + most[part][other]);
      if (most[other][part] < kNoBound) lowest = std::max(lowest, shifts.by_part[other] - most[other][part]);
    }
    // Bounds that contradict each other: no shift is right, and `broken` will tell.
    shifts.by_part[part] =
        lowest > highest ? highest + (lowest - highest) / 2 : std::clamp<int64_t>(0, lowest, highest);
    placed.push_back(part);
  }
  for (const Crossing& crossing : crossings)
    if (slack(crossing, shifts.by_part) < 0) ++shifts.broken;
  return shifts;
}

}  // namespace reel::trace

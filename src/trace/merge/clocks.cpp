// SPDX-License-Identifier: Apache-2.0
//
// See clocks.h.
#include "trace/merge/clocks.h"

#include <algorithm>
#include <limits>

namespace reel::trace {
namespace {

constexpr int kRounds = 64;

// How far a part may go to earlier (least <= 0) or must go to later, as the others stand.
struct Bounds {
  int64_t least = std::numeric_limits<int64_t>::min(), most = std::numeric_limits<int64_t>::max();
};

int64_t shift_within(const Bounds& bounds) {
  if (bounds.least > bounds.most) return bounds.least + (bounds.most - bounds.least) / 2;
  return std::clamp<int64_t>(0, bounds.least, bounds.most);
}

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

Shifts shifts_for(uint32_t parts, uint32_t fixed, const std::vector<Crossing>& crossings) {
  Shifts shifts;
  shifts.by_part.assign(parts, 0);
  for (int round = 0; round < kRounds; ++round) {
    bool moved = false;
    for (uint32_t part = 0; part < parts; ++part) {
      if (part == fixed) continue;
      Bounds bounds;
      for (const Crossing& crossing : crossings) {
        int64_t room = slack(crossing, shifts.by_part);
        if (crossing.to == part && crossing.from != part) bounds.least = std::max(bounds.least, -room);
        if (crossing.from == part && crossing.to != part) bounds.most = std::min(bounds.most, room);
      }
      int64_t shift = shift_within(bounds);
      shifts.by_part[part] += shift;
      moved = moved || shift != 0;
    }
    if (!moved) break;
  }
  for (const Crossing& crossing : crossings)
    if (slack(crossing, shifts.by_part) < 0) ++shifts.broken;
  return shifts;
}

}  // namespace reel::trace

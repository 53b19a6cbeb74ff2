// SPDX-License-Identifier: Apache-2.0
//
// The last writers of a file's bytes.
#include "replay/plan/order/written.h"

#include <algorithm>
#include <iterator>

namespace reel::replay {

// No range reaches across `at`.
void Written::cut(uint64_t at) {
  auto range = ranges_.upper_bound(at);
  if (range == ranges_.begin()) return;
  --range;
  if (range->first >= at || range->second.end <= at) return;
  ranges_[at] = range->second;
  range->second.end = at;
}

void Written::write(uint64_t begin, uint64_t end, Need me) {
  if (begin >= end) return;
  cut(begin);
  cut(end);
  ranges_.erase(ranges_.lower_bound(begin), ranges_.lower_bound(end));
  ranges_[begin] = {end, me};
}

bool Written::covers(uint64_t begin, uint64_t end) const {
  auto range = ranges_.upper_bound(begin);
  if (range != ranges_.begin()) --range;
  for (; begin < end && range != ranges_.end() && range->first <= begin; ++range)
    begin = std::max(begin, range->second.end);
  return begin >= end;
}

void Written::read(uint64_t begin, uint64_t end, Needs& needs) const {
  auto range = ranges_.upper_bound(begin);
  if (range != ranges_.begin() && std::prev(range)->second.end > begin) --range;
  for (; range != ranges_.end() && range->first < end; ++range) needs.add(range->second.by);
}

}  // namespace reel::replay

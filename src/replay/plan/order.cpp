// SPDX-License-Identifier: Apache-2.0
//
// Needs, gathered.
#include "replay/plan/order.h"

#include <algorithm>

namespace reel::replay {

void Needs::add(Need need) {
  if (need.count == 0 || need.thread == thread_) return;
  uint32_t& known = known_[thread_][need.thread];
  if (known >= need.count) return;
  known = need.count;
  for (Need& found : found_) {
    if (found.thread != need.thread) continue;
    found.count = need.count;
    return;
  }
  found_.push_back(need);
}

void Uses::add(Need step) {
  if (!steps_.empty() && steps_.back().thread == step.thread) {
    steps_.back() = step;
    return;
  }
  steps_.push_back(step);
  if (steps_.size() < compact_at_) return;
  // Only the last of each thread counts.
  std::stable_sort(steps_.begin(), steps_.end(), [](const Need& a, const Need& b) { return a.thread < b.thread; });
  size_t kept = 0;
  for (size_t i = 0; i < steps_.size(); ++i)
    if (i + 1 == steps_.size() || steps_[i + 1].thread != steps_[i].thread) steps_[kept++] = steps_[i];
  steps_.resize(kept);
  compact_at_ = std::max<size_t>(16, kept * 2);
}

}  // namespace reel::replay

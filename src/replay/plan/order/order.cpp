// SPDX-License-Identifier: Apache-2.0
//
// Who used a thing.
#include "replay/plan/order/order.h"

#include <algorithm>

namespace reel::replay {

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

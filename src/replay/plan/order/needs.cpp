// SPDX-License-Identifier: Apache-2.0
//
// Needs, gathered.
#include "replay/plan/order/needs.h"

#include <algorithm>

namespace reel::replay {

const char* why_text(Why why) {
  static constexpr const char* kTexts[kWhys] = {"none", "descriptor", "name",   "size",    "order", "data",
                                                "lock", "process",    "stream", "message", "found", "memory"};
  return kTexts[static_cast<size_t>(why)];
}

Needs::Needs(size_t threads) : full_(threads <= kMostClocks), known_(threads + 1), moments_(full_ ? threads + 1 : 0) {}

void Needs::add(Need need) {
  if (need.count == 0 || need.thread == thread_) return;
  uint32_t& known = known_[thread_][need.thread];
  if (known >= need.count) return;
  known = need.count;
  need.why = why_;
  for (Need& found : found_) {
    if (found.thread != need.thread) continue;
    found = need;
    return;
  }
  found_.push_back(need);
}

void Needs::learn(Need need) {
  if (need.count == 0 || need.thread == thread_) return;
  uint32_t& known = known_[thread_][need.thread];
  known = std::max(known, need.count);
  learned_.push_back(need);
}

Needs::Clock Needs::clock_of(const Counts& counts) {
  Clock clock(counts.begin(), counts.end());
  std::sort(clock.begin(), clock.end());
  return clock;
}

const Needs::Clock* Needs::clock_at(const Need& need) const {
  const std::vector<Moment>& moments = moments_[need.thread];
  auto after = std::upper_bound(moments.begin(), moments.end(), need.count,
                                [](uint32_t count, const Moment& moment) { return count < moment.count; });
  return after == moments.begin() ? nullptr : &std::prev(after)->clock;
}

// How far `thread` was, as the needed step's thread knew.
uint32_t Needs::known_at(const Need& need, uint32_t thread) const {
  const Clock* clock = clock_at(need);
  if (!clock) return 0;
  auto at = std::lower_bound(clock->begin(), clock->end(), std::pair<uint32_t, uint32_t>{thread, 0});
  return at == clock->end() || at->first != thread ? 0 : at->second;
}

void Needs::merge(const Need& need) {
  const Clock* clock = clock_at(need);
  if (!clock) return;
  Counts& mine = known_[thread_];
  for (const auto& [thread, count] : *clock) {
    if (thread == thread_) continue;
    uint32_t& known = mine[thread];
    known = std::max(known, count);
  }
}

void Needs::finish(uint32_t count) {
  if (full_ && !(found_.empty() && learned_.empty())) {
    std::erase_if(found_, [&](const Need& need) {
      auto implies = [&](const Need& other) {
        return other.thread != need.thread && known_at(other, need.thread) >= need.count;
      };
      return std::any_of(found_.begin(), found_.end(), implies) ||
             std::any_of(learned_.begin(), learned_.end(), implies);
    });
    for (const Need& need : found_) merge(need);
    for (const Need& need : learned_) merge(need);
    moments_[thread_].push_back({count, clock_of(known_[thread_])});
  }
  learned_.clear();
}

void Needs::inherit(Need maker, uint32_t child) {
  known_[child] = known_[maker.thread];
  known_[child][maker.thread] = maker.count;
  if (full_) moments_[child].push_back({0, clock_of(known_[child])});
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
#include "trace/throttle/loop.h"

#include <algorithm>

namespace reel::trace {
namespace {

bool alike(const Event& a, const Event& b) {
  return a.op == b.op && a.fd.number == b.fd.number && a.path == b.path && a.failed() == b.failed();
}

// turns 0: there is none.
Loop longest(const Trace& trace, const std::vector<uint32_t>& calls, size_t from, size_t to) {
  Loop best;
  for (size_t period = 1; period <= std::min(kLongestPeriod, (to - from) / kFewestTurns); ++period) {
    size_t begin = from;  // of a stretch in which each call is like the one a period later
    for (size_t i = from; i <= to - period; ++i) {
      if (i < to - period && alike(trace.events[calls[i]], trace.events[calls[i + period]])) continue;
      size_t turns = (i - begin + period) / period;
      if (turns >= kFewestTurns && turns * period > best.turns * best.period) best = {begin, period, turns};
      begin = i + 1;
    }
  }
  return best;
}

bool shorter(const Loop& a, const Loop& b) {
  return a.period * a.turns < b.period * b.turns;
}

}  // namespace

std::vector<Loop> find_loops(const Trace& trace, const std::vector<uint32_t>& calls) {
  struct Stretch {
    size_t from, to;
    Loop loop;  // its longest
  };
  std::vector<Stretch> left;
  auto look = [&](size_t from, size_t to) {
    Loop loop = longest(trace, calls, from, to);
    if (loop.turns != 0) left.push_back({from, to, loop});
  };
  look(0, calls.size());
  std::vector<Loop> loops;
  while (!left.empty() && loops.size() < kMostLoops) {
    auto next = std::max_element(left.begin(), left.end(),
                                 [](const Stretch& a, const Stretch& b) { return shorter(a.loop, b.loop); });
    Stretch stretch = *next;
    left.erase(next);
    loops.push_back(stretch.loop);
    look(stretch.from, stretch.loop.begin);
    look(stretch.loop.end(), stretch.to);
  }
  std::sort(loops.begin(), loops.end(), [](const Loop& a, const Loop& b) { return a.begin < b.begin; });
  return loops;
}

}  // namespace reel::trace

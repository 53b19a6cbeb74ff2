// SPDX-License-Identifier: Apache-2.0
#include "trace/throttle/loop.h"

#include <algorithm>

namespace reel::trace {
namespace {

bool alike(const Event& a, const Event& b) {
  return a.op == b.op && a.fd.number == b.fd.number && a.path == b.path && a.failed() == b.failed();
}

}  // namespace

Loop find_loop(const Trace& trace, const std::vector<uint32_t>& calls) {
  Loop best;
  for (size_t period = 1; period <= std::min(kLongestPeriod, calls.size() / kFewestTurns); ++period) {
    size_t begin = 0;  // of a stretch in which each call is like the one a period later
    for (size_t i = 0; i <= calls.size() - period; ++i) {
      if (i < calls.size() - period && alike(trace.events[calls[i]], trace.events[calls[i + period]])) continue;
      size_t turns = (i - begin + period) / period;
      if (turns >= kFewestTurns && turns * period > best.turns * best.period) best = {begin, period, turns};
      begin = i + 1;
    }
  }
  return best;
}

}  // namespace reel::trace

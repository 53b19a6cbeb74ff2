// SPDX-License-Identifier: Apache-2.0
//
// See graph.h.
#include "report/graph.h"

#include <algorithm>

#include "trace/ops.h"

namespace reel::report {

using replay::Need;
using replay::Step;

Graph::Graph(const trace::Trace& trace, const replay::Plan& plan)
    : trace_(trace), plan_(plan), arrivals_(plan.groups.size() + 1), makers_(plan.threads.size() + 1) {
  for (uint32_t i = 0; i < plan.threads.size(); ++i) {
    for (uint32_t k = 0; k < plan.threads[i].size(); ++k) {
      const Step& step = plan.threads[i][k];
      if (step.starts != 0) makers_[step.starts] = {i + 1, k + 1};
      if (step.arrives_at != 0) arrivals_[step.arrives_at].push_back({i + 1, k + 1});
    }
  }
}

uint64_t Graph::awaited_ns(const Step& step) const {
  uint64_t last = step.awaits == 0 ? 0 : plan_.groups[step.awaits - 1].last_ns;
  each_need(step, [&](const Need& need, replay::Why) { last = std::max(last, recorded_ns(need)); });
  return last;
}

bool Graph::is_storage(const Step& step) const {
  if (step.skip != replay::Skip::none || step.stream) return false;
  trace::Family family = trace::family_of(event(step).op);
  return family != trace::Family::process && family != trace::Family::descriptor && family != trace::Family::lock;
}

}  // namespace reel::report

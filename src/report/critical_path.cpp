// SPDX-License-Identifier: Apache-2.0
//
// The path that took the whole time: from the end backwards, always to what was waited for last.
#include <algorithm>

#include "report/waits.h"

namespace reel::report {
namespace {

using replay::Need;
using replay::Plan;
using replay::Step;

class Path {
 public:
  explicit Path(const Graph& graph) : graph_(graph), plan_(graph.plan()) {}

  std::vector<Segment> run() {
    Need at;
    for (uint32_t i = 0; i < plan_.threads.size(); ++i)
      if (!plan_.threads[i].empty()) later(at, {i + 1, static_cast<uint32_t>(plan_.threads[i].size())});
    now_ = at.count == 0 ? 0 : graph_.recorded_ns(at);
    while (at.count != 0 && now_ > plan_.begin_ns) at = before(at);
    std::reverse(path_.begin(), path_.end());
    return std::move(path_);
  }

 private:
  void later(Need& best, const Need& need) const {
    if (best.count == 0 || graph_.recorded_ns(need) > graph_.recorded_ns(best)) best = need;
  }

  void spend(uint32_t event, Spent spent, uint64_t since) {
    since = std::max(since, plan_.begin_ns);
    if (since >= now_) return;
    path_.push_back({event, spent, since, now_});
    now_ = since;
  }

  // The last of what the step waited for after `since`, if it is not later than now.
  Need waited_for(const Step& step, uint64_t since) const {
    Need last;
    auto consider = [&](const Need& need) {
      if (need.count == 0) return;
      uint64_t ns = graph_.recorded_ns(need);
      if (ns > since && ns <= now_) later(last, need);
    };
    for (uint32_t i = 0; i < step.need_count; ++i) consider(plan_.needs[step.needs + i]);
    Need last_met;
    for (const Need& need : graph_.met(step)) later(last_met, need);
    consider(last_met);
    if (step.fed_by.count != 0 && last.count == 0) {
      // It may have returned after its bytes were read, but it began before.
      uint64_t began = graph_.event(graph_.step(step.fed_by)).enter_ns;
      if (graph_.recorded_ns(step.fed_by) > since && began < now_) return step.fed_by;
    }
    return last;
  }

  // Spends the time of the step and of the gap before it; the step from there on.
  Need before(const Need& at) {
    const Step& step = graph_.step(at);
    uint64_t enter = graph_.event(step).enter_ns;
    if (!step.arrival) {
      if (Graph::waits_within(step)) {
        if (Need last = waited_for(step, enter); last.count != 0) {
          spend(step.event, Spent::passing, std::min(now_, graph_.recorded_ns(last)));
          return last;
        }
      }
      spend(step.event, graph_.is_storage(step) ? Spent::storage : Spent::computing, enter);
    }
    Need previous = at.count > 1 ? Need{at.thread, at.count - 1} : graph_.maker(at.thread);
    uint64_t since = previous.count == 0 ? plan_.begin_ns : std::min(now_, graph_.recorded_ns(previous));
    if (!step.waits) {
      Need last = step.base.count != 0 ? step.base : step.tick_ns != 0 ? waited_for(step, 0) : Need{};
      if (last.count != 0 && graph_.recorded_ns(last) <= now_) {
        spend(step.event, Spent::computing, graph_.recorded_ns(last));
        return last;
      }
    }
    // A child begins when its maker's call does.
    if (at.count == 1 && previous.count != 0) since = graph_.event(graph_.step(previous)).enter_ns;
    spend(step.event, Spent::computing, since);
    return previous;
  }

  const Graph& graph_;
  const Plan& plan_;
  std::vector<Segment> path_;
  uint64_t now_ = 0;
};

}  // namespace

std::vector<Segment> critical_path(const Graph& graph) {
  return Path(graph).run();
}

}  // namespace reel::report

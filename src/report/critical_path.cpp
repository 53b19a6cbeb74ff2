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
using trace::Event;

class Path {
 public:
  Path(const trace::Trace& trace, const Plan& plan) : trace_(trace), plan_(plan), makers_(plan.threads.size() + 1) {
    last_arrivals_.resize(plan.groups.size() + 1);
    for (uint32_t i = 0; i < plan.threads.size(); ++i) {
      for (uint32_t k = 0; k < plan.threads[i].size(); ++k) {
        const Step& step = plan.threads[i][k];
        Need here{i + 1, k + 1};
        if (step.starts != 0) makers_[step.starts] = here;
        if (step.arrives_at != 0) later(last_arrivals_[step.arrives_at], here);
      }
    }
  }

  std::vector<Segment> run() {
    Need at;
    for (uint32_t i = 0; i < plan_.threads.size(); ++i)
      if (!plan_.threads[i].empty()) later(at, {i + 1, static_cast<uint32_t>(plan_.threads[i].size())});
    now_ = at.count == 0 ? 0 : plan_.recorded_ns(trace_, at);
    while (at.count != 0 && now_ > plan_.begin_ns) at = before(at);
    std::reverse(path_.begin(), path_.end());
    return std::move(path_);
  }

 private:
  const Step& step_of(const Need& need) const { return plan_.threads[need.thread - 1][need.count - 1]; }
  void later(Need& best, const Need& need) const {
    if (best.count == 0 || plan_.recorded_ns(trace_, need) > plan_.recorded_ns(trace_, best)) best = need;
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
      uint64_t ns = plan_.recorded_ns(trace_, need);
      if (ns > since && ns <= now_) later(last, need);
    };
    for (uint32_t i = 0; i < step.need_count; ++i) consider(plan_.needs[step.needs + i]);
    if (step.awaits != 0) consider(last_arrivals_[step.awaits]);
    if (step.fed_by.count != 0 && last.count == 0) {
      // It may have returned after its bytes were read, but it began before.
      uint64_t began = trace_.events[step_of(step.fed_by).event].enter_ns;
      if (plan_.recorded_ns(trace_, step.fed_by) > since && began < now_) return step.fed_by;
    }
    return last;
  }

  // Spends the time of the step and of the gap before it; the step from there on.
  Need before(const Need& at) {
    const Step& step = step_of(at);
    const Event& event = trace_.events[step.event];
    uint64_t enter = event.enter_ns;
    if (!step.arrival) {
      if (step.waits || step.fed_by.count != 0) {
        if (Need last = waited_for(step, enter); last.count != 0) {
          spend(step.event, Spent::passing, std::min(now_, plan_.recorded_ns(trace_, last)));
          return last;
        }
      }
      spend(step.event, is_storage(trace_, step) ? Spent::storage : Spent::computing, enter);
    }
    Need previous = at.count > 1 ? Need{at.thread, at.count - 1} : makers_[at.thread];
    uint64_t since = previous.count == 0 ? plan_.begin_ns : std::min(now_, plan_.recorded_ns(trace_, previous));
    if (!step.waits) {
      Need last = step.base.count != 0 ? step.base : step.tick_ns != 0 ? waited_for(step, 0) : Need{};
      if (last.count != 0 && plan_.recorded_ns(trace_, last) <= now_) {
        spend(step.event, Spent::computing, plan_.recorded_ns(trace_, last));
        return last;
      }
    }
    // A child begins when its maker's call does.
    if (at.count == 1 && previous.count != 0) since = trace_.events[step_of(previous).event].enter_ns;
    spend(step.event, Spent::computing, since);
    return previous;
  }

  const trace::Trace& trace_;
  const Plan& plan_;
  std::vector<Need> makers_;         // by thread: the step that began it
  std::vector<Need> last_arrivals_;  // by group
  std::vector<Segment> path_;
  uint64_t now_ = 0;
};

}  // namespace

std::vector<Segment> critical_path(const trace::Trace& trace, const Plan& plan) {
  return Path(trace, plan).run();
}

}  // namespace reel::report

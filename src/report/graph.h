// SPDX-License-Identifier: Apache-2.0
//
// The dependency graph of a trace, as its plan has it: what each step waited for. For those who walk it.
#pragma once

#include <cstdint>
#include <vector>

#include "replay/plan/plan.h"

namespace reel::report {

class Graph {
 public:
  // Both must outlive it.
  Graph(const trace::Trace& trace, const replay::Plan& plan);

  const replay::Plan& plan() const { return plan_; }
  const replay::Step& step(const replay::Need& need) const { return plan_.threads[need.thread - 1][need.count - 1]; }
  const trace::Event& event(const replay::Step& step) const { return trace_.events[step.event]; }
  // When it was over in the recording.
  uint64_t recorded_ns(const replay::Need& need) const { return plan_.recorded_ns(trace_, need); }

  // Waiting is what the call itself does: it began before what it waited for was over.
  static bool waits_within(const replay::Step& step) { return step.waits || step.fed_by.count != 0; }
  // Calls visit(need, why) for all that it waited for, but whom it met.
  template <class Visit>
  void each_need(const replay::Step& step, Visit visit) const {
    for (uint32_t i = 0; i < step.need_count; ++i) visit(plan_.needs[step.needs + i], plan_.needs[step.needs + i].why);
    if (step.fed_by.count != 0) visit(step.fed_by, replay::Why::stream);
  }
  // Whom it met, and waited for: where they arrived.
  const std::vector<replay::Need>& met(const replay::Step& step) const { return arrivals_[step.awaits]; }
  // When the last of all these was over in the recording; 0: there is none.
  uint64_t awaited_ns(const replay::Step& step) const;
  // The step that began the thread; count 0: the replay begins with it.
  const replay::Need& maker(uint32_t thread) const { return makers_[thread]; }
  // Whether the step's time is the storage's.
  bool is_storage(const replay::Step& step) const;

 private:
  const trace::Trace& trace_;
  const replay::Plan& plan_;
  std::vector<std::vector<replay::Need>> arrivals_;  // by group + 1
  std::vector<replay::Need> makers_;                 // by thread
};

}  // namespace reel::report

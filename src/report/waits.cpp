// SPDX-License-Identifier: Apache-2.0
//
// The dependency graph of a trace.
#include "report/waits.h"

#include "trace/ops.h"

namespace reel::report {
namespace {

using replay::Need;
using replay::Plan;
using replay::Step;

constexpr double kFaster[] = {1, 2, 4, 10, 100};

const Step& step_of(const Plan& plan, const Need& need) {
  return plan.threads[need.thread - 1][need.count - 1];
}

// Where the members of each group arrive.
std::vector<std::vector<Need>> arrivals_of(const Plan& plan) {
  std::vector<std::vector<Need>> arrivals(plan.groups.size() + 1);
  for (uint32_t i = 0; i < plan.threads.size(); ++i)
    for (uint32_t k = 0; k < plan.threads[i].size(); ++k)
      if (uint32_t group = plan.threads[i][k].arrives_at; group != 0) arrivals[group].push_back({i + 1, k + 1});
  return arrivals;
}

void gather(const Plan& plan, Waits& waits) {
  std::vector<std::vector<Need>> arrivals = arrivals_of(plan);
  for (uint32_t i = 0; i < plan.threads.size(); ++i) {
    for (const Step& step : plan.threads[i]) {
      auto add = [&](const Need& need, replay::Why why) {
        const Step& from = step_of(plan, need);
        if (need.thread != i + 1) waits.dependencies.push_back({from.event, step.event, from.arrival, why});
      };
      for (uint32_t n = 0; n < step.need_count; ++n) add(plan.needs[step.needs + n], plan.needs[step.needs + n].why);
      if (step.fed_by.count != 0) add(step.fed_by, replay::Why::stream);
      if (step.awaits != 0)
        for (const Need& need : arrivals[step.awaits]) add(need, replay::Why::message);
    }
  }
}

}  // namespace

bool is_storage(const trace::Trace& trace, const Step& step) {
  if (step.skip != replay::Skip::none || step.stream) return false;
  trace::Family family = trace::family_of(trace.events[step.event].op);
  return family != trace::Family::process && family != trace::Family::descriptor && family != trace::Family::lock;
}

Result<Waits> find_waits(const trace::Trace& trace) {
  replay::PlanOptions options;
  options.causal = true;
  TRY_ASSIGN(Plan plan, replay::make_plan(trace, options));
  Waits waits;
  waits.elapsed_ns = plan.end_ns - plan.begin_ns;
  waits.meetings = plan.groups.size();
  waits.doubts = plan.doubts;
  gather(plan, waits);
  waits.path = critical_path(trace, plan);
  for (double faster : kFaster) waits.what_if.emplace_back(faster, simulated_ns(trace, plan, faster));
  return waits;
}

}  // namespace reel::report

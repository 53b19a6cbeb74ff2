// SPDX-License-Identifier: Apache-2.0
//
// The dependency graph of a trace.
#include "report/waits.h"

namespace reel::report {
namespace {

using replay::Need;
using replay::Plan;
using replay::Step;

constexpr double kFaster[] = {1, 2, 4, 10, 100};

void gather(const Graph& graph, Waits& waits) {
  const Plan& plan = graph.plan();
  for (uint32_t i = 0; i < plan.threads.size(); ++i) {
    for (const Step& step : plan.threads[i]) {
      auto add = [&](const Need& need, replay::Why why) {
        const Step& from = graph.step(need);
        if (need.thread != i + 1) waits.dependencies.push_back({from.event, step.event, from.arrival, why});
      };
      graph.each_need(step, add);
      for (const Need& need : graph.met(step)) add(need, replay::Why::message);
    }
  }
}

}  // namespace

Result<Waits> find_waits(const trace::Trace& trace) {
  replay::PlanOptions options;
  options.causal = true;
  TRY_ASSIGN(Plan plan, replay::make_plan(trace, options));
  const Graph graph(trace, plan);
  Waits waits;
  waits.elapsed_ns = plan.end_ns - plan.begin_ns;
  waits.meetings = plan.groups.size();
  waits.doubts = plan.doubts;
  gather(graph, waits);
  waits.path = critical_path(graph);
  for (double faster : kFaster) waits.what_if.emplace_back(faster, simulated_ns(graph, {faster}));
  return waits;
}

}  // namespace reel::report

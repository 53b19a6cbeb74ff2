// SPDX-License-Identifier: Apache-2.0
//
// See explained.h.
#include "report/explained.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "report/waits.h"
#include "trace/throttle/calls.h"

namespace reel::report {
namespace {

using trace::Event;
using trace::Op;

// The same threads have other numbers in another run.
void renumber(const trace::Trace& plain, const trace::Trace& throttled, std::vector<trace::Series>& found) {
  auto there = trace::calls_of(throttled);
  std::unordered_map<uint32_t, uint32_t> number;
  for (const auto& [name, calls] : trace::calls_of(plain))
    if (auto same = there.find(name); same != there.end()) number[calls.thread] = same->second.thread;
  for (trace::Series& one : found) {
    one.from_thread = number[one.from_thread];
    one.to_thread = number[one.to_thread];
  }
}

class Stops {
 public:
  Stops(const trace::Trace& plain, const trace::Trace& throttled, const Graph& graph)
      : plain_(plain), throttled_(throttled), graph_(graph), names_(trace::calls_of(plain)) {
    for (const Event& event : throttled.events)
      if (event.op == Op::held) long_enough_ = std::max(long_enough_, event.duration_ns / 2);
  }

  uint64_t ns(bool held_up) const {
    auto ends = simulated_ends(graph_, {1, held_up});
    uint64_t sum = 0;
    for (const auto& [name, calls] : trace::calls_of(throttled_))
      if (auto was = names_.find(name); was != names_.end())
        sum += of_thread(was->second.calls, graph_.plan().threads[calls.thread - 1], ends[calls.thread - 1], held_up);
    return sum;
  }

 private:
  uint64_t of_thread(const std::vector<uint32_t>& was, const std::vector<replay::Step>& steps,
                     const std::vector<uint64_t>& ends, bool held_up) const {
    uint64_t sum = 0, last_end = 0, held = 0;
    size_t call = 0;
    for (size_t k = 0; k < ends.size(); ++k) {
      const Event& event = graph_.event(steps[k]);
      if (event.op == Op::held && held_up) held += event.duration_ns;
      if (!trace::is_call(event)) continue;
      bool half = k > 0 && steps[k - 1].arrival && steps[k - 1].event == steps[k].event;
      if (!half) {
        uint64_t begin = steps[k].arrival ? ends[k] : ends[k] - std::min(ends[k], event.duration_ns);
        uint64_t out = last_end + held;
        if (call > 0 && call < was.size() && begin > out) {
          uint64_t before = trace::gap_before(plain_, was, call);
          if (begin - out >= before + long_enough_) sum += begin - out - before;
        }
        ++call;
      }
      last_end = ends[k];
      held = 0;
    }
    return sum;
  }

  const trace::Trace& plain_;
  const trace::Trace& throttled_;
  const Graph& graph_;
  std::map<std::string, trace::ThreadCalls> names_;  // of the plain run
  uint64_t long_enough_ = 1;
};

}  // namespace

Result<double> explained(const trace::Trace& plain, trace::Trace throttled, std::vector<trace::Series> found) {
  renumber(plain, throttled, found);
  for (auto& [key, value] : trace::facts_of(found)) throttled.facts[key] = value;
  replay::PlanOptions options;
  options.causal = true;
  TRY_ASSIGN(replay::Plan plan, replay::make_plan(throttled, options));
  Graph graph(throttled, plan);
  Stops stops(plain, throttled, graph);
  auto before = static_cast<double>(stops.ns(true)), after = static_cast<double>(stops.ns(false));
  return before == 0 ? 1.0 : std::clamp(1 - after / before, 0.0, 1.0);
}

}  // namespace reel::report

// SPDX-License-Identifier: Apache-2.0
//
// A trace's plan, played in thought.
#include <algorithm>
#include <utility>

#include "report/waits.h"

namespace reel::report {
namespace {

using replay::Need;
using replay::Plan;
using replay::Step;
using trace::Event;

class Simulation {
 public:
  Simulation(const Graph& graph, const Otherwise& otherwise)
      : graph_(graph),
        plan_(graph.plan()),
        otherwise_(otherwise),
        threads_(plan_.threads.size() + 1),
        groups_(plan_.groups.size() + 1) {
    for (uint32_t i = 0; i < plan_.threads.size(); ++i) threads_[i + 1].done.reserve(plan_.threads[i].size());
    for (uint32_t first : plan_.first) begin(first, 0);
  }

  std::vector<std::vector<uint64_t>> run() {
    while (!ready_.empty()) {
      std::vector<uint32_t> round;
      round.swap(ready_);
      bool moved = false;
      for (uint32_t thread : round) {
        while (go_on(thread)) moved = true;
        if (threads_[thread].done.size() < plan_.threads[thread - 1].size()) ready_.push_back(thread);
      }
      if (!moved) break;  // what they wait for is not in the plan
    }
    std::vector<std::vector<uint64_t>> ends;
    for (size_t i = 1; i < threads_.size(); ++i) ends.push_back(std::move(threads_[i].done));
    return ends;
  }

 private:
  struct Thread {
    std::vector<uint64_t> done;  // when each of its steps is over
    uint64_t now = 0;
  };
  struct Meeting {
    uint32_t arrived = 0;
    uint64_t last = 0;
  };

  void begin(uint32_t thread, uint64_t now) {
    threads_[thread].now = now;
    ready_.push_back(thread);
  }
  bool is_done(const Need& need) const { return threads_[need.thread].done.size() >= need.count; }
  uint64_t done_at(const Need& need) const { return threads_[need.thread].done[need.count - 1]; }

  // False: the thread is at its end, or waits for another.
  bool go_on(uint32_t number) {
    Thread& thread = threads_[number];
    if (thread.done.size() == plan_.threads[number - 1].size()) return false;
    const Step& step = plan_.threads[number - 1][thread.done.size()];
    bool all_done = true;
    uint64_t there = 0;  // when the last of what it waits for is over
    graph_.each_need(step, [&](const Need& need, replay::Why) {
      if (is_done(need))
        there = std::max(there, done_at(need));
      else
        all_done = false;
    });
    if (!all_done) return false;
    if (step.awaits != 0) {
      const Meeting& meeting = groups_[step.awaits];
      if (meeting.arrived < plan_.groups[step.awaits - 1].arrivals) return false;
      there = std::max(there, meeting.last);
    }
    play(thread, step, graph_.awaited_ns(step), there);
    return true;
  }

  void play(Thread& thread, const Step& step, uint64_t recorded, uint64_t there) {
    uint64_t end = thread.now;
    if (step.until == 0) {  // a poll takes the time that what it waits for takes
      uint64_t start = begin_of(thread, step, recorded, there);
      if (step.starts != 0) begin(step.starts, start);
      end = step.arrival ? start : end_of(step, start, recorded, there);
    }
    if (step.arrives_at != 0) {
      Meeting& meeting = groups_[step.arrives_at];
      ++meeting.arrived;
      meeting.last = std::max(meeting.last, end);
    }
    thread.now = end;
    thread.done.push_back(end);
  }

  uint64_t begin_of(const Thread& thread, const Step& step, uint64_t recorded, uint64_t there) const {
    const Event& event = graph_.event(step);
    if (Graph::waits_within(step)) return thread.now + step.gap_ns;
    if (step.tick_ns != 0 && recorded != 0 && recorded < event.enter_ns)
      return std::max(thread.now, there) + std::min(step.tick_ns, event.enter_ns - recorded);
    uint64_t since = step.base.count != 0 ? std::max(thread.now + step.before_ns, done_at(step.base)) : thread.now;
    return std::max(since + step.gap_ns, there);
  }

  uint64_t end_of(const Step& step, uint64_t start, uint64_t recorded, uint64_t there) const {
    const Event& event = graph_.event(step);
    if (Graph::waits_within(step)) {
      uint64_t from = std::max(event.enter_ns, recorded);
      return std::max(start, there) + (event.exit_ns() > from ? event.exit_ns() - from : 0);
    }
    if (step.starts != 0 && event.op != trace::Op::fork) return start;  // vfork ends when its child lets it
    if (event.op == trace::Op::held && !otherwise_.held_up) return start;
    if (!graph_.is_storage(step)) return start + event.duration_ns;
    return start + static_cast<uint64_t>(static_cast<double>(event.duration_ns) / otherwise_.faster);
  }

  const Graph& graph_;
  const Plan& plan_;
  Otherwise otherwise_;
  std::vector<Thread> threads_;  // by number
  std::vector<Meeting> groups_;  // by place + 1
  std::vector<uint32_t> ready_;
};

}  // namespace

std::vector<std::vector<uint64_t>> simulated_ends(const Graph& graph, const Otherwise& otherwise) {
  return Simulation(graph, otherwise).run();
}

uint64_t simulated_ns(const Graph& graph, const Otherwise& otherwise) {
  uint64_t end = 0;
  for (const std::vector<uint64_t>& ends : simulated_ends(graph, otherwise))
    if (!ends.empty()) end = std::max(end, ends.back());
  return end;
}

}  // namespace reel::report

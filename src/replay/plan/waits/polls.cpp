// SPDX-License-Identifier: Apache-2.0
//
// Polling, found.
#include "replay/plan/waits/polls.h"

#include <errno.h>

#include <algorithm>

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;

bool may_poll(const Event& event) {
  return event.path != 0 && (event.result == -ENOENT || event.result == -EEXIST);
}

bool is_same_call(const Event& a, const Event& b) {
  return a.op == b.op && a.path == b.path && a.path2 == b.path2 && a.flags == b.flags;
}

}  // namespace

std::unordered_map<uint32_t, uint32_t> find_polls(const trace::Trace& trace) {
  std::unordered_map<uint32_t, uint32_t> found;
  for (const std::vector<uint32_t>& calls : trace.by_thread()) {
    std::vector<uint32_t> chain;  // of one call made again, and what lies between
    for (uint32_t index : calls) {
      const Event& event = trace.events[index];
      if (event.op == Op::compute) continue;
      if (event.op == Op::poll) {
        if (!chain.empty()) chain.push_back(index);
        continue;
      }
      bool again = !chain.empty() && is_same_call(trace.events[chain.front()], event);
      if (again && event.result != trace.events[chain.front()].result)
        for (uint32_t poll : chain) found[poll] = index;
      bool goes_on = again && event.result == trace.events[chain.front()].result;
      if (!goes_on) chain.clear();
      if (may_poll(event)) chain.push_back(index);
    }
  }
  return found;
}

Polls::Polls(Walk& walk) : walk_(walk), under_way_(walk.trace.threads.size() + 1) {
  if (walk.options.causal) calls_ = find_polls(walk.trace);
}

void Polls::add(const At& at) {
  under_way_[at.event.thread].push_back(at.me.count - 1);
}

void Polls::end(At& at) {
  std::vector<uint32_t>& polls = under_way_[at.event.thread];
  if (polls.empty()) return;
  std::vector<Step>& steps = walk_.plan.threads[at.event.thread - 1];
  uint64_t looks = 0;
  for (uint32_t poll : polls) {
    steps[poll].until = at.me.count;
    if (walk_.trace.events[steps[poll].event].op == at.event.op) ++looks;
  }
  uint64_t since = walk_.trace.events[steps[polls.front()].event].enter_ns;
  at.step.tick_ns = (at.event.enter_ns - since) / std::max<uint64_t>(looks, 1);
  polls.clear();
}

}  // namespace reel::replay

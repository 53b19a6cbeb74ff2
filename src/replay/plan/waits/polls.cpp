// SPDX-License-Identifier: Apache-2.0
//
// Polling, found.
#include "replay/plan/waits/polls.h"

#include <errno.h>

#include <vector>

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

}  // namespace reel::replay

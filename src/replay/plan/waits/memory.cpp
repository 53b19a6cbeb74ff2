// SPDX-License-Identifier: Apache-2.0
//
// See memory.h.
#include "replay/plan/waits/memory.h"

#include <algorithm>
#include <string>

namespace reel::replay {

using trace::Op;

Memory::Memory(Walk& walk)
    : walk_(walk),
      matched_(trace::match_in_memory(walk.trace)),
      first_group_(static_cast<uint32_t>(walk.plan.groups.size())) {
  for (const std::vector<uint32_t>& members : matched_.meetings) {
    Group group;
    group.arrivals = static_cast<uint32_t>(members.size());
    for (uint32_t member : members) group.last_ns = std::max(group.last_ns, walk.trace.events[member].enter_ns);
    walk.plan.groups.push_back(group);
  }
}

void Memory::tell_doubts() const {
  if (matched_.unmatched == 0) return;
  walk_.plan.doubts.push_back(std::to_string(matched_.unmatched) +
                              " waits at barriers in memory have a part that was not recorded");
}

void Memory::arrive(At& at) {
  at.step.skip = Skip::waiting;
  arrivals_[at.step.event] = at.me;
  auto meeting = matched_.meeting.find(at.step.event);
  if (meeting != matched_.meeting.end()) at.step.arrives_at = first_group_ + meeting->second + 1;
}

void Memory::wait(At& at) {
  at.step.skip = Skip::waiting;
  at.step.waits = true;
  walk_.needs.because(Why::memory);
  if (auto meeting = matched_.meeting.find(at.step.event); meeting != matched_.meeting.end())
    return await_meeting(at, meeting->second);
  if (auto givers = matched_.after.find(at.step.event); givers != matched_.after.end()) {
    for (uint32_t giver : givers->second)
      if (auto arrival = arrivals_.find(giver); arrival != arrivals_.end()) walk_.needs.add(arrival->second);
    return;
  }
  auto by = static_cast<uint32_t>(at.event.arg);
  bool ended = at.event.op == Op::futex_wait && at.event.arg2 == 0 && by != 0 && by <= walk_.plan.threads.size();
  // What came before its end is here, at least.
  if (ended) walk_.needs.add({by, static_cast<uint32_t>(walk_.plan.threads[by - 1].size())});
}

void Memory::await_meeting(At& at, uint32_t number) {
  const std::vector<uint32_t>& members = matched_.meetings[number];
  // Who left before another had come was at another turn of it.
  bool all = std::all_of(members.begin(), members.end(), [&](uint32_t member) { return arrivals_.count(member) != 0; });
  if (!all) return;
  for (uint32_t member : members) walk_.needs.learn(arrivals_.at(member));
  at.step.awaits = first_group_ + number + 1;
}

}  // namespace reel::replay

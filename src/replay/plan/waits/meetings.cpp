// SPDX-License-Identifier: Apache-2.0
//
// See meetings.h.
#include "replay/plan/waits/meetings.h"

#include <algorithm>
#include <optional>

namespace reel::replay {
namespace {

using trace::Collective;
using trace::Event;
using trace::Op;

// A send that took no longer did not wait for who receives.
constexpr uint64_t kAtOnce = 50'000;

}  // namespace

Meetings::Meetings(Walk& walk) : walk_(walk) {
  if (!walk.options.causal) return;
  messages_ = trace::match_messages(walk.trace);
  for (const trace::Messages::Group& group : messages_.groups) {
    Group made;
    made.arrivals = static_cast<uint32_t>(group.members.size());
    for (uint32_t member : group.members) made.last_ns = std::max(made.last_ns, walk_.trace.events[member].enter_ns);
    walk_.plan.groups.push_back(made);
  }
}

void Meetings::tell_doubts() const {
  auto doubt = [&](uint64_t count, const char* text) {
    if (count != 0) walk_.plan.doubts.push_back(std::to_string(count) + text);
  };
  doubt(messages_.unmatched, " messages or meetings of ranks have a part that was not recorded");
  doubt(late_, " messages came before they were sent, by the trace's clocks: they are not waited for");
}

bool Meetings::is_apart(uint32_t event) const {
  if (!walk_.options.causal) return false;
  switch (walk_.trace.events[event].op) {
    case Op::mpi_init:
    case Op::mpi_send:
    case Op::mpi_recv:
    case Op::mpi_isend:
    case Op::mpi_irecv:
    case Op::mpi_icollective:
      return true;
    case Op::mpi_collective: {
      auto group = messages_.group.find(event);
      if (group == messages_.group.end()) return false;
      const std::vector<uint32_t>& members = messages_.groups[group->second].members;
      return std::find(members.begin(), members.end(), event) != members.end();
    }
    default:
      return false;
  }
}

void Meetings::arrive(At& at) {
  at.step.skip = Skip::message;
  arrivals_[at.step.event] = at.me;
  auto group = messages_.group.find(at.step.event);
  if (group != messages_.group.end()) at.step.arrives_at = group->second + 1;
}

void Meetings::await_message(At& at, uint32_t sent) {
  auto arrival = arrivals_.find(sent);
  if (arrival == arrivals_.end()) {
    ++late_;
    return;
  }
  walk_.needs.because(Why::message);
  walk_.needs.add(arrival->second);
  at.step.waits = true;
}

bool Meetings::came_meanwhile(const At& at, uint32_t other) const {
  uint64_t there = walk_.trace.events[other].enter_ns;
  return at.event.duration_ns > kAtOnce && there > at.event.enter_ns && there <= at.event.exit_ns();
}

// A send ends when its receiver is there, if it has to, or as it did.
void Meetings::await_receiver(At& at, uint32_t sent, bool always) {
  auto receiver = messages_.peer.find(sent);
  if (receiver == messages_.peer.end()) return;
  if (always || came_meanwhile(at, receiver->second)) await_message(at, receiver->second);
}

// What a collective sends may have to be received first: much, or a little behind much. By whom depends on how MPI does
// it (Open MPI gathers along a tree), but who came last until the call was over let it go on.
void Meetings::await_taker(At& at, const trace::Messages::Group& group) {
  std::optional<uint32_t> last;
  auto enter = [&](uint32_t member) { return walk_.trace.events[member].enter_ns; };
  for (uint32_t member : group.members) {
    bool let_go = arrivals_.count(member) != 0 && came_meanwhile(at, member);
    if (let_go && (!last || enter(member) > enter(*last))) last = member;
  }
  if (last) await_message(at, *last);
}

void Meetings::await_group(At& at, uint32_t number) {
  const trace::Messages::Group& group = messages_.groups[number];
  auto rank = messages_.ranks.find(walk_.trace.threads[at.event.thread - 1].process);
  uint32_t mine = rank == messages_.ranks.end() ? ~0u : rank->second;
  auto rank_of = [&](uint32_t member) {
    return messages_.ranks.at(walk_.trace.threads[walk_.trace.events[member].thread - 1].process);
  };
  auto wait_for = [&](auto wanted) {
    for (uint32_t member : group.members)
      if (wanted(rank_of(member))) await_message(at, member);
  };
  switch (group.kind) {
    case Collective::broadcast:
    case Collective::scatter:
      wait_for([&](uint32_t other) { return other == group.root && other != mine; });
      return await_taker(at, group);
    case Collective::scan:
    case Collective::exscan:
      wait_for([&](uint32_t other) { return other < mine; });
      return await_taker(at, group);
    case Collective::gather:
    case Collective::reduce:
      if (mine != group.root) return await_taker(at, group);
      break;
    default:
      break;
  }
  // Who left before another had come did not wait for it, whatever the call's name says.
  bool all = std::all_of(group.members.begin(), group.members.end(),
                         [&](uint32_t member) { return arrivals_.count(member) != 0; });
  if (!all) return;
  for (uint32_t member : group.members) walk_.needs.learn(arrivals_.at(member));
  at.step.awaits = number + 1;
  at.step.waits = true;
}

void Meetings::plan(At& at) {
  at.step.skip = walk_.options.causal ? Skip::message : Skip::waiting;
  if (!walk_.options.causal) return;
  uint32_t index = at.step.event;
  auto group = messages_.group.find(index);
  auto peer = messages_.peer.find(index);
  switch (at.event.op) {
    case Op::mpi_init:
    case Op::mpi_collective:
      if (group != messages_.group.end()) await_group(at, group->second);
      return;
    case Op::mpi_recv:
      if (peer != messages_.peer.end()) await_message(at, peer->second);
      return;
    case Op::mpi_send:
      return await_receiver(at, index, at.event.arg2 == 1);
    case Op::mpi_wait:
    case Op::mpi_probe:
      return await_done(at);
    default:
      return;
  }
}

void Meetings::await_done(At& at) {
  auto done = messages_.done.find(at.step.event);
  if (done == messages_.done.end()) return;
  for (uint32_t posted : done->second) {
    auto of = messages_.group.find(posted);
    if (of != messages_.group.end())
      await_group(at, of->second);
    else if (at.event.op == Op::mpi_probe)
      await_message(at, posted);
    else if (walk_.trace.events[posted].op == Op::mpi_isend)
      await_receiver(at, posted, false);
    else if (auto sent = messages_.peer.find(posted); sent != messages_.peer.end())
      await_message(at, sent->second);
  }
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Steps about descriptors. A number in a process's table becomes a slot of the replay; which one is
// known ahead.
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>

#include "replay/plan/steps/planner.h"

namespace reel::replay {
namespace {

using trace::Descriptor;
using trace::Event;
using trace::Op;

constexpr uint64_t kCloseRangeCloexec = 4;

}  // namespace

// The number leads to `description` now; what it led to before is closed by the call itself.
SlotId Planner::give(At& at, Descriptor fd, std::shared_ptr<Description> description, bool close_on_exec) {
  auto slot = static_cast<SlotId>(slots_.size());
  slots_.emplace_back().description = std::move(description);
  slots_.back().stage.change(at.me, needs_.because(Why::descriptor));
  at.process.table[fd.number] = {slot, fd.generation, close_on_exec};
  return slot;
}

// False: the step is not played. A number that was not open is slot 0, and is played: it fails.
bool Planner::use_slot(At& at, Descriptor fd, SlotId& slot) {
  auto entry = at.process.table.find(fd.number);
  bool open = entry != at.process.table.end() && entry->second.generation == fd.generation;
  if (!open) {
    if (at.event.result == -EBADF) return true;
    at.step.skip = Skip::outside;
    return false;
  }
  slot = entry->second.slot;
  slots_[slot].stage.use(at.me, needs_.because(Why::descriptor));
  const Description& used = *slots_[slot].description;
  if (used.stream) at.step.stream = true;
  if (used.skip == Skip::none) return true;
  at.step.skip = used.skip;
  return false;
}

void Planner::close_slot(At& at, SlotId slot, bool effect) {
  slots_[slot].stage.change(at.me, needs_.because(Why::descriptor));
  const Description& closed = *slots_[slot].description;
  if (closed.outgoing) closed.outgoing->closed = {at.me.thread, at.me.count, Why::stream};
  auto locked = locks_.find(closed.object);
  if (locked != locks_.end() && !closed.object.is_zero()) locked->second.next(at.me, needs_.because(Why::lock));
  if (effect && closed.skip == Skip::none) add_effect(plan_, at.step, {slot, 0});
}

void Planner::plan_descriptors(At& at) {
  const Event& event = at.event;
  switch (event.op) {
    case Op::close:
      return plan_close(at);
    case Op::close_range:
      return plan_close_range(at);
    case Op::dup:
    case Op::dup2:
      return plan_copy_descriptor(at);
    case Op::pipe:
    case Op::socketpair:
      return plan_pair(at);
    case Op::fcntl: {
      use_slot(at, event.fd, at.step.slot);
      if (event.arg == F_SETFL && !event.failed() && at.step.slot != 0)
        description(at.step.slot)->append = (event.flags & O_APPEND) != 0;
      auto entry = at.process.table.find(event.fd.number);
      if (event.arg == F_SETFD && !event.failed() && entry != at.process.table.end())
        entry->second.close_on_exec = (event.flags & FD_CLOEXEC) != 0;
      return;
    }
    case Op::connect:
      use_slot(at, event.fd, at.step.slot);
      at.step.skip = Skip::socket;
      return connect_ends(at, at.step.slot, false);
    default: {  // socket, accept, other_fd, uring_setup
      at.step.skip = Skip::socket;
      if (event.failed()) return;
      auto made = std::make_shared<Description>();
      made->skip = Skip::socket;
      bool close_on_exec = ((event.flags | event.mode) & O_CLOEXEC) != 0;
      SlotId slot = give(at, event.fd2, made, close_on_exec);
      if (event.op == Op::accept) connect_ends(at, slot, true);
    }
  }
}

void Planner::plan_close(At& at) {
  auto entry = at.process.table.find(at.event.fd.number);
  bool playable = use_slot(at, at.event.fd, at.step.slot);
  if (at.step.slot == 0 || at.event.result == -EBADF) return;
  if (playable) at.step.stream = false;
  close_slot(at, at.step.slot, false);
  at.process.table.erase(entry);
}

void Planner::plan_close_range(At& at) {
  const Event& event = at.event;
  at.step.skip = Skip::context;  // what it closes are effects
  if (event.failed()) return;
  auto& table = at.process.table;
  auto begin = table.lower_bound(event.fd.number);
  auto end = event.fd2.number < 0 ? table.end() : table.upper_bound(event.fd2.number);
  while (begin != end) {
    if ((event.flags & kCloseRangeCloexec) != 0) {
      begin->second.close_on_exec = true;
      ++begin;
      continue;
    }
    close_slot(at, begin->second.slot, true);
    begin = table.erase(begin);
  }
}

void Planner::plan_copy_descriptor(At& at) {
  const Event& event = at.event;
  use_slot(at, event.fd, at.step.slot);
  at.step.stream = false;
  if (event.failed()) return;
  bool same = event.op == Op::dup2 && event.fd.number == event.fd2.number;
  if (same) return;
  std::shared_ptr<Description> shared;
  if (at.step.slot != 0) {
    shared = slots_[at.step.slot].description;
  } else {
    shared = std::make_shared<Description>();
    shared->skip = Skip::outside;
  }
  auto before = at.process.table.find(event.fd2.number);
  if (event.op == Op::dup2 && before != at.process.table.end()) {
    SlotId old = before->second.slot;
    bool played = slots_[old].description->skip == Skip::none;
    // A call that is not played closes what it replaces all the same.
    close_slot(at, old, at.step.skip != Skip::none);
    if (played && at.step.skip == Skip::none) at.step.replaces = old;
  }
  at.step.slot2 = give(at, event.fd2, shared, (event.flags & O_CLOEXEC) != 0);
}

void Planner::plan_pair(At& at) {
  const Event& event = at.event;
  if (event.failed()) return;
  bool local = event.op == Op::pipe || (event.arg == AF_UNIX && (event.mode & 0xf) == SOCK_STREAM);
  bool close_on_exec = ((event.flags | (event.op == Op::socketpair ? event.mode : 0)) & O_CLOEXEC) != 0;
  auto stream = std::make_shared<Stream>();
  const std::shared_ptr<Flow> there = make_flow(), back = event.op == Op::pipe ? nullptr : make_flow();
  if (!local) at.step.skip = Skip::socket;
  SlotId ends[2];
  const Descriptor fds[2] = {event.fd, event.fd2};
  for (int i = 0; i < 2; ++i) {
    auto end = std::make_shared<Description>();
    end->stream = stream;
    end->incoming = i == 0 ? there : back;
    end->outgoing = i == 0 ? back : there;
    if (!local) end->skip = Skip::socket;
    ends[i] = give(at, fds[i], end, close_on_exec);
  }
  at.step.slot = ends[0];
  at.step.slot2 = ends[1];
}

}  // namespace reel::replay

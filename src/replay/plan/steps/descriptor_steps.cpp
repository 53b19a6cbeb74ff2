// SPDX-License-Identifier: Apache-2.0
//
// See descriptor_steps.h.
#include "replay/plan/steps/descriptor_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

namespace reel::replay {
namespace {

using trace::Descriptor;
using trace::Event;
using trace::Op;

constexpr uint64_t kCloseRangeCloexec = 4;

}  // namespace

void DescriptorSteps::plan(At& at) {
  switch (at.event.op) {
    case Op::close:
      return close(at);
    case Op::close_range:
      return close_range(at);
    case Op::dup:
    case Op::dup2:
      return copy(at);
    case Op::pipe:
    case Op::socketpair:
      return make_pair(at);
    case Op::fcntl:
      return control(at);
    case Op::connect:
      descriptors_.use(at, at.event.fd, at.step.slot);
      at.step.skip = Skip::socket;
      if (at.step.slot != 0) flows_.connect(at.event, descriptors_.description(at.step.slot).ends);
      return;
    default:  // socket, accept, other_fd, uring_setup
      return make_other(at);
  }
}

void DescriptorSteps::control(At& at) {
  const Event& event = at.event;
  descriptors_.use(at, event.fd, at.step.slot);
  if (event.failed()) return;
  if (event.arg == F_SETFL && at.step.slot != 0)
    descriptors_.description(at.step.slot).append = (event.flags & O_APPEND) != 0;
  auto entry = at.process.table.find(event.fd.number);
  if (event.arg == F_SETFD && entry != at.process.table.end())
    entry->second.close_on_exec = (event.flags & FD_CLOEXEC) != 0;
}

void DescriptorSteps::make_other(At& at) {
  const Event& event = at.event;
  at.step.skip = Skip::socket;
  if (event.failed()) return;
  auto made = std::make_shared<Description>();
  made->skip = Skip::socket;
  bool close_on_exec = ((event.flags | event.mode) & O_CLOEXEC) != 0;
  descriptors_.give(at, event.fd2, made, close_on_exec);
  if (event.op == Op::accept) flows_.connect(event, made->ends);
}

void DescriptorSteps::close(At& at) {
  auto entry = at.process.table.find(at.event.fd.number);
  bool playable = descriptors_.use(at, at.event.fd, at.step.slot);
  if (at.step.slot == 0 || at.event.result == -EBADF) return;
  if (playable) at.step.stream = false;
  descriptors_.close(at, at.step.slot, false);
  at.process.table.erase(entry);
}

void DescriptorSteps::close_range(At& at) {
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
    descriptors_.close(at, begin->second.slot, true);
    begin = table.erase(begin);
  }
}

void DescriptorSteps::copy(At& at) {
  const Event& event = at.event;
  descriptors_.use(at, event.fd, at.step.slot);
  at.step.stream = false;
  if (event.failed()) return;
  bool same = event.op == Op::dup2 && event.fd.number == event.fd2.number;
  if (same) return;
  std::shared_ptr<Description> shared;
  if (at.step.slot != 0) {
    shared = descriptors_.shared(at.step.slot);
  } else {
    shared = std::make_shared<Description>();
    shared->skip = Skip::outside;
  }
  auto before = at.process.table.find(event.fd2.number);
  if (event.op == Op::dup2 && before != at.process.table.end()) {
    SlotId old = before->second.slot;
    bool played = descriptors_.description(old).skip == Skip::none;
    // A call that is not played closes what it replaces all the same.
    descriptors_.close(at, old, at.step.skip != Skip::none);
    if (played && at.step.skip == Skip::none) at.step.replaces = old;
  }
  at.step.slot2 = descriptors_.give(at, event.fd2, shared, (event.flags & O_CLOEXEC) != 0);
}

void DescriptorSteps::make_pair(At& at) {
  const Event& event = at.event;
  if (event.failed()) return;
  bool local = event.op == Op::pipe || (event.arg == AF_UNIX && (event.mode & 0xf) == SOCK_STREAM);
  bool close_on_exec = ((event.flags | (event.op == Op::socketpair ? event.mode : 0)) & O_CLOEXEC) != 0;
  auto [first, second] = flows_.make_pair(event.op == Op::socketpair);
  if (!local) at.step.skip = Skip::socket;
  SlotId ends[2];
  const Descriptor fds[2] = {event.fd, event.fd2};
  for (int i = 0; i < 2; ++i) {
    auto end = std::make_shared<Description>();
    end->ends = i == 0 ? first : second;
    if (!local) end->skip = Skip::socket;
    ends[i] = descriptors_.give(at, fds[i], end, close_on_exec);
  }
  at.step.slot = ends[0];
  at.step.slot2 = ends[1];
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// See data_steps.h.
#include "replay/plan/steps/data_steps.h"

#include <fcntl.h>
#include <unistd.h>

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;

// By the descriptor's position.
bool uses_position(Op op) {
  switch (op) {
    case Op::read:
    case Op::readv:
    case Op::write:
    case Op::writev:
    case Op::lseek:
    case Op::getdents:
      return true;
    default:
      return false;
  }
}

}  // namespace

void DataSteps::read(At& at, SlotId slot, uint64_t offset, uint64_t length, int64_t result) {
  const Description& from = descriptors_.description(slot);
  if (from.ends.stream) return flows_.read(at, from.ends, result);
  if (result >= 0) files_.read(at, from.object, from.initial, offset, length, static_cast<uint64_t>(result));
}

void DataSteps::write(At& at, SlotId slot, uint64_t offset, int64_t result) {
  const Description& to = descriptors_.description(slot);
  if (to.ends.stream) return flows_.write(at, to.ends, result);
  if (result > 0) files_.write(at, to.object, to.append, offset, static_cast<uint64_t>(result));
}

// A step that is not made; in time it is a message.
void DataSteps::transfer_by_socket(At& at) {
  if (at.step.skip != Skip::socket || at.step.slot == 0) return;
  const Ends& ends = descriptors_.description(at.step.slot).ends;
  if (!ends.incoming) return;
  at.step.skip = Skip::message;
  switch (trace::type_of(at.event.op)) {
    case RecordType::read:
    case RecordType::recv:
      return flows_.read(at, ends, at.event.result);
    case RecordType::write:
    case RecordType::send:
      return flows_.write(at, ends, at.event.result);
    default:
      return;
  }
}

void DataSteps::transfer(At& at) {
  const Event& event = at.event;
  if (!descriptors_.use(at, event.fd, at.step.slot) || at.step.slot == 0) return transfer_by_socket(at);
  Description& file = descriptors_.description(at.step.slot);
  if (uses_position(event.op) && !file.ends.stream) file.position.next(at.me, walk_.needs.because(Why::descriptor));
  switch (trace::type_of(event.op)) {
    case RecordType::read:
    case RecordType::recv:
      return read(at, at.step.slot, event.offset, event.length, event.result);
    case RecordType::write:
    case RecordType::send:
      return write(at, at.step.slot, event.offset, event.result);
    case RecordType::readdir:
      if (file.directory && file.node != 0) names_.listed(file.node, at.me);
      return;
    default:
      break;
  }
  if (event.op == Op::lseek && event.flags >= SEEK_END) read(at, at.step.slot, 0, 1, 0);
  if (event.op == Op::fallocate && !event.failed()) {
    bool keeps_size = event.mode != 0;
    write(at, at.step.slot, event.offset, keeps_size ? 0 : static_cast<int64_t>(event.length));
  }
}

void DataSteps::copy(At& at) {
  const Event& event = at.event;
  bool from = descriptors_.use(at, event.fd, at.step.slot);
  Skip skip = at.step.skip;
  bool to = descriptors_.use(at, event.fd2, at.step.slot2);
  if (at.step.skip == Skip::none) at.step.skip = skip;
  if (!from || !to || at.step.slot == 0 || at.step.slot2 == 0) return;
  Description &source = descriptors_.description(at.step.slot), &target = descriptors_.description(at.step.slot2);
  if ((event.flags & 1) == 0 && !source.ends.stream) source.position.next(at.me, walk_.needs.because(Why::descriptor));
  if ((event.flags & 2) == 0 && !target.ends.stream) target.position.next(at.me, walk_.needs.because(Why::descriptor));
  int64_t moved = event.result;
  if (event.op == Op::clone_range && moved == 0) moved = static_cast<int64_t>(event.length);
  read(at, at.step.slot, event.offset, event.length, moved);
  write(at, at.step.slot2, event.arg2, moved);
}

void DataSteps::lock(At& at) {
  const Event& event = at.event;
  if (!descriptors_.use(at, event.fd, at.step.slot) || at.step.slot == 0) return;
  files_.lock(at, descriptors_.description(at.step.slot).object);
}

void DataSteps::map(At& at) {
  const Event& event = at.event;
  if (event.op == Op::mremap) at.step.skip = Skip::unsupported;
  if (event.op != Op::mmap) return;
  if (event.fd.number < 0) {
    at.step.skip = Skip::unsupported;
    return;
  }
  if (descriptors_.use(at, event.fd, at.step.slot) && at.step.slot != 0)
    files_.touch(at, descriptors_.description(at.step.slot).object);
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Steps that read, write, lock and map.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "replay/plan/steps/planner.h"

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

uint64_t* Planner::size_of(const Fid& object) {
  auto at = sizes_.find(object);
  return at == sizes_.end() ? nullptr : &at->second;
}

// ARTC's rule for files, when asked for: one call after the other.
void Planner::touch(At& at, const Fid& object) {
  if (options_.strict && !object.is_zero()) strict_[object].next(at.me, needs_.because(Why::order));
}

void Planner::read_at(At& at, SlotId slot, uint64_t offset, uint64_t length, int64_t result) {
  const Description& from = *description(slot);
  if (from.stream) {
    if (result > 0) from.stream->read += static_cast<uint64_t>(result);
    return read_flow(at, from, result);
  }
  if (from.object.is_zero() || result < 0) return;
  auto got = static_cast<uint64_t>(result);
  const uint64_t* size = size_of(from.object);
  Extent& extent = extents_[from.object];
  bool known = options_.causal && data_[from.object].covers(offset, offset + got);
  if (got < length)
    extent.read_to_end(at.me, size ? *size : 0, needs_.because(Why::size));
  else if (known)
    extent.read_written(at.me, needs_.because(Why::size));
  else
    extent.read(at.me, needs_.because(Why::size));
  if (options_.causal) data_[from.object].read(offset, offset + got, needs_.because(Why::data));
  touch(at, from.object);
  // It was at least so long, if nothing was written yet.
  if (from.initial == 0 || written_.count(from.object) != 0 || got == 0) return;
  Initial& initial = plan_.initial[from.initial - 1];
  if (initial.known != trace::Known::before) initial.size = std::max(initial.size, offset + got);
}

void Planner::write_at(At& at, SlotId slot, uint64_t offset, int64_t result) {
  const Description& to = *description(slot);
  if (to.stream) {
    if (result > 0) to.stream->written += static_cast<uint64_t>(result);
    return write_flow(at, to, result);
  }
  if (to.object.is_zero() || result <= 0) return;
  uint64_t end = offset + static_cast<uint64_t>(result);
  uint64_t* size = size_of(to.object);
  Extent& extent = extents_[to.object];
  if (to.append)
    extent.append(at.me, size ? *size : 0, needs_.because(Why::size));
  else
    extent.write(at.me, end, size ? *size : 0, needs_.because(Why::size));
  if (size) *size = std::max(*size, end);
  written_.insert(to.object);
  if (options_.causal) data_[to.object].write(offset, end, at.me);
  touch(at, to.object);
}

// Everything else by descriptor: reads, writes, seeks, syncs, listings.
void Planner::plan_data(At& at) {
  const Event& event = at.event;
  if (!use_slot(at, event.fd, at.step.slot) || at.step.slot == 0) return plan_socket_data(at);
  Description& file = *description(at.step.slot);
  if (uses_position(event.op) && !file.stream) file.position.next(at.me, needs_.because(Why::descriptor));
  switch (trace::type_of(event.op)) {
    case RecordType::read:
    case RecordType::recv:
      return read_at(at, at.step.slot, event.offset, event.length, event.result);
    case RecordType::write:
    case RecordType::send:
      return write_at(at, at.step.slot, event.offset, event.result);
    case RecordType::readdir:
      if (file.directory && file.node != 0) names_.listed(file.node, at.me);
      return;
    default:
      break;
  }
  if (event.op == Op::lseek && event.flags >= SEEK_END) read_at(at, at.step.slot, 0, 1, 0);
  if (event.op == Op::fallocate && !event.failed()) {
    bool keeps_size = event.mode != 0;
    write_at(at, at.step.slot, event.offset, keeps_size ? 0 : static_cast<int64_t>(event.length));
  }
}

void Planner::plan_copy(At& at) {
  const Event& event = at.event;
  bool from = use_slot(at, event.fd, at.step.slot);
  Skip skip = at.step.skip;
  bool to = use_slot(at, event.fd2, at.step.slot2);
  if (at.step.skip == Skip::none) at.step.skip = skip;
  if (!from || !to || at.step.slot == 0 || at.step.slot2 == 0) return;
  Description &source = *description(at.step.slot), &target = *description(at.step.slot2);
  if ((event.flags & 1) == 0 && !source.stream) source.position.next(at.me, needs_.because(Why::descriptor));
  if ((event.flags & 2) == 0 && !target.stream) target.position.next(at.me, needs_.because(Why::descriptor));
  int64_t moved = event.result;
  if (event.op == Op::clone_range && moved == 0) moved = static_cast<int64_t>(event.length);
  read_at(at, at.step.slot, event.offset, event.length, moved);
  write_at(at, at.step.slot2, event.arg2, moved);
}

void Planner::plan_lock(At& at) {
  const Event& event = at.event;
  if (!use_slot(at, event.fd, at.step.slot) || at.step.slot == 0) return;
  const Fid& object = description(at.step.slot)->object;
  if (!object.is_zero()) locks_[object].next(at.me, needs_.because(Why::lock));
}

void Planner::plan_mapping(At& at) {
  const Event& event = at.event;
  if (event.op == Op::mremap) at.step.skip = Skip::unsupported;
  if (event.op != Op::mmap) return;
  if (event.fd.number < 0) {
    at.step.skip = Skip::unsupported;
    return;
  }
  if (use_slot(at, event.fd, at.step.slot) && at.step.slot != 0) touch(at, description(at.step.slot)->object);
}

}  // namespace reel::replay

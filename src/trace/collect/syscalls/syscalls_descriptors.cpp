// SPDX-License-Identifier: Apache-2.0
//
// System calls that give out, copy and close descriptors.
#include <fcntl.h>
#include <sys/syscall.h>

#include "base/codec.h"
#include "trace/collect/syscalls/conversion.h"

namespace reel::trace {

void Conversion::descriptors() {
  switch (call_.shape->number) {
    case SYS_open:
      e_.flags = word(a_[1]);
      e_.mode = word(a_[2]);
      break;
    case SYS_creat:
      e_.flags = O_CREAT | O_WRONLY | O_TRUNC;
      e_.mode = word(a_[1]);
      break;
    case SYS_openat:
      e_.flags = word(a_[2]);
      e_.mode = word(a_[3]);
      break;
    case SYS_openat2:
      if (!call_.has_blob) break;
      e_.flags = word(load_le<uint64_t>(call_.blob));
      e_.mode = word(load_le<uint64_t>(call_.blob + 8));
      raw_.arg = load_le<uint64_t>(call_.blob + 16);
      break;
    case SYS_dup:
      e_.fd2 = int_of(static_cast<uint64_t>(call_.result));
      break;
    case SYS_dup2:
    case SYS_dup3:
      e_.fd2 = int_of(a_[1]);
      if (call_.shape->number == SYS_dup3) e_.flags = word(a_[2]);
      break;
    case SYS_fcntl:
      fcntl_call();
      break;
    case SYS_pipe:
    case SYS_pipe2:
    case SYS_socketpair:
      ends();
      break;
    case SYS_socket:
      raw_.arg = word(a_[0]);
      e_.mode = word(a_[1]);
      e_.fd = -1;
      break;
    case SYS_accept4:
      e_.flags = word(a_[3]);
      break;
    case SYS_close_range:
      e_.fd2 = a_[1] > INT32_MAX ? INT32_MAX : int_of(a_[1]);
      e_.flags = word(a_[2]);
      break;
    default:
      break;
  }
  if (call_.shape->op == Op::open && (e_.flags & O_CREAT) == 0 && (e_.flags & O_TMPFILE) != O_TMPFILE) e_.mode = 0;
  if (call_.shape->op == Op::other_fd) other_fd();
  bool gives = call_.shape->op == Op::open || call_.shape->op == Op::socket || call_.shape->op == Op::accept;
  if (gives && !failed()) e_.fd2 = int_of(static_cast<uint64_t>(call_.result));
}

void Conversion::other_fd() {
  e_.fd = -1;
  e_.fd2 = failed() ? -1 : int_of(static_cast<uint64_t>(call_.result));
}

void Conversion::ends() {
  bool pair = call_.shape->number == SYS_socketpair;
  e_.fd = -1;
  if (!failed() && call_.has_blob) {
    e_.fd = load_le<int32_t>(call_.blob);
    e_.fd2 = load_le<int32_t>(call_.blob + 4);
  }
  if (call_.shape->number == SYS_pipe2) e_.flags = word(a_[1]);
  if (!pair) return;
  raw_.arg = word(a_[0]);
  e_.mode = word(a_[1]);
}

void Conversion::fcntl_call() {
  uint64_t command = a_[1];
  raw_.arg = command;
  if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
    set(Op::dup);
    e_.fd2 = int_of(static_cast<uint64_t>(call_.result));
    e_.flags = command == F_DUPFD_CLOEXEC ? O_CLOEXEC : 0;
    raw_.arg = word(a_[2]);
  } else if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW) {
    set(Op::range_lock);
    if (!call_.has_blob) return;
    e_.mode = load_le<uint16_t>(call_.blob);
    e_.flags = load_le<uint16_t>(call_.blob + 2);
    e_.offset = load_le<uint64_t>(call_.blob + 8);
    e_.length = load_le<uint64_t>(call_.blob + 16);
  } else {
    e_.flags = word(a_[2]);
  }
}

}  // namespace reel::trace

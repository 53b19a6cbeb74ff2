// SPDX-License-Identifier: Apache-2.0
//
// System calls of processes, those that wait, and asynchronous I/O.
#include <sys/syscall.h>

#include "base/codec.h"
#include "trace/collect/syscalls/conversion.h"

namespace reel::trace {

void Conversion::processes() {
  switch (call_.shape->number) {
    case SYS_clone:
    case SYS_clone3: {
      uint64_t flags = call_.shape->number == SYS_clone ? a_[0] : load_le<uint64_t>(call_.blob);
      e_.mode = word(flags);
      e_.fd = -1;
      if ((flags & 0x10000) != 0)
        set(Op::clone_thread);  // CLONE_THREAD
      else if ((flags & 0x4000) != 0)
        set(Op::vfork);  // CLONE_VFORK
      break;
    }
    case SYS_fork:
    case SYS_vfork:
      e_.fd = -1;
      break;
    case SYS_exit:
    case SYS_exit_group:
      raw_.arg = word(a_[0]);
      e_.fd = -1;
      break;
    case SYS_wait4:
      e_.fd = -1;
      e_.flags = word(a_[2]);
      if (call_.result > 0 && call_.has_blob) e_.mode = load_le<uint32_t>(call_.blob);
      break;
    case SYS_waitid:
      e_.fd = -1;
      e_.flags = word(a_[3]);
      if (call_.result == 0 && call_.has_blob) {
        e_.result = load_le<int32_t>(call_.blob + 12);
        e_.mode = load_le<uint32_t>(call_.blob + 24);
      }
      break;
    case SYS_execve:
    case SYS_execveat:
      raw_.data = call_.argv;
      break;
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
      e_.mode = 1;
      e_.fd = -1;
      break;
    default:
      users();
      break;
  }
}

void Conversion::users() {
  switch (call_.shape->number) {
    case SYS_umask:
      e_.mode = word(a_[0]);
      e_.fd = -1;
      break;
    case SYS_setuid:
    case SYS_setreuid:
    case SYS_setresuid:
      e_.fd = -1;
      raw_.arg = word(a_[call_.shape->number == SYS_setuid ? 0 : 1]);
      raw_.arg2 = ~0u;
      break;
    case SYS_setgid:
    case SYS_setregid:
    case SYS_setresgid:
      e_.fd = -1;
      raw_.arg = ~0u;
      raw_.arg2 = word(a_[call_.shape->number == SYS_setgid ? 0 : 1]);
      break;
    default:
      asynchronous();
      break;
  }
}

void Conversion::asynchronous() {
  switch (call_.shape->number) {
    case SYS_io_setup:
      e_.fd = -1;
      raw_.arg = a_[0];
      raw_.arg2 = call_.has_blob ? load_le<uint64_t>(call_.blob) : 0;
      break;
    case SYS_io_destroy:
      e_.fd = -1;
      raw_.arg = a_[0];
      break;
    case SYS_io_submit:
      e_.fd = -1;
      raw_.arg = a_[0];
      e_.length = a_[1];
      raw_.data = call_.aio;
      break;
    case SYS_io_getevents:
    case SYS_io_pgetevents:
      e_.fd = -1;
      raw_.data = call_.aio;
      raw_.arg = a_[0];
      raw_.arg2 = a_[1];
      e_.length = a_[2];
      break;
    case SYS_io_uring_setup:
      e_.fd = -1;
      raw_.arg = a_[0];
      if (!failed()) e_.fd2 = int_of(static_cast<uint64_t>(call_.result));
      break;
    case SYS_io_uring_enter:
      e_.length = a_[1];
      raw_.arg2 = a_[2];
      break;
    case SYS_poll:
    case SYS_ppoll:
    case SYS_select:
    case SYS_pselect6:
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
      e_.fd = -1;
      break;
    default:
      break;
  }
}

}  // namespace reel::trace

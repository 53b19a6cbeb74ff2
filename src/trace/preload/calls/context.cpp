// SPDX-License-Identifier: Apache-2.0
//
// What later calls depend on (directory, umask, user), locks, waiting, and calls made by number.
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#define syscall unistd_syscall  // declared there with "...": ours names the registers
#include <unistd.h>
#undef syscall

#include "trace/preload/calls/aio.h"
#include "trace/preload/process_state.h"
#include "trace/preload/shim.h"

using namespace reel::trace;        // NOLINT: the whole file is about them
using namespace reel::trace::shim;  // NOLINT

REEL_EXPORT int chdir(const char* path) noexcept {
  REEL_REAL(int (*)(const char*), chdir);
  Call call(Op::chdir);
  call.fd = AT_FDCWD;
  call.path(path);
  return call.result(real(path));
}
REEL_EXPORT int fchdir(int fd) noexcept {
  REEL_REAL(int (*)(int), fchdir);
  Call call(Op::chdir);
  call.fd = fd;
  return call.result(real(fd));
}
REEL_EXPORT int chroot(const char* path) noexcept {
  REEL_REAL(int (*)(const char*), chroot);
  Call call(Op::chroot);
  call.fd = AT_FDCWD;
  call.path(path);
  return call.result(real(path));
}
REEL_EXPORT mode_t umask(mode_t mask) noexcept {
  REEL_REAL(mode_t(*)(mode_t), umask);
  Call call(Op::umask);
  call.mode = mask;
  mode_t before = real(mask);
  call.done(static_cast<long>(before));
  return before;
}

#define REEL_SETID(name, parameters, arguments, uid, gid)              \
  REEL_EXPORT int name parameters noexcept {                           \
    REEL_REAL(int(*) parameters, name);                                \
    Call call(Op::setid);                                              \
    call.args(static_cast<uint32_t>(uid), static_cast<uint32_t>(gid)); \
    return call.result(real arguments);                                \
  }
REEL_SETID(setuid, (uid_t id), (id), id, -1)
REEL_SETID(seteuid, (uid_t id), (id), id, -1)
REEL_SETID(setreuid, (uid_t r, uid_t e), (r, e), e, -1)
REEL_SETID(setresuid, (uid_t r, uid_t e, uid_t s), (r, e, s), e, -1)
REEL_SETID(setgid, (gid_t id), (id), -1, id)
REEL_SETID(setegid, (gid_t id), (id), -1, id)
REEL_SETID(setregid, (gid_t r, gid_t e), (r, e), -1, e)
REEL_SETID(setresgid, (gid_t r, gid_t e, gid_t s), (r, e, s), -1, e)

REEL_EXPORT int flock(int fd, int operation) noexcept {
  REEL_REAL(int (*)(int, int), flock);
  Call call(Op::flock);
  call.fd = fd;
  call.args(static_cast<uint32_t>(operation), 0);
  return call.result(real(fd, operation));
}
// By fcntl's locks, as libc does it.
#define REEL_LOCKF(name)                                       \
  REEL_EXPORT int name(int fd, int command, off_t length) {    \
    REEL_REAL(int (*)(int, int, off_t), name);                 \
    Call call(command == F_TEST ? Op::fcntl : Op::range_lock); \
    call.fd = fd;                                              \
    if (command == F_TEST) {                                   \
      call.args(F_GETLK, 0);                                   \
    } else {                                                   \
      call.args(command == F_LOCK ? F_SETLKW : F_SETLK, 0);    \
      call.mode = command == F_ULOCK ? F_UNLCK : F_WRLCK;      \
      call.flags = SEEK_CUR;                                   \
      call.length = static_cast<uint64_t>(length);             \
    }                                                          \
    return call.result(real(fd, command, length));             \
  }
REEL_LOCKF(lockf)
REEL_LOCKF(lockf64)

REEL_EXPORT int ioctl(int fd, unsigned long request, ...) noexcept {
  REEL_REAL(int (*)(int, unsigned long, ...), ioctl);
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (request == FICLONE || request == FICLONERANGE) {
    Call call(Op::clone_range);
    int result = real(fd, request, argument);
    call.fd2 = fd;
    call.fd = static_cast<int>(reinterpret_cast<intptr_t>(argument));
    if (request == FICLONERANGE && !(result < 0 && errno == EFAULT)) {
      const auto* range = static_cast<const struct file_clone_range*>(argument);
      call.fd = static_cast<int>(range->src_fd);
      call.offset = range->src_offset;
      call.length = range->src_length;
      call.args(0, range->dest_offset);
    }
    return call.result(result);
  }
  Call call(Op::ioctl);
  call.fd = fd;
  call.args(request, 0);
  return call.result(real(fd, request, argument));
}

// Allocators make calls this way to be alone with the kernel while they start, before the recorder does: those stay so.
// A log that has io_uring's requests not must say so. What is not about files goes on to libc's, with this function's
// frame gone (a vfork by number).
REEL_EXPORT long syscall(long number, long a, long b, long c, long d, long e, long f) noexcept {
  REEL_REAL(SyscallFn, syscall);
  if (!process().control) return real(number, a, b, c, d, e, f);
  long result = 0;
  if (make_by_number({number, a, b, c, d, e, f}, result)) return result;
  if (number == SYS_openat2) return record_openat2(real, a, b, c, d);
  if (is_aio(number)) return record_aio_syscall(real, number, a, b, c, d, e, f);
  if (number != SYS_io_uring_setup) return real(number, a, b, c, d, e, f);
  Call call(Op::uring_setup);
  call.args(static_cast<uint64_t>(a));
  call.fd2 = static_cast<int32_t>(real(number, a, b, c, d, e, f));
  return call.result(call.fd2);
}

#define REEL_WAITING(type, name, parameters, arguments, mode_value) \
  REEL_EXPORT type name parameters {                                \
    REEL_REAL(type(*) parameters, name);                            \
    Call call(Op::poll);                                            \
    call.mode = mode_value;                                         \
    return call.result(real arguments);                             \
  }
REEL_WAITING(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout), 0)
REEL_WAITING(int, ppoll, (struct pollfd * fds, nfds_t count, const struct timespec* timeout, const sigset_t* mask),
             (fds, count, timeout, mask), 0)
REEL_WAITING(int, select, (int count, fd_set* in, fd_set* out, fd_set* bad, struct timeval* timeout),
             (count, in, out, bad, timeout), 0)
REEL_WAITING(int, pselect,
             (int count, fd_set* in, fd_set* out, fd_set* bad, const struct timespec* timeout, const sigset_t* mask),
             (count, in, out, bad, timeout, mask), 0)
REEL_WAITING(int, epoll_wait, (int fd, struct epoll_event* events, int count, int timeout),
             (fd, events, count, timeout), 0)
REEL_WAITING(int, epoll_pwait, (int fd, struct epoll_event* events, int count, int timeout, const sigset_t* mask),
             (fd, events, count, timeout, mask), 0)
REEL_WAITING(int, nanosleep, (const struct timespec* wanted, struct timespec* left), (wanted, left), 1)
REEL_WAITING(int, usleep, (useconds_t wanted), (wanted), 1)
REEL_WAITING(unsigned, sleep, (unsigned wanted), (wanted), 1)
REEL_EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec* wanted, struct timespec* left) {
  REEL_REAL(int (*)(clockid_t, int, const struct timespec*, struct timespec*), clock_nanosleep);
  Call call(Op::poll);
  call.mode = 1;
  int error = real(clock, flags, wanted, left);
  call.done(-error);
  return error;
}

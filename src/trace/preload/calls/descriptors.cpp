// SPDX-License-Identifier: Apache-2.0
//
// The calls that give out, copy and give back descriptors.
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "trace/preload/calls/by_number.h"
#include "trace/preload/shim.h"

using namespace reel::trace;        // NOLINT: the whole file is about them
using namespace reel::trace::shim;  // NOLINT

namespace {

bool makes_file(int flags) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

// An open while it happens: what was at the path when the call may change that, and what was opened.
class Opening {
 public:
  Opening(int dirfd, const char* path, int flags, mode_t mode) : call_(Op::open) {
    if (!call_.on()) return;
    call_.fd = dirfd;
    call_.path(path);
    call_.flags = static_cast<uint32_t>(flags);
    call_.mode = mode;
    if ((flags & (O_CREAT | O_TRUNC)) == 0 || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) return;
    look(dirfd, path, 0, before_);
    call_.before = &before_;
    restart_ = true;
  }
  // After the look at what was there: the call itself begins now.
  int done(int fd) {
    if (!call_.on()) return fd;
    uint64_t exit = now();
    int error = errno;
    if (fd >= 0) {
      look(fd, "", AT_EMPTY_PATH, object_);
      call_.object = &object_;
      call_.fd2 = fd;
    }
    errno = error;
    call_.finish(fd < 0 ? -error : fd, exit);
    return fd;
  }
  void resolve(uint64_t how) { call_.args(how, 0); }
  void begin() {
    if (restart_) call_.begin_now();
  }

 private:
  Call call_;
  bool restart_ = false;
  wire::Object before_, object_;
};

using OpenFn = int (*)(const char*, int, ...);
using OpenatFn = int (*)(int, const char*, int, ...);

int do_open(OpenFn real, const char* path, int flags, mode_t mode) {
  Opening opening(AT_FDCWD, path, flags, mode);
  opening.begin();
  return opening.done(real(path, flags, mode));
}

int do_openat(OpenatFn real, int dirfd, const char* path, int flags, mode_t mode) {
  Opening opening(dirfd, path, flags, mode);
  opening.begin();
  return opening.done(real(dirfd, path, flags, mode));
}

}  // namespace

#define REEL_MODE_OF(flags)           \
  mode_t mode = 0;                    \
  if (makes_file(flags)) {            \
    va_list arguments;                \
    va_start(arguments, flags);       \
    mode = va_arg(arguments, mode_t); \
    va_end(arguments);                \
  }

REEL_EXPORT int open(const char* path, int flags, ...) {
  REEL_REAL(OpenFn, open);
  REEL_MODE_OF(flags)
  return do_open(real, path, flags, mode);
}
REEL_EXPORT int open64(const char* path, int flags, ...) {
  REEL_REAL(OpenFn, open64);
  REEL_MODE_OF(flags)
  return do_open(real, path, flags | O_LARGEFILE, mode);
}
REEL_EXPORT int openat(int dirfd, const char* path, int flags, ...) {
  REEL_REAL(OpenatFn, openat);
  REEL_MODE_OF(flags)
  return do_openat(real, dirfd, path, flags, mode);
}
REEL_EXPORT int openat64(int dirfd, const char* path, int flags, ...) {
  REEL_REAL(OpenatFn, openat64);
  REEL_MODE_OF(flags)
  return do_openat(real, dirfd, path, flags | O_LARGEFILE, mode);
}
REEL_EXPORT int __open_2(const char* path, int flags) {
  REEL_REAL(OpenFn, __open_2);
  return do_open(real, path, flags, 0);
}
REEL_EXPORT int __open64_2(const char* path, int flags) {
  REEL_REAL(OpenFn, __open64_2);
  return do_open(real, path, flags, 0);
}
REEL_EXPORT int __openat_2(int dirfd, const char* path, int flags) {
  REEL_REAL(OpenatFn, __openat_2);
  return do_openat(real, dirfd, path, flags, 0);
}
REEL_EXPORT int __openat64_2(int dirfd, const char* path, int flags) {
  REEL_REAL(OpenatFn, __openat64_2);
  return do_openat(real, dirfd, path, flags, 0);
}
REEL_EXPORT int creat(const char* path, mode_t mode) {
  REEL_REAL(int (*)(const char*, mode_t), creat);
  Opening opening(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
  opening.begin();
  return opening.done(real(path, mode));
}
REEL_EXPORT int creat64(const char* path, mode_t mode) {
  REEL_REAL(int (*)(const char*, mode_t), creat64);
  Opening opening(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
  opening.begin();
  return opening.done(real(path, mode));
}

namespace reel::trace::shim {

long record_openat2(SyscallFn real, long dirfd, long path, long how_at, long size) {
  struct open_how how = {};
  if (size < static_cast<long>(sizeof how) || !copy_if_readable(&how, reinterpret_cast<void*>(how_at), sizeof how))
    return real(SYS_openat2, dirfd, path, how_at, size, 0, 0);  // it fails
  Opening opening(static_cast<int>(dirfd), reinterpret_cast<const char*>(path), static_cast<int>(how.flags),
                  static_cast<mode_t>(how.mode));
  opening.resolve(how.resolve);
  opening.begin();
  return opening.done(static_cast<int>(real(SYS_openat2, dirfd, path, how_at, size, 0, 0)));
}

}  // namespace reel::trace::shim

namespace {

int do_mkstemp(char* pattern, int suffix, int flags, int (*make)(char*, int, int, void*), void* real) {
  Call call(Op::open);
  int fd = make(pattern, suffix, flags, real);
  if (!call.on()) return fd;
  uint64_t exit = now();
  wire::Object object;
  call.fd = AT_FDCWD;
  call.path(pattern);
  call.flags = static_cast<uint32_t>(O_RDWR | O_CREAT | O_EXCL | (flags & ~O_ACCMODE));
  call.mode = 0600;
  if (fd >= 0) {
    look(fd, "", AT_EMPTY_PATH, object);
    call.object = &object;
    call.fd2 = fd;
  }
  call.finish(fd < 0 ? -errno : fd, exit);
  return fd;
}

int make_plain(char* pattern, int, int, void* real) {
  return reinterpret_cast<int (*)(char*)>(real)(pattern);
}
int make_flags(char* pattern, int, int flags, void* real) {
  return reinterpret_cast<int (*)(char*, int)>(real)(pattern, flags);
}
int make_suffix(char* pattern, int suffix, int, void* real) {
  return reinterpret_cast<int (*)(char*, int)>(real)(pattern, suffix);
}
int make_both(char* pattern, int suffix, int flags, void* real) {
  return reinterpret_cast<int (*)(char*, int, int)>(real)(pattern, suffix, flags);
}

}  // namespace

#define REEL_MKSTEMP(name, make)                  \
  REEL_EXPORT int name(char* pattern) {           \
    REEL_REAL(void*, name);                       \
    return do_mkstemp(pattern, 0, 0, make, real); \
  }
REEL_MKSTEMP(mkstemp, make_plain)
REEL_MKSTEMP(mkstemp64, make_plain)
REEL_EXPORT int mkostemp(char* pattern, int flags) {
  REEL_REAL(void*, mkostemp);
  return do_mkstemp(pattern, 0, flags, make_flags, real);
}
REEL_EXPORT int mkostemp64(char* pattern, int flags) {
  REEL_REAL(void*, mkostemp64);
  return do_mkstemp(pattern, 0, flags, make_flags, real);
}
REEL_EXPORT int mkstemps(char* pattern, int suffix) {
  REEL_REAL(void*, mkstemps);
  return do_mkstemp(pattern, suffix, 0, make_suffix, real);
}
REEL_EXPORT int mkstemps64(char* pattern, int suffix) {
  REEL_REAL(void*, mkstemps64);
  return do_mkstemp(pattern, suffix, 0, make_suffix, real);
}
REEL_EXPORT int mkostemps(char* pattern, int suffix, int flags) {
  REEL_REAL(void*, mkostemps);
  return do_mkstemp(pattern, suffix, flags, make_both, real);
}
REEL_EXPORT int mkostemps64(char* pattern, int suffix, int flags) {
  REEL_REAL(void*, mkostemps64);
  return do_mkstemp(pattern, suffix, flags, make_both, real);
}

REEL_EXPORT int close(int fd) {
  REEL_REAL(int (*)(int), close);
  Call call(Op::close);
  call.fd = fd;
  return call.result(real(fd));
}
REEL_EXPORT int close_range(unsigned first, unsigned last, int flags) noexcept {
  REEL_REAL(int (*)(unsigned, unsigned, int), close_range);
  Call call(Op::close_range);
  call.fd = static_cast<int>(first);
  call.fd2 = last > INT32_MAX ? INT32_MAX : static_cast<int>(last);
  call.flags = static_cast<uint32_t>(flags);
  return call.result(real(first, last, flags));
}
REEL_EXPORT void closefrom(int first) noexcept {
  REEL_REAL(void (*)(int), closefrom);
  Call call(Op::close_range);
  call.fd = first;
  call.fd2 = INT32_MAX;
  real(first);
  call.done(0);
}

REEL_EXPORT int dup(int fd) noexcept {
  REEL_REAL(int (*)(int), dup);
  Call call(Op::dup);
  call.fd = fd;
  int made = real(fd);
  call.fd2 = made;
  return call.result(made);
}
REEL_EXPORT int dup2(int fd, int wanted) noexcept {
  REEL_REAL(int (*)(int, int), dup2);
  Call call(Op::dup2);
  call.fd = fd;
  call.fd2 = wanted;
  return call.result(real(fd, wanted));
}
REEL_EXPORT int dup3(int fd, int wanted, int flags) noexcept {
  REEL_REAL(int (*)(int, int, int), dup3);
  Call call(Op::dup2);
  call.fd = fd;
  call.fd2 = wanted;
  call.flags = static_cast<uint32_t>(flags);
  return call.result(real(fd, wanted, flags));
}

namespace {

using FcntlFn = int (*)(int, int, ...);

int do_fcntl(FcntlFn real, int fd, int command, void* argument) {
  bool dups = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
  bool locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
  Call call(dups ? Op::dup : locks ? Op::range_lock : Op::fcntl);
  int result = real(fd, command, argument);
  if (!call.on()) return result;
  call.fd = fd;
  auto value = reinterpret_cast<uintptr_t>(argument);
  if (dups) {
    call.fd2 = result;
    call.flags = command == F_DUPFD_CLOEXEC ? O_CLOEXEC : 0;
    call.args(static_cast<uint32_t>(value), 0);
  } else if (locks) {
    call.args(static_cast<uint64_t>(command), 0);
    if (argument && !(result < 0 && errno == EFAULT)) {
      const auto* range = static_cast<const struct flock*>(argument);
      call.mode = static_cast<uint16_t>(range->l_type);
      call.flags = static_cast<uint16_t>(range->l_whence);
      call.offset = static_cast<uint64_t>(range->l_start);
      call.length = static_cast<uint64_t>(range->l_len);
    }
  } else {
    call.args(static_cast<uint64_t>(command), 0);
    call.flags = static_cast<uint32_t>(value);
  }
  return call.result(result);
}

}  // namespace

REEL_EXPORT int fcntl(int fd, int command, ...) {
  REEL_REAL(FcntlFn, fcntl);
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return do_fcntl(real, fd, command, argument);
}
REEL_EXPORT int fcntl64(int fd, int command, ...) {
  REEL_REAL(FcntlFn, fcntl64);
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return do_fcntl(real, fd, command, argument);
}

namespace {

int pipe_made(Call& call, int result, const int* ends, int flags) {
  if (result == 0) {
    call.fd = ends[0];
    call.fd2 = ends[1];
  }
  call.flags = static_cast<uint32_t>(flags);
  return call.result(result);
}

}  // namespace

REEL_EXPORT int pipe(int ends[2]) noexcept {
  REEL_REAL(int (*)(int*), pipe);
  Call call(Op::pipe);
  return pipe_made(call, real(ends), ends, 0);
}
REEL_EXPORT int pipe2(int ends[2], int flags) noexcept {
  REEL_REAL(int (*)(int*, int), pipe2);
  Call call(Op::pipe);
  return pipe_made(call, real(ends, flags), ends, flags);
}
REEL_EXPORT int socket(int family, int type, int protocol) noexcept {
  REEL_REAL(int (*)(int, int, int), socket);
  Call call(Op::socket);
  call.args(static_cast<uint32_t>(family), 0);
  call.mode = static_cast<uint32_t>(type);
  call.fd2 = real(family, type, protocol);
  return call.result(call.fd2);
}
REEL_EXPORT int socketpair(int family, int type, int protocol, int ends[2]) noexcept {
  REEL_REAL(int (*)(int, int, int, int*), socketpair);
  Call call(Op::socketpair);
  call.args(static_cast<uint32_t>(family), 0);
  call.mode = static_cast<uint32_t>(type);
  return pipe_made(call, real(family, type, protocol, ends), ends, 0);
}
#define REEL_OTHER_FD(name, parameters, arguments) \
  REEL_EXPORT int name parameters noexcept {       \
    REEL_REAL(int(*) parameters, name);            \
    Call call(Op::other_fd);                       \
    call.fd2 = real arguments;                     \
    return call.result(call.fd2);                  \
  }
REEL_OTHER_FD(epoll_create, (int size), (size))
REEL_OTHER_FD(epoll_create1, (int flags), (flags))
REEL_OTHER_FD(inotify_init, (void), ())
REEL_OTHER_FD(inotify_init1, (int flags), (flags))
REEL_OTHER_FD(timerfd_create, (int clock, int flags), (clock, flags))
REEL_OTHER_FD(signalfd, (int fd, const void* mask, int flags), (fd, mask, flags))
REEL_OTHER_FD(eventfd, (unsigned initial, int flags), (initial, flags))
REEL_OTHER_FD(memfd_create, (const char* name, unsigned flags), (name, flags))
REEL_OTHER_FD(pidfd_open, (pid_t pid, unsigned flags), (pid, flags))

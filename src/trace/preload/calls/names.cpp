// SPDX-License-Identifier: Apache-2.0
//
// The calls that change names and attributes. What such a call takes away or changes is looked at
// before it, for the initial state.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <utime.h>

#include "trace/preload/shim.h"

using namespace reel::trace;        // NOLINT: the whole file is about them
using namespace reel::trace::shim;  // NOLINT

namespace {

constexpr uint64_t kTimeNow = 1ull << 63, kTimeLeave = kTimeNow + 1;

// A call by name (path null: by descriptor), with a look at what is there.
class Naming {
 public:
  Naming(Op op, int dirfd, const char* path, int at_flags = AT_SYMLINK_NOFOLLOW) : call(op) {
    if (!call.on()) return;
    call.fd = dirfd;
    call.path(path);
    call.flags = static_cast<uint32_t>(at_flags == AT_SYMLINK_NOFOLLOW ? 0 : at_flags);
    if (!path) return;
    look(dirfd, path, at_flags & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), before_);
    call.before = &before_;
    call.begin_now();
  }
  Call call;

 private:
  wire::Object before_;
};

int made(Op op, int dirfd, const char* path, mode_t mode, uint64_t device, int result, Call& call) {
  call.set_op(static_cast<uint16_t>(op));
  call.fd = dirfd;
  call.path(path);
  call.mode = mode;
  if (device != 0) call.args(device, 0);
  return call.result(result);
}

}  // namespace

REEL_EXPORT int mkdir(const char* path, mode_t mode) noexcept {
  REEL_REAL(int (*)(const char*, mode_t), mkdir);
  Call call(Op::mkdir);
  return made(Op::mkdir, AT_FDCWD, path, mode, 0, real(path, mode), call);
}
REEL_EXPORT int mkdirat(int dirfd, const char* path, mode_t mode) noexcept {
  REEL_REAL(int (*)(int, const char*, mode_t), mkdirat);
  Call call(Op::mkdir);
  return made(Op::mkdir, dirfd, path, mode, 0, real(dirfd, path, mode), call);
}
REEL_EXPORT char* mkdtemp(char* pattern) noexcept {
  REEL_REAL(char* (*)(char*), mkdtemp);
  Call call(Op::mkdir);
  char* result = real(pattern);
  made(Op::mkdir, AT_FDCWD, pattern, 0700, 0, result ? 0 : -1, call);
  return result;
}
REEL_EXPORT int mknod(const char* path, mode_t mode, dev_t device) noexcept {
  REEL_REAL(int (*)(const char*, mode_t, dev_t), mknod);
  Call call(Op::mknod);
  return made(Op::mknod, AT_FDCWD, path, mode, device, real(path, mode, device), call);
}
REEL_EXPORT int mknodat(int dirfd, const char* path, mode_t mode, dev_t device) noexcept {
  REEL_REAL(int (*)(int, const char*, mode_t, dev_t), mknodat);
  Call call(Op::mknod);
  return made(Op::mknod, dirfd, path, mode, device, real(dirfd, path, mode, device), call);
}
REEL_EXPORT int mkfifo(const char* path, mode_t mode) noexcept {
  REEL_REAL(int (*)(const char*, mode_t), mkfifo);
  Call call(Op::mknod);
  return made(Op::mknod, AT_FDCWD, path, mode | S_IFIFO, 0, real(path, mode), call);
}
REEL_EXPORT int mkfifoat(int dirfd, const char* path, mode_t mode) noexcept {
  REEL_REAL(int (*)(int, const char*, mode_t), mkfifoat);
  Call call(Op::mknod);
  return made(Op::mknod, dirfd, path, mode | S_IFIFO, 0, real(dirfd, path, mode), call);
}

REEL_EXPORT int rmdir(const char* path) noexcept {
  REEL_REAL(int (*)(const char*), rmdir);
  Naming naming(Op::rmdir, AT_FDCWD, path);
  return naming.call.result(real(path));
}
REEL_EXPORT int unlink(const char* path) noexcept {
  REEL_REAL(int (*)(const char*), unlink);
  Naming naming(Op::unlink, AT_FDCWD, path);
  return naming.call.result(real(path));
}
REEL_EXPORT int unlinkat(int dirfd, const char* path, int flags) noexcept {
  REEL_REAL(int (*)(int, const char*, int), unlinkat);
  Naming naming((flags & AT_REMOVEDIR) != 0 ? Op::rmdir : Op::unlink, dirfd, path);
  return naming.call.result(real(dirfd, path, flags));
}
// unlink, and rmdir when it is a directory: the second is what counts, then.
REEL_EXPORT int remove(const char* path) noexcept {
  REEL_REAL(int (*)(const char*), remove);
  Naming naming(Op::unlink, AT_FDCWD, path);
  if (naming.call.before && S_ISDIR(naming.call.before->mode)) naming.call.set_op(static_cast<uint16_t>(Op::rmdir));
  return naming.call.result(real(path));
}

namespace {

int moved(Naming& naming, int to_dirfd, const char* to, unsigned flags, int result) {
  naming.call.fd2 = to_dirfd;
  naming.call.path2(to);
  naming.call.flags = flags;
  return naming.call.result(result);
}

}  // namespace

REEL_EXPORT int rename(const char* from, const char* to) noexcept {
  REEL_REAL(int (*)(const char*, const char*), rename);
  Naming naming(Op::rename, AT_FDCWD, from);
  return moved(naming, AT_FDCWD, to, 0, real(from, to));
}
REEL_EXPORT int renameat(int from_dirfd, const char* from, int to_dirfd, const char* to) noexcept {
  REEL_REAL(int (*)(int, const char*, int, const char*), renameat);
  Naming naming(Op::rename, from_dirfd, from);
  return moved(naming, to_dirfd, to, 0, real(from_dirfd, from, to_dirfd, to));
}
REEL_EXPORT int renameat2(int from_dirfd, const char* from, int to_dirfd, const char* to, unsigned flags) noexcept {
  REEL_REAL(int (*)(int, const char*, int, const char*, unsigned), renameat2);
  Naming naming(Op::rename, from_dirfd, from);
  return moved(naming, to_dirfd, to, flags, real(from_dirfd, from, to_dirfd, to, flags));
}
REEL_EXPORT int link(const char* from, const char* to) noexcept {
  REEL_REAL(int (*)(const char*, const char*), link);
  Naming naming(Op::link, AT_FDCWD, from);
  return moved(naming, AT_FDCWD, to, 0, real(from, to));
}
REEL_EXPORT int linkat(int from_dirfd, const char* from, int to_dirfd, const char* to, int flags) noexcept {
  REEL_REAL(int (*)(int, const char*, int, const char*, int), linkat);
  Naming naming(Op::link, from_dirfd, from, AT_SYMLINK_NOFOLLOW | (flags & AT_EMPTY_PATH));
  return moved(naming, to_dirfd, to, static_cast<unsigned>(flags), real(from_dirfd, from, to_dirfd, to, flags));
}
REEL_EXPORT int symlink(const char* text, const char* path) noexcept {
  REEL_REAL(int (*)(const char*, const char*), symlink);
  Call call(Op::symlink);
  call.path2(text);
  return made(Op::symlink, AT_FDCWD, path, 0, 0, real(text, path), call);
}
REEL_EXPORT int symlinkat(const char* text, int dirfd, const char* path) noexcept {
  REEL_REAL(int (*)(const char*, int, const char*), symlinkat);
  Call call(Op::symlink);
  call.path2(text);
  return made(Op::symlink, dirfd, path, 0, 0, real(text, dirfd, path), call);
}

#define REEL_TRUNCATE(name)                                       \
  REEL_EXPORT int name(const char* path, off_t length) noexcept { \
    REEL_REAL(int (*)(const char*, off_t), name);                 \
    Naming naming(Op::truncate, AT_FDCWD, path, 0);               \
    naming.call.length = static_cast<uint64_t>(length);           \
    return naming.call.result(real(path, length));                \
  }
REEL_TRUNCATE(truncate)
REEL_TRUNCATE(truncate64)
#define REEL_FTRUNCATE(name)                            \
  REEL_EXPORT int name(int fd, off_t length) noexcept { \
    REEL_REAL(int (*)(int, off_t), name);               \
    Call call(Op::truncate);                            \
    call.fd = fd;                                       \
    call.length = static_cast<uint64_t>(length);        \
    return call.result(real(fd, length));               \
  }
REEL_FTRUNCATE(ftruncate)
REEL_FTRUNCATE(ftruncate64)

REEL_EXPORT int chmod(const char* path, mode_t mode) noexcept {
  REEL_REAL(int (*)(const char*, mode_t), chmod);
  Naming naming(Op::chmod, AT_FDCWD, path, 0);
  naming.call.mode = mode;
  return naming.call.result(real(path, mode));
}
REEL_EXPORT int fchmodat(int dirfd, const char* path, mode_t mode, int flags) noexcept {
  REEL_REAL(int (*)(int, const char*, mode_t, int), fchmodat);
  Naming naming(Op::chmod, dirfd, path, flags);
  naming.call.mode = mode;
  naming.call.flags = static_cast<uint32_t>(flags);
  return naming.call.result(real(dirfd, path, mode, flags));
}
REEL_EXPORT int fchmod(int fd, mode_t mode) noexcept {
  REEL_REAL(int (*)(int, mode_t), fchmod);
  Call call(Op::chmod);
  call.fd = fd;
  call.mode = mode;
  return call.result(real(fd, mode));
}
REEL_EXPORT int chown(const char* path, uid_t uid, gid_t gid) noexcept {
  REEL_REAL(int (*)(const char*, uid_t, gid_t), chown);
  Naming naming(Op::chown, AT_FDCWD, path, 0);
  naming.call.args(uid, gid);
  return naming.call.result(real(path, uid, gid));
}
REEL_EXPORT int lchown(const char* path, uid_t uid, gid_t gid) noexcept {
  REEL_REAL(int (*)(const char*, uid_t, gid_t), lchown);
  Naming naming(Op::chown, AT_FDCWD, path);
  naming.call.args(uid, gid);
  naming.call.flags = AT_SYMLINK_NOFOLLOW;
  return naming.call.result(real(path, uid, gid));
}
REEL_EXPORT int fchownat(int dirfd, const char* path, uid_t uid, gid_t gid, int flags) noexcept {
  REEL_REAL(int (*)(int, const char*, uid_t, gid_t, int), fchownat);
  Naming naming(Op::chown, dirfd, path, flags);
  naming.call.args(uid, gid);
  naming.call.flags = static_cast<uint32_t>(flags);
  return naming.call.result(real(dirfd, path, uid, gid, flags));
}
REEL_EXPORT int fchown(int fd, uid_t uid, gid_t gid) noexcept {
  REEL_REAL(int (*)(int, uid_t, gid_t), fchown);
  Call call(Op::chown);
  call.fd = fd;
  call.args(uid, gid);
  return call.result(real(fd, uid, gid));
}

namespace {

uint64_t of_timespec(const struct timespec& time) {
  if (time.tv_nsec == UTIME_NOW) return kTimeNow;
  if (time.tv_nsec == UTIME_OMIT) return kTimeLeave;
  return static_cast<uint64_t>(time.tv_sec * 1'000'000'000 + time.tv_nsec);
}
uint64_t of_timeval(const struct timeval& time) {
  return static_cast<uint64_t>(time.tv_sec * 1'000'000'000 + time.tv_usec * 1000);
}
// The times may be looked at only when the kernel could.
int times_set(Call& call, const struct timespec* times, int result) {
  bool readable = times && !(result < 0 && errno == EFAULT);
  call.args(readable ? of_timespec(times[0]) : kTimeNow, readable ? of_timespec(times[1]) : kTimeNow);
  return call.result(result);
}
int times_set(Call& call, const struct timeval* times, int result) {
  bool readable = times && !(result < 0 && errno == EFAULT);
  call.args(readable ? of_timeval(times[0]) : kTimeNow, readable ? of_timeval(times[1]) : kTimeNow);
  return call.result(result);
}

}  // namespace

REEL_EXPORT int utimensat(int dirfd, const char* path, const struct timespec times[2], int flags) noexcept {
  REEL_REAL(int (*)(int, const char*, const struct timespec*, int), utimensat);
  Naming naming(Op::utimens, dirfd, path, flags);
  naming.call.flags = static_cast<uint32_t>(flags);
  return times_set(naming.call, times, real(dirfd, path, times, flags));
}
REEL_EXPORT int futimens(int fd, const struct timespec times[2]) noexcept {
  REEL_REAL(int (*)(int, const struct timespec*), futimens);
  Call call(Op::utimens);
  call.fd = fd;
  return times_set(call, times, real(fd, times));
}
REEL_EXPORT int utimes(const char* path, const struct timeval times[2]) noexcept {
  REEL_REAL(int (*)(const char*, const struct timeval*), utimes);
  Naming naming(Op::utimens, AT_FDCWD, path, 0);
  return times_set(naming.call, times, real(path, times));
}
REEL_EXPORT int lutimes(const char* path, const struct timeval times[2]) noexcept {
  REEL_REAL(int (*)(const char*, const struct timeval*), lutimes);
  Naming naming(Op::utimens, AT_FDCWD, path);
  naming.call.flags = AT_SYMLINK_NOFOLLOW;
  return times_set(naming.call, times, real(path, times));
}
REEL_EXPORT int futimes(int fd, const struct timeval times[2]) noexcept {
  REEL_REAL(int (*)(int, const struct timeval*), futimes);
  Call call(Op::utimens);
  call.fd = fd;
  return times_set(call, times, real(fd, times));
}
REEL_EXPORT int futimesat(int dirfd, const char* path, const struct timeval times[2]) noexcept {
  REEL_REAL(int (*)(int, const char*, const struct timeval*), futimesat);
  Naming naming(Op::utimens, dirfd, path, 0);
  return times_set(naming.call, times, real(dirfd, path, times));
}
REEL_EXPORT int utime(const char* path, const struct utimbuf* times) noexcept {
  REEL_REAL(int (*)(const char*, const struct utimbuf*), utime);
  Naming naming(Op::utimens, AT_FDCWD, path, 0);
  int result = real(path, times);
  bool readable = times && !(result < 0 && errno == EFAULT);
  naming.call.args(readable ? static_cast<uint64_t>(times->actime) * 1'000'000'000 : kTimeNow,
                   readable ? static_cast<uint64_t>(times->modtime) * 1'000'000'000 : kTimeNow);
  return naming.call.result(result);
}

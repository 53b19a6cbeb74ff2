// SPDX-License-Identifier: Apache-2.0
//
// The calls that ask: attributes, links, permissions, directories.
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "trace/preload/shim.h"

using namespace reel::trace;        // NOLINT: the whole file is about them
using namespace reel::trace::shim;  // NOLINT

namespace {

// The answer tells which object it was; no further question is needed.
void object_of(const struct stat& s, wire::Object& object) {
  memset(&object, 0, sizeof object);
  object.device = static_cast<uint64_t>(gnu_dev_major(s.st_dev)) << 32 | gnu_dev_minor(s.st_dev);
  object.inode = s.st_ino;
  object.size = static_cast<uint64_t>(s.st_size);
  object.blocks = static_cast<uint64_t>(s.st_blocks);
  object.rdev = static_cast<uint64_t>(gnu_dev_major(s.st_rdev)) << 32 | gnu_dev_minor(s.st_rdev);
  object.mode = s.st_mode;
  object.uid = s.st_uid;
  object.gid = s.st_gid;
  object.links = s.st_nlink == 0 ? 1 : static_cast<uint32_t>(s.st_nlink);
}

int asked(Call& call, int dirfd, const char* path, int flags, const struct stat* answer, int result) {
  if (!call.on()) return result;
  uint64_t exit = now();
  wire::Object object;
  if (result == 0) {
    object_of(*answer, object);
    call.object = &object;
  }
  call.fd = dirfd;
  call.path(path);
  call.flags = static_cast<uint32_t>(flags);
  call.finish(result < 0 ? -errno : result, exit);
  return result;
}

}  // namespace

#define REEL_STAT(name, flags)                                             \
  REEL_EXPORT int name(const char* path, struct stat* answer) noexcept {   \
    REEL_REAL(int (*)(const char*, struct stat*), name);                   \
    Call call(Op::stat);                                                   \
    return asked(call, AT_FDCWD, path, flags, answer, real(path, answer)); \
  }
#define REEL_XSTAT(name, flags)                                                       \
  REEL_EXPORT int name(int version, const char* path, struct stat* answer) noexcept { \
    REEL_REAL(int (*)(int, const char*, struct stat*), name);                         \
    Call call(Op::stat);                                                              \
    return asked(call, AT_FDCWD, path, flags, answer, real(version, path, answer));   \
  }
REEL_STAT(stat, 0)
REEL_STAT(lstat, AT_SYMLINK_NOFOLLOW)
REEL_XSTAT(__xstat, 0)
REEL_XSTAT(__xstat64, 0)
REEL_XSTAT(__lxstat, AT_SYMLINK_NOFOLLOW)
REEL_XSTAT(__lxstat64, AT_SYMLINK_NOFOLLOW)
REEL_EXPORT int stat64(const char* path, struct stat64* answer) noexcept {
  REEL_REAL(int (*)(const char*, struct stat64*), stat64);
  Call call(Op::stat);
  return asked(call, AT_FDCWD, path, 0, reinterpret_cast<struct stat*>(answer), real(path, answer));
}
REEL_EXPORT int lstat64(const char* path, struct stat64* answer) noexcept {
  REEL_REAL(int (*)(const char*, struct stat64*), lstat64);
  Call call(Op::stat);
  return asked(call, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, reinterpret_cast<struct stat*>(answer), real(path, answer));
}
REEL_EXPORT int fstat(int fd, struct stat* answer) noexcept {
  REEL_REAL(int (*)(int, struct stat*), fstat);
  Call call(Op::stat);
  return asked(call, fd, nullptr, 0, answer, real(fd, answer));
}
REEL_EXPORT int fstat64(int fd, struct stat64* answer) noexcept {
  REEL_REAL(int (*)(int, struct stat64*), fstat64);
  Call call(Op::stat);
  return asked(call, fd, nullptr, 0, reinterpret_cast<struct stat*>(answer), real(fd, answer));
}
#define REEL_FXSTAT(name)                                                   \
  REEL_EXPORT int name(int version, int fd, struct stat* answer) noexcept { \
    REEL_REAL(int (*)(int, int, struct stat*), name);                       \
    Call call(Op::stat);                                                    \
    return asked(call, fd, nullptr, 0, answer, real(version, fd, answer));  \
  }
REEL_FXSTAT(__fxstat)
REEL_FXSTAT(__fxstat64)
REEL_EXPORT int fstatat(int dirfd, const char* path, struct stat* answer, int flags) noexcept {
  REEL_REAL(int (*)(int, const char*, struct stat*, int), fstatat);
  Call call(Op::stat);
  return asked(call, dirfd, path, flags, answer, real(dirfd, path, answer, flags));
}
REEL_EXPORT int fstatat64(int dirfd, const char* path, struct stat64* answer, int flags) noexcept {
  REEL_REAL(int (*)(int, const char*, struct stat64*, int), fstatat64);
  Call call(Op::stat);
  return asked(call, dirfd, path, flags, reinterpret_cast<struct stat*>(answer), real(dirfd, path, answer, flags));
}
#define REEL_FXSTATAT(name)                                                                                 \
  REEL_EXPORT int name(int version, int dirfd, const char* path, struct stat* answer, int flags) noexcept { \
    REEL_REAL(int (*)(int, int, const char*, struct stat*, int), name);                                     \
    Call call(Op::stat);                                                                                    \
    return asked(call, dirfd, path, flags, answer, real(version, dirfd, path, answer, flags));              \
  }
REEL_FXSTATAT(__fxstatat)
REEL_FXSTATAT(__fxstatat64)
REEL_EXPORT int statx(int dirfd, const char* path, int flags, unsigned mask, struct statx* answer) noexcept {
  REEL_REAL(int (*)(int, const char*, int, unsigned, struct statx*), statx);
  Call call(Op::stat);
  int result = real(dirfd, path, flags, mask, answer);
  if (!call.on()) return result;
  uint64_t exit = now();
  wire::Object object;
  call.fd = dirfd;
  call.path(path);
  call.flags = static_cast<uint32_t>(flags);
  int error = errno;
  if (result == 0) {  // the answer has only what was asked for
    look(dirfd, path, flags, object);
    call.object = &object;
  }
  errno = error;
  call.finish(result < 0 ? -error : 0, exit);
  return result;
}

namespace {

template <class T>
T named(Call& call, int dirfd, const char* path, uint32_t mode, uint32_t flags, size_t length, T result) {
  call.fd = dirfd;
  call.path(path);
  call.mode = mode;
  call.flags = flags;
  call.length = length;
  return call.result(result);
}

}  // namespace

REEL_EXPORT int access(const char* path, int mode) noexcept {
  REEL_REAL(int (*)(const char*, int), access);
  Call call(Op::access);
  return named(call, AT_FDCWD, path, static_cast<uint32_t>(mode), 0, 0, real(path, mode));
}
REEL_EXPORT int faccessat(int dirfd, const char* path, int mode, int flags) noexcept {
  REEL_REAL(int (*)(int, const char*, int, int), faccessat);
  Call call(Op::access);
  return named(call, dirfd, path, static_cast<uint32_t>(mode), static_cast<uint32_t>(flags), 0,
               real(dirfd, path, mode, flags));
}
REEL_EXPORT int eaccess(const char* path, int mode) noexcept {
  REEL_REAL(int (*)(const char*, int), eaccess);
  Call call(Op::access);
  return named(call, AT_FDCWD, path, static_cast<uint32_t>(mode), AT_EACCESS, 0, real(path, mode));
}
REEL_EXPORT int euidaccess(const char* path, int mode) noexcept {
  REEL_REAL(int (*)(const char*, int), euidaccess);
  Call call(Op::access);
  return named(call, AT_FDCWD, path, static_cast<uint32_t>(mode), AT_EACCESS, 0, real(path, mode));
}
REEL_EXPORT ssize_t readlink(const char* path, char* text, size_t size) noexcept {
  REEL_REAL(ssize_t(*)(const char*, char*, size_t), readlink);
  Call call(Op::readlink);
  return named(call, AT_FDCWD, path, 0, 0, size, real(path, text, size));
}
REEL_EXPORT ssize_t readlinkat(int dirfd, const char* path, char* text, size_t size) noexcept {
  REEL_REAL(ssize_t(*)(int, const char*, char*, size_t), readlinkat);
  Call call(Op::readlink);
  return named(call, dirfd, path, 0, 0, size, real(dirfd, path, text, size));
}
REEL_EXPORT ssize_t __readlink_chk(const char* path, char* text, size_t size, size_t room) {
  REEL_REAL(ssize_t(*)(const char*, char*, size_t, size_t), __readlink_chk);
  Call call(Op::readlink);
  return named(call, AT_FDCWD, path, 0, 0, size, real(path, text, size, room));
}
REEL_EXPORT ssize_t __readlinkat_chk(int dirfd, const char* path, char* text, size_t size, size_t room) {
  REEL_REAL(ssize_t(*)(int, const char*, char*, size_t, size_t), __readlinkat_chk);
  Call call(Op::readlink);
  return named(call, dirfd, path, 0, 0, size, real(dirfd, path, text, size, room));
}

#define REEL_STATFS(name, type)                                      \
  REEL_EXPORT int name(const char* path, type* answer) noexcept {    \
    REEL_REAL(int (*)(const char*, type*), name);                    \
    Call call(Op::statfs);                                           \
    return named(call, AT_FDCWD, path, 0, 0, 0, real(path, answer)); \
  }                                                                  \
  REEL_EXPORT int f##name(int fd, type* answer) noexcept {           \
    REEL_REAL(int (*)(int, type*), f##name);                         \
    Call call(Op::statfs);                                           \
    return named(call, fd, nullptr, 0, 0, 0, real(fd, answer));      \
  }
REEL_STATFS(statfs, struct statfs)
REEL_STATFS(statfs64, struct statfs64)
REEL_STATFS(statvfs, struct statvfs)
REEL_STATFS(statvfs64, struct statvfs64)

// Directories. libc reads them through a buffer; a call of getdents is seen by the entry that comes
// lying at or before the one that came last in the buffer. How many bytes it got is not seen.
namespace {

constexpr int kDirs = 64;  // open at a time; beyond that every entry counts as a call
struct LastEntry {
  DIR* dir;
  const void* entry;
};
LastEntry last_entries[kDirs];

LastEntry& last_of(DIR* dir) {
  return last_entries[reinterpret_cast<uintptr_t>(dir) / 64 % kDirs];
}

bool was_filled(DIR* dir, const void* entry) {
  LastEntry& last = last_of(dir);
  bool filled = last.dir != dir || !entry || entry <= last.entry;
  last = {dir, entry};
  return filled;
}

void forget(DIR* dir) {
  LastEntry& last = last_of(dir);
  if (last.dir == dir) last = {};
}

template <class Entry>
Entry* next_entry(Call& call, DIR* dir, Entry* entry) {
  if (!call.on() || !was_filled(dir, entry)) return entry;
  call.fd = dirfd(dir);
  call.done(entry ? 1 : 0);
  return entry;
}

DIR* dir_opened(Call& call, const char* path, DIR* dir) {
  if (!call.on()) return dir;
  uint64_t exit = now();
  int error = errno;
  wire::Object object;
  call.fd = AT_FDCWD;
  call.path(path);
  call.flags = O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC;
  if (dir) {
    call.fd2 = dirfd(dir);
    look(call.fd2, "", AT_EMPTY_PATH, object);
    call.object = &object;
    forget(dir);
  }
  errno = error;
  call.finish(dir ? call.fd2 : -error, exit);
  return dir;
}

}  // namespace

REEL_EXPORT DIR* opendir(const char* path) {
  REEL_REAL(DIR * (*)(const char*), opendir);
  Call call(Op::open);
  return dir_opened(call, path, real(path));
}
REEL_EXPORT struct dirent* readdir(DIR* dir) {
  REEL_REAL(struct dirent * (*)(DIR*), readdir);
  Call call(Op::getdents);
  return next_entry(call, dir, real(dir));
}
REEL_EXPORT struct dirent64* readdir64(DIR* dir) {
  REEL_REAL(struct dirent64 * (*)(DIR*), readdir64);
  Call call(Op::getdents);
  return next_entry(call, dir, real(dir));
}
REEL_EXPORT int closedir(DIR* dir) {
  REEL_REAL(int (*)(DIR*), closedir);
  Call call(Op::close);
  call.fd = call.on() ? dirfd(dir) : -1;
  forget(dir);
  return call.result(real(dir));
}
REEL_EXPORT void rewinddir(DIR* dir) noexcept {
  REEL_REAL(void (*)(DIR*), rewinddir);
  Call call(Op::lseek);
  call.fd = call.on() ? dirfd(dir) : -1;
  forget(dir);
  real(dir);
  call.done(0);
}
REEL_EXPORT ssize_t getdents64(int fd, void* buffer, size_t size) noexcept {
  REEL_REAL(ssize_t(*)(int, void*, size_t), getdents64);
  Call call(Op::getdents);
  call.fd = fd;
  call.length = size;
  return call.result(real(fd, buffer, size));
}

// SPDX-License-Identifier: Apache-2.0
//
// Extended attributes: by path, by path not through a symlink (flags 0x100), by descriptor. The
// attribute's name is the second path.
#include <fcntl.h>
#include <string.h>
#include <sys/types.h>

#include "trace/posix_acl.h"
#include "trace/preload/shim.h"

using namespace reel::trace;        // NOLINT: the whole file is about them
using namespace reel::trace::shim;  // NOLINT

namespace {

struct Where {
  int fd;
  const char* path;
  uint32_t flags;
};

class XattrCall {
 public:
  XattrCall(Op op, Where where, const char* key, size_t size, uint32_t flags) : call_(op) {
    call_.fd = where.fd;
    call_.path(where.path);
    call_.path2(key);
    call_.length = size;
    call_.flags = flags | where.flags;
  }
  // What a POSIX ACL permits is told; of other values nothing is. Where it failed the kernel may not have read them.
  int set(const char* key, const void* value, size_t size, int result) {
    if (call_.on() && result == 0 && strncmp(key, kPosixAcl, strlen(kPosixAcl)) == 0)
      call_.mode = mode_of_acl(value, size);
    return call_.result(result);
  }
  template <class T>
  T result(T value) {
    return call_.result(value);
  }

 private:
  Call call_;
};

Where through(const char* path) {
  return {AT_FDCWD, path, 0};
}
Where not_through(const char* path) {
  return {AT_FDCWD, path, AT_SYMLINK_NOFOLLOW};
}
Where at(int fd) {
  return {fd, nullptr, 0};
}

}  // namespace

REEL_EXPORT int setxattr(const char* path, const char* key, const void* value, size_t size, int flags) noexcept {
  REEL_REAL(int (*)(const char*, const char*, const void*, size_t, int), setxattr);
  XattrCall call(Op::setxattr, through(path), key, size, static_cast<uint32_t>(flags));
  return call.set(key, value, size, real(path, key, value, size, flags));
}
REEL_EXPORT ssize_t getxattr(const char* path, const char* key, void* value, size_t size) noexcept {
  REEL_REAL(ssize_t(*)(const char*, const char*, void*, size_t), getxattr);
  XattrCall call(Op::getxattr, through(path), key, size, 0);
  return call.result(real(path, key, value, size));
}
REEL_EXPORT ssize_t listxattr(const char* path, char* list, size_t size) noexcept {
  REEL_REAL(ssize_t(*)(const char*, char*, size_t), listxattr);
  XattrCall call(Op::listxattr, through(path), nullptr, size, 0);
  return call.result(real(path, list, size));
}
REEL_EXPORT int removexattr(const char* path, const char* key) noexcept {
  REEL_REAL(int (*)(const char*, const char*), removexattr);
  XattrCall call(Op::removexattr, through(path), key, 0, 0);
  return call.result(real(path, key));
}
REEL_EXPORT int lsetxattr(const char* path, const char* key, const void* value, size_t size, int flags) noexcept {
  REEL_REAL(int (*)(const char*, const char*, const void*, size_t, int), lsetxattr);
  XattrCall call(Op::setxattr, not_through(path), key, size, static_cast<uint32_t>(flags));
  return call.set(key, value, size, real(path, key, value, size, flags));
}
REEL_EXPORT ssize_t lgetxattr(const char* path, const char* key, void* value, size_t size) noexcept {
  REEL_REAL(ssize_t(*)(const char*, const char*, void*, size_t), lgetxattr);
  XattrCall call(Op::getxattr, not_through(path), key, size, 0);
  return call.result(real(path, key, value, size));
}
REEL_EXPORT ssize_t llistxattr(const char* path, char* list, size_t size) noexcept {
  REEL_REAL(ssize_t(*)(const char*, char*, size_t), llistxattr);
  XattrCall call(Op::listxattr, not_through(path), nullptr, size, 0);
  return call.result(real(path, list, size));
}
REEL_EXPORT int lremovexattr(const char* path, const char* key) noexcept {
  REEL_REAL(int (*)(const char*, const char*), lremovexattr);
  XattrCall call(Op::removexattr, not_through(path), key, 0, 0);
  return call.result(real(path, key));
}
REEL_EXPORT int fsetxattr(int fd, const char* key, const void* value, size_t size, int flags) noexcept {
  REEL_REAL(int (*)(int, const char*, const void*, size_t, int), fsetxattr);
  XattrCall call(Op::setxattr, at(fd), key, size, static_cast<uint32_t>(flags));
  return call.set(key, value, size, real(fd, key, value, size, flags));
}
REEL_EXPORT ssize_t fgetxattr(int fd, const char* key, void* value, size_t size) noexcept {
  REEL_REAL(ssize_t(*)(int, const char*, void*, size_t), fgetxattr);
  XattrCall call(Op::getxattr, at(fd), key, size, 0);
  return call.result(real(fd, key, value, size));
}
REEL_EXPORT ssize_t flistxattr(int fd, char* list, size_t size) noexcept {
  REEL_REAL(ssize_t(*)(int, char*, size_t), flistxattr);
  XattrCall call(Op::listxattr, at(fd), nullptr, size, 0);
  return call.result(real(fd, list, size));
}
REEL_EXPORT int fremovexattr(int fd, const char* key) noexcept {
  REEL_REAL(int (*)(int, const char*), fremovexattr);
  XattrCall call(Op::removexattr, at(fd), key, 0, 0);
  return call.result(real(fd, key));
}

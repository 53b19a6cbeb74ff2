// SPDX-License-Identifier: Apache-2.0
//
// System calls on names, and on what a file has beside its contents.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/codec.h"
#include "trace/collect/syscalls/conversion.h"
#include "trace/posix_acl.h"

namespace reel::trace {
namespace {

constexpr uint64_t kTimeNow = 1ull << 63, kTimeLeave = kTimeNow + 1;

uint64_t of_timespec(const uint8_t* bytes) {
  auto seconds = load_le<int64_t>(bytes), nanoseconds = load_le<int64_t>(bytes + 8);
  if (nanoseconds == UTIME_NOW) return kTimeNow;
  if (nanoseconds == UTIME_OMIT) return kTimeLeave;
  return static_cast<uint64_t>(seconds * 1'000'000'000 + nanoseconds);
}
uint64_t of_timeval(const uint8_t* bytes) {
  return static_cast<uint64_t>(load_le<int64_t>(bytes) * 1'000'000'000 + load_le<int64_t>(bytes + 8) * 1000);
}

}  // namespace

bool Conversion::socket_name() {
  constexpr uint64_t kBefore = sizeof(sa_family_t);
  uint64_t size = a_[2];
  if (!call_.has_blob || load_le<uint16_t>(call_.blob) != AF_UNIX || size <= kBefore) return false;
  raw_.path = raw_.path.substr(0, size - kBefore);  // it need not end with a NUL
  e_.fd2 = int_of(a_[0]);
  e_.mode = 0777;
  return !raw_.path.empty();
}

template <class Of>
void Conversion::times(uint64_t pointer, Of of) {
  bool known = pointer != 0 && call_.has_blob;
  raw_.arg = known ? of(0) : kTimeNow;
  raw_.arg2 = known ? of(1) : kTimeNow;
}

void Conversion::names() {
  switch (call_.shape->number) {
    case SYS_lstat:
      e_.flags = AT_SYMLINK_NOFOLLOW;
      break;
    case SYS_newfstatat:
      e_.flags = word(a_[3]);
      break;
    case SYS_statx:
      e_.flags = word(a_[2]);
      break;
    case SYS_access:
      e_.mode = word(a_[1]);
      break;
    case SYS_faccessat:
    case SYS_faccessat2:
      e_.mode = word(a_[2]);
      if (call_.shape->number == SYS_faccessat2) e_.flags = word(a_[3]);
      break;
    case SYS_readlink:
      e_.length = a_[2];
      break;
    case SYS_readlinkat:
      e_.length = a_[3];
      break;
    case SYS_mkdir:
      e_.mode = word(a_[1]);
      break;
    case SYS_mkdirat:
      e_.mode = word(a_[2]);
      break;
    case SYS_mknod:
      e_.mode = word(a_[1]);
      raw_.arg = a_[2];
      break;
    case SYS_mknodat:
      e_.mode = word(a_[2]);
      raw_.arg = a_[3];
      break;
    case SYS_unlinkat:
      if ((a_[2] & AT_REMOVEDIR) != 0) set(Op::rmdir);
      break;
    case SYS_renameat2:
    case SYS_linkat:
      e_.flags = word(a_[4]);
      break;
    case SYS_truncate:
    case SYS_ftruncate:
      e_.length = a_[1];
      break;
    default:
      attributes();
      break;
  }
}

void Conversion::attributes() {
  switch (call_.shape->number) {
    case SYS_chmod:
    case SYS_fchmod:
      e_.mode = word(a_[1]);
      break;
    case SYS_fchmodat:
      e_.mode = word(a_[2]);
      break;
    case SYS_chown:
    case SYS_fchown:
    case SYS_lchown:
      raw_.arg = word(a_[1]);
      raw_.arg2 = word(a_[2]);
      if (call_.shape->number == SYS_lchown) e_.flags = AT_SYMLINK_NOFOLLOW;
      break;
    case SYS_fchownat:
      raw_.arg = word(a_[2]);
      raw_.arg2 = word(a_[3]);
      e_.flags = word(a_[4]);
      break;
    case SYS_utime:
      times(a_[1], [this](int i) { return load_le<uint64_t>(call_.blob + 8 * i) * 1'000'000'000; });
      break;
    case SYS_utimes:
      times(a_[1], [this](int i) { return of_timeval(call_.blob + 16 * i); });
      break;
    case SYS_futimesat:
      times(a_[2], [this](int i) { return of_timeval(call_.blob + 16 * i); });
      break;
    case SYS_utimensat:
      times(a_[2], [this](int i) { return of_timespec(call_.blob + 16 * i); });
      e_.flags = word(a_[3]);
      break;
    default:
      xattrs();
      break;
  }
}

void Conversion::xattrs() {
  switch (call_.shape->number) {
    case SYS_lsetxattr:
    case SYS_setxattr:
    case SYS_fsetxattr:
      e_.length = a_[3];
      e_.flags = word(a_[4]);
      if (call_.has_blob && call_.path2.starts_with(kPosixAcl)) e_.mode = mode_of_acl(call_.blob, a_[3]);
      break;
    case SYS_getxattr:
    case SYS_lgetxattr:
    case SYS_fgetxattr:
      e_.length = a_[3];
      break;
    case SYS_listxattr:
    case SYS_llistxattr:
    case SYS_flistxattr:
      e_.length = a_[2];
      break;
    default:
      break;
  }
  switch (call_.shape->number) {
    case SYS_lsetxattr:
    case SYS_lgetxattr:
    case SYS_llistxattr:
    case SYS_lremovexattr:
      e_.flags |= AT_SYMLINK_NOFOLLOW;
      break;
    default:
      break;
  }
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// System calls of x86-64 as events.
#include "trace/collect/syscalls.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/codec.h"

namespace reel::trace {
namespace {

constexpr uint8_t kTwoTimes = 32, kTwoInts = 8, kFlockSize = 32, kOffset = 8, kCloneRange = 32, kHow = 24,
                  kUtimbuf = 16;

// In the order of their numbers.
constexpr CallShape kShapes[] = {
    {.number = SYS_read, .op = Op::read},
    {.number = SYS_write, .op = Op::write},
    {.number = SYS_open, .op = Op::open, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_close, .op = Op::close},
    {.number = SYS_stat, .op = Op::stat, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_fstat, .op = Op::stat},
    {.number = SYS_lstat, .op = Op::stat, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_poll, .op = Op::poll},
    {.number = SYS_lseek, .op = Op::lseek},
    {.number = SYS_mmap, .op = Op::mmap},
    {.number = SYS_munmap, .op = Op::munmap},
    {.number = SYS_ioctl, .op = Op::ioctl, .blob = 2, .blob_size = kCloneRange},
    {.number = SYS_pread64, .op = Op::pread},
    {.number = SYS_pwrite64, .op = Op::pwrite},
    {.number = SYS_readv, .op = Op::readv, .vector = 1},
    {.number = SYS_writev, .op = Op::writev, .vector = 1},
    {.number = SYS_access, .op = Op::access, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_pipe, .op = Op::pipe, .blob = 0, .blob_size = kTwoInts, .blob_after = true},
    {.number = SYS_select, .op = Op::poll},
    {.number = SYS_msync, .op = Op::msync},
    {.number = SYS_dup, .op = Op::dup},
    {.number = SYS_dup2, .op = Op::dup2},
    {.number = SYS_nanosleep, .op = Op::poll},
    {.number = SYS_sendfile, .op = Op::sendfile, .blob2 = 2},
    {.number = SYS_socket, .op = Op::socket},
    {.number = SYS_connect, .op = Op::connect},
    {.number = SYS_accept, .op = Op::accept},
    {.number = SYS_sendto, .op = Op::send},
    {.number = SYS_recvfrom, .op = Op::recv},
    {.number = SYS_socketpair, .op = Op::socketpair, .blob = 3, .blob_size = kTwoInts, .blob_after = true},
    {.number = SYS_clone, .op = Op::fork},
    {.number = SYS_fork, .op = Op::fork},
    {.number = SYS_vfork, .op = Op::vfork},
    {.number = SYS_execve, .op = Op::exec, .dirfd = kCwdArg, .path = 0, .arguments = 1},
    {.number = SYS_exit, .op = Op::exit_thread},
    {.number = SYS_wait4, .op = Op::wait, .blob = 1, .blob_size = 4, .blob_after = true},
    {.number = SYS_fcntl, .op = Op::fcntl, .blob = 2, .blob_size = kFlockSize},
    {.number = SYS_flock, .op = Op::flock},
    {.number = SYS_fsync, .op = Op::fsync},
    {.number = SYS_fdatasync, .op = Op::fdatasync},
    {.number = SYS_truncate, .op = Op::truncate, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_ftruncate, .op = Op::truncate},
    {.number = SYS_getdents, .op = Op::getdents},
    {.number = SYS_chdir, .op = Op::chdir, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_fchdir, .op = Op::chdir},
    {.number = SYS_rename, .op = Op::rename, .dirfd = kCwdArg, .path = 0, .dirfd2 = kCwdArg, .path2 = 1},
    {.number = SYS_mkdir, .op = Op::mkdir, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_rmdir, .op = Op::rmdir, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_creat, .op = Op::open, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_link, .op = Op::link, .dirfd = kCwdArg, .path = 0, .dirfd2 = kCwdArg, .path2 = 1},
    {.number = SYS_unlink, .op = Op::unlink, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_symlink, .op = Op::symlink, .dirfd = kCwdArg, .path = 1, .path2 = 0},
    {.number = SYS_readlink, .op = Op::readlink, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_chmod, .op = Op::chmod, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_fchmod, .op = Op::chmod},
    {.number = SYS_chown, .op = Op::chown, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_fchown, .op = Op::chown},
    {.number = SYS_lchown, .op = Op::chown, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_umask, .op = Op::umask},
    {.number = SYS_setuid, .op = Op::setid},
    {.number = SYS_setgid, .op = Op::setid},
    {.number = SYS_setreuid, .op = Op::setid},
    {.number = SYS_setregid, .op = Op::setid},
    {.number = SYS_setresuid, .op = Op::setid},
    {.number = SYS_setresgid, .op = Op::setid},
    {.number = SYS_utime, .op = Op::utimens, .dirfd = kCwdArg, .path = 0, .blob = 1, .blob_size = kUtimbuf},
    {.number = SYS_mknod, .op = Op::mknod, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_statfs, .op = Op::statfs, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_fstatfs, .op = Op::statfs},
    {.number = SYS_chroot, .op = Op::chroot, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_sync, .op = Op::sync},
    {.number = SYS_readahead, .op = Op::readahead},
    {.number = SYS_setxattr, .op = Op::setxattr, .dirfd = kCwdArg, .path = 0, .path2 = 1},
    {.number = SYS_lsetxattr, .op = Op::setxattr, .dirfd = kCwdArg, .path = 0, .path2 = 1},
    {.number = SYS_fsetxattr, .op = Op::setxattr, .path2 = 1},
    {.number = SYS_getxattr, .op = Op::getxattr, .dirfd = kCwdArg, .path = 0, .path2 = 1},
    {.number = SYS_lgetxattr, .op = Op::getxattr, .dirfd = kCwdArg, .path = 0, .path2 = 1},
    {.number = SYS_fgetxattr, .op = Op::getxattr, .path2 = 1},
    {.number = SYS_listxattr, .op = Op::listxattr, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_llistxattr, .op = Op::listxattr, .dirfd = kCwdArg, .path = 0},
    {.number = SYS_flistxattr, .op = Op::listxattr},
    {.number = SYS_removexattr, .op = Op::removexattr, .dirfd = kCwdArg, .path = 0, .path2 = 1},
    {.number = SYS_lremovexattr, .op = Op::removexattr, .dirfd = kCwdArg, .path = 0, .path2 = 1},
    {.number = SYS_fremovexattr, .op = Op::removexattr, .path2 = 1},
    {.number = SYS_io_setup, .op = Op::io_setup, .blob = 1, .blob_size = 8, .blob_after = true},
    {.number = SYS_io_destroy, .op = Op::io_destroy},
    {.number = SYS_io_getevents, .op = Op::io_getevents, .aio = Aio::results},
    {.number = SYS_io_submit, .op = Op::io_submit, .aio = Aio::requests},
    {.number = SYS_epoll_create, .op = Op::other_fd},
    {.number = SYS_getdents64, .op = Op::getdents},
    {.number = SYS_fadvise64, .op = Op::fadvise},
    {.number = SYS_clock_nanosleep, .op = Op::poll},
    {.number = SYS_exit_group, .op = Op::exit},
    {.number = SYS_epoll_wait, .op = Op::poll},
    {.number = SYS_utimes, .op = Op::utimens, .dirfd = kCwdArg, .path = 0, .blob = 1, .blob_size = kTwoTimes},
    {.number = SYS_waitid, .op = Op::wait, .blob = 2, .blob_size = 32, .blob_after = true},
    {.number = SYS_inotify_init, .op = Op::other_fd},
    {.number = SYS_openat, .op = Op::open, .dirfd = 0, .path = 1},
    {.number = SYS_mkdirat, .op = Op::mkdir, .dirfd = 0, .path = 1},
    {.number = SYS_mknodat, .op = Op::mknod, .dirfd = 0, .path = 1},
    {.number = SYS_fchownat, .op = Op::chown, .dirfd = 0, .path = 1},
    {.number = SYS_futimesat, .op = Op::utimens, .dirfd = 0, .path = 1, .blob = 2, .blob_size = kTwoTimes},
    {.number = SYS_newfstatat, .op = Op::stat, .dirfd = 0, .path = 1},
    {.number = SYS_unlinkat, .op = Op::unlink, .dirfd = 0, .path = 1},
    {.number = SYS_renameat, .op = Op::rename, .dirfd = 0, .path = 1, .dirfd2 = 2, .path2 = 3},
    {.number = SYS_linkat, .op = Op::link, .dirfd = 0, .path = 1, .dirfd2 = 2, .path2 = 3},
    {.number = SYS_symlinkat, .op = Op::symlink, .dirfd = 1, .path = 2, .path2 = 0},
    {.number = SYS_readlinkat, .op = Op::readlink, .dirfd = 0, .path = 1},
    {.number = SYS_fchmodat, .op = Op::chmod, .dirfd = 0, .path = 1},
    {.number = SYS_faccessat, .op = Op::access, .dirfd = 0, .path = 1},
    {.number = SYS_pselect6, .op = Op::poll},
    {.number = SYS_ppoll, .op = Op::poll},
    {.number = SYS_splice, .op = Op::splice, .blob = 3, .blob_size = kOffset, .blob2 = 1},
    {.number = SYS_sync_file_range, .op = Op::sync_range},
    {.number = SYS_utimensat, .op = Op::utimens, .dirfd = 0, .path = 1, .blob = 2, .blob_size = kTwoTimes},
    {.number = SYS_epoll_pwait, .op = Op::poll},
    {.number = SYS_signalfd, .op = Op::other_fd},
    {.number = SYS_timerfd_create, .op = Op::other_fd},
    {.number = SYS_eventfd, .op = Op::other_fd},
    {.number = SYS_fallocate, .op = Op::fallocate},
    {.number = SYS_accept4, .op = Op::accept},
    {.number = SYS_signalfd4, .op = Op::other_fd},
    {.number = SYS_eventfd2, .op = Op::other_fd},
    {.number = SYS_epoll_create1, .op = Op::other_fd},
    {.number = SYS_dup3, .op = Op::dup2},
    {.number = SYS_pipe2, .op = Op::pipe, .blob = 0, .blob_size = kTwoInts, .blob_after = true},
    {.number = SYS_inotify_init1, .op = Op::other_fd},
    {.number = SYS_preadv, .op = Op::preadv, .vector = 1},
    {.number = SYS_pwritev, .op = Op::pwritev, .vector = 1},
    {.number = SYS_syncfs, .op = Op::syncfs},
    {.number = SYS_renameat2, .op = Op::rename, .dirfd = 0, .path = 1, .dirfd2 = 2, .path2 = 3},
    {.number = SYS_memfd_create, .op = Op::other_fd},
    {.number = SYS_execveat, .op = Op::exec, .dirfd = 0, .path = 1, .arguments = 2},
    {.number = SYS_copy_file_range, .op = Op::copy_range, .blob = 3, .blob_size = kOffset, .blob2 = 1},
    {.number = SYS_preadv2, .op = Op::preadv, .vector = 1},
    {.number = SYS_pwritev2, .op = Op::pwritev, .vector = 1},
    {.number = SYS_statx, .op = Op::stat, .dirfd = 0, .path = 1},
    {.number = SYS_io_pgetevents, .op = Op::io_getevents, .aio = Aio::results},
    {.number = SYS_io_uring_setup, .op = Op::uring_setup},
    {.number = SYS_io_uring_enter, .op = Op::uring_enter},
    {.number = SYS_pidfd_open, .op = Op::other_fd},
    {.number = SYS_clone3, .op = Op::fork, .blob = 0, .blob_size = 8},
    {.number = SYS_close_range, .op = Op::close_range},
    {.number = SYS_openat2, .op = Op::open, .dirfd = 0, .path = 1, .blob = 2, .blob_size = kHow},
    {.number = SYS_faccessat2, .op = Op::access, .dirfd = 0, .path = 1},
};

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

int32_t int_of(uint64_t argument) {
  return static_cast<int32_t>(argument);
}
uint32_t word(uint64_t argument) {
  return static_cast<uint32_t>(argument);
}

// One call on its way to be an event.
class Conversion {
 public:
  Conversion(const FetchedCall& call, Raw& raw) : call_(call), raw_(raw), e_(raw.event), a_(call.arguments) {}

  bool run() {
    const CallShape& shape = *call_.shape;
    e_.op = static_cast<uint16_t>(shape.op);
    e_.enter_ns = call_.enter_ns;
    e_.exit_ns = call_.exit_ns;
    e_.result = call_.result;
    e_.fd = shape.dirfd == kCwdArg ? AT_FDCWD : shape.dirfd >= 0 ? int_of(a_[shape.dirfd]) : int_of(a_[0]);
    e_.fd2 = shape.dirfd2 == kCwdArg ? AT_FDCWD : shape.dirfd2 >= 0 ? int_of(a_[shape.dirfd2]) : -1;
    raw_.path = call_.path;
    raw_.path2 = call_.path2;
    return descriptors() && data() && names() && processes();
  }

 private:
  void set(Op op) { e_.op = static_cast<uint16_t>(op); }
  bool failed() const { return call_.result < 0; }

  bool descriptors() {
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
    return true;
  }

  void other_fd() {
    e_.fd = -1;
    e_.fd2 = failed() ? -1 : int_of(static_cast<uint64_t>(call_.result));
  }

  void ends() {
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

  void fcntl_call() {
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

  bool data() {
    switch (call_.shape->number) {
      case SYS_read:
      case SYS_write:
      case SYS_getdents:
      case SYS_getdents64:
      case SYS_sendto:
      case SYS_recvfrom:
        e_.length = a_[2];
        break;
      case SYS_pread64:
      case SYS_pwrite64:
        e_.length = a_[2];
        e_.offset = a_[3];
        break;
      case SYS_readv:
      case SYS_writev:
      case SYS_preadv:
      case SYS_pwritev:
      case SYS_preadv2:
      case SYS_pwritev2:
        vector();
        break;
      case SYS_lseek:
        raw_.arg = a_[1];
        e_.flags = word(a_[2]);
        break;
      case SYS_mmap:
        if (int_of(a_[4]) < 0 || (a_[3] & MAP_ANONYMOUS) != 0) return false;
        e_.fd = int_of(a_[4]);
        e_.length = a_[1];
        e_.mode = word(a_[2]);
        e_.flags = word(a_[3]);
        e_.offset = a_[5];
        break;
      case SYS_munmap:
      case SYS_msync:
        e_.fd = -1;
        raw_.arg = a_[0];
        e_.length = a_[1];
        if (call_.shape->number == SYS_msync) e_.flags = word(a_[2]);
        break;
      case SYS_sendfile:
        e_.fd = int_of(a_[1]);
        e_.fd2 = int_of(a_[0]);
        e_.length = a_[3];
        if (a_[2] != 0) source_offset();
        break;
      case SYS_copy_file_range:
      case SYS_splice:
        e_.fd2 = int_of(a_[2]);
        e_.length = a_[4];
        if (a_[1] != 0) source_offset();
        if (a_[3] != 0) {
          e_.flags |= 2;
          raw_.arg2 = load_le<uint64_t>(call_.blob);
        }
        break;
      case SYS_ioctl:
        ioctl_call();
        break;
      case SYS_sync:
        e_.fd = -1;
        break;
      case SYS_sync_file_range:
      case SYS_readahead:
      case SYS_fadvise64:
        e_.offset = a_[1];
        e_.length = a_[2];
        if (call_.shape->number == SYS_sync_file_range) e_.flags = word(a_[3]);
        if (call_.shape->number == SYS_fadvise64) raw_.arg = word(a_[3]);
        break;
      case SYS_fallocate:
        e_.mode = word(a_[1]);
        e_.offset = a_[2];
        e_.length = a_[3];
        break;
      case SYS_flock:
        raw_.arg = word(a_[1]);
        break;
      default:
        break;
    }
    return true;
  }

  void source_offset() {
    e_.flags |= 1;
    e_.offset = call_.blob2;
  }

  void vector() {
    int number = call_.shape->number;
    e_.length = call_.vector_bytes;
    raw_.arg = word(a_[2]);
    bool at = number != SYS_readv && number != SYS_writev;
    if (at) e_.offset = a_[3];
    if (number == SYS_preadv2 || number == SYS_pwritev2) e_.flags = word(a_[5]);
    if (at && static_cast<int64_t>(a_[3]) == -1) {
      set(number == SYS_preadv2 ? Op::readv : Op::writev);
      e_.offset = 0;
    }
  }

  void ioctl_call() {
    uint64_t request = word(a_[1]);
    if (request == FICLONE || request == FICLONERANGE) {
      set(Op::clone_range);
      e_.fd2 = int_of(a_[0]);
      e_.fd = int_of(a_[2]);
      if (request == FICLONE || !call_.has_blob) return;
      e_.fd = load_le<int32_t>(call_.blob);
      e_.offset = load_le<uint64_t>(call_.blob + 8);
      e_.length = load_le<uint64_t>(call_.blob + 16);
      raw_.arg2 = load_le<uint64_t>(call_.blob + 24);
      return;
    }
    raw_.arg = request;
  }

  bool names() {
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
        return attributes();
    }
    return true;
  }

  bool attributes() {
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
      case SYS_lsetxattr:
      case SYS_setxattr:
      case SYS_fsetxattr:
        e_.length = a_[3];
        e_.flags = word(a_[4]);
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
    return true;
  }

  template <class Of>
  void times(uint64_t pointer, Of of) {
    bool known = pointer != 0 && call_.has_blob;
    raw_.arg = known ? of(0) : kTimeNow;
    raw_.arg2 = known ? of(1) : kTimeNow;
  }

  bool processes() {
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
      case SYS_nanosleep:
      case SYS_clock_nanosleep:
        e_.mode = 1;
        e_.fd = -1;
        break;
      default:
        return asynchronous();
    }
    return true;
  }

  bool asynchronous() {
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
    return true;
  }

  const FetchedCall& call_;
  Raw& raw_;
  RawEvent& e_;
  const uint64_t* a_;
};

}  // namespace

const CallShape* shape_of(uint64_t number) {
  const CallShape* end = std::end(kShapes);
  const CallShape* at = std::lower_bound(std::begin(kShapes), end, number,
                                         [](const CallShape& shape, uint64_t wanted) { return shape.number < wanted; });
  return at != end && at->number == number ? at : nullptr;
}

const CallShape* all_shapes(size_t& count) {
  count = std::size(kShapes);
  return kShapes;
}

bool to_raw(const FetchedCall& call, Raw& raw) {
  raw = Raw{};
  return Conversion(call, raw).run();
}

}  // namespace reel::trace

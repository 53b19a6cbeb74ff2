// SPDX-License-Identifier: Apache-2.0
//
// A call by number goes to libc's function for it, that is, to ours: this library is linked so that it calls its own
// (-Bsymbolic-functions), also where the program has one of the same name. (libuv copies files this way, Rust's library
// asks for statx.) They take the kernel's arguments in the kernel's order and structures, on x86-64.
#include "trace/preload/calls/by_number.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "trace/preload/shim.h"

namespace reel::trace::shim {
namespace {

// An argument as the function wants it.
struct Argument {
  long value;
  template <class T>
  operator T*() const {  // NOLINT: that is its purpose
    return reinterpret_cast<T*>(value);
  }
  operator int() const { return static_cast<int>(value); }                      // NOLINT
  operator unsigned() const { return static_cast<unsigned>(value); }            // NOLINT
  operator long() const { return value; }                                       // NOLINT
  operator unsigned long() const { return static_cast<unsigned long>(value); }  // NOLINT
};

// Names, and what is beside contents.
bool of_names(const SyscallArguments& call, long& result) {
  Argument a{call.a}, b{call.b}, c{call.c}, d{call.d}, e{call.e};
  switch (call.number) {
#define REEL_NUMBER(name, ...) \
  case SYS_##name:             \
    result = __VA_ARGS__;      \
    return true
    REEL_NUMBER(mkdir, ::mkdir(a, b));
    REEL_NUMBER(mkdirat, ::mkdirat(a, b, c));
    REEL_NUMBER(rmdir, ::rmdir(a));
    REEL_NUMBER(unlink, ::unlink(a));
    REEL_NUMBER(unlinkat, ::unlinkat(a, b, c));
    REEL_NUMBER(rename, ::rename(a, b));
    REEL_NUMBER(renameat, ::renameat(a, b, c, d));
    REEL_NUMBER(renameat2, ::renameat2(a, b, c, d, e));
    REEL_NUMBER(link, ::link(a, b));
    REEL_NUMBER(linkat, ::linkat(a, b, c, d, e));
    REEL_NUMBER(symlink, ::symlink(a, b));
    REEL_NUMBER(symlinkat, ::symlinkat(a, b, c));
    REEL_NUMBER(mknod, ::mknod(a, b, c));
    REEL_NUMBER(mknodat, ::mknodat(a, b, c, d));
    REEL_NUMBER(truncate, ::truncate(a, b));
    REEL_NUMBER(ftruncate, ::ftruncate(a, b));
    REEL_NUMBER(chmod, ::chmod(a, b));
    REEL_NUMBER(fchmod, ::fchmod(a, b));
    REEL_NUMBER(chown, ::chown(a, b, c));
    REEL_NUMBER(lchown, ::lchown(a, b, c));
    REEL_NUMBER(fchown, ::fchown(a, b, c));
    REEL_NUMBER(fchownat, ::fchownat(a, b, c, d, e));
    REEL_NUMBER(stat, ::stat(a, static_cast<struct stat*>(b)));
    REEL_NUMBER(lstat, ::lstat(a, static_cast<struct stat*>(b)));
    REEL_NUMBER(fstat, ::fstat(a, static_cast<struct stat*>(b)));
    REEL_NUMBER(newfstatat, ::fstatat(a, b, static_cast<struct stat*>(c), d));
    REEL_NUMBER(statx, ::statx(a, b, c, d, static_cast<struct statx*>(e)));
    REEL_NUMBER(access, ::access(a, b));
    REEL_NUMBER(faccessat, ::faccessat(a, b, c, 0));
    REEL_NUMBER(fchmodat, ::fchmodat(a, b, c, 0));
    REEL_NUMBER(statfs, ::statfs(a, static_cast<struct statfs*>(b)));
    REEL_NUMBER(fstatfs, ::fstatfs(a, static_cast<struct statfs*>(b)));
    REEL_NUMBER(utimensat, call.b != 0 ? ::utimensat(a, b, c, d) : ::futimens(a, c));
    REEL_NUMBER(readlink, ::readlink(a, b, c));
    REEL_NUMBER(readlinkat, ::readlinkat(a, b, c, d));
    REEL_NUMBER(chdir, ::chdir(a));
    REEL_NUMBER(fchdir, ::fchdir(a));
    REEL_NUMBER(setxattr, ::setxattr(a, b, c, d, e));
    REEL_NUMBER(lsetxattr, ::lsetxattr(a, b, c, d, e));
    REEL_NUMBER(fsetxattr, ::fsetxattr(a, b, c, d, e));
    REEL_NUMBER(getxattr, ::getxattr(a, b, c, d));
    REEL_NUMBER(lgetxattr, ::lgetxattr(a, b, c, d));
    REEL_NUMBER(fgetxattr, ::fgetxattr(a, b, c, d));
    REEL_NUMBER(listxattr, ::listxattr(a, b, c));
    REEL_NUMBER(llistxattr, ::llistxattr(a, b, c));
    REEL_NUMBER(flistxattr, ::flistxattr(a, b, c));
    REEL_NUMBER(removexattr, ::removexattr(a, b));
    REEL_NUMBER(lremovexattr, ::lremovexattr(a, b));
    REEL_NUMBER(fremovexattr, ::fremovexattr(a, b));
    default:
      return false;
  }
}

// Descriptors, and what goes through them.
bool of_descriptors(const SyscallArguments& call, long& result) {
  Argument a{call.a}, b{call.b}, c{call.c}, d{call.d}, e{call.e}, f{call.f};
  switch (call.number) {
    REEL_NUMBER(open, ::open(a, b, static_cast<mode_t>(call.c)));
    REEL_NUMBER(openat, ::openat(a, b, c, static_cast<mode_t>(call.d)));
    REEL_NUMBER(creat, ::creat(a, b));
    REEL_NUMBER(close, ::close(a));
    REEL_NUMBER(close_range, ::close_range(a, b, c));
    REEL_NUMBER(dup, ::dup(a));
    REEL_NUMBER(dup2, ::dup2(a, b));
    REEL_NUMBER(dup3, ::dup3(a, b, c));
    REEL_NUMBER(pipe, ::pipe(a));
    REEL_NUMBER(pipe2, ::pipe2(a, b));
    REEL_NUMBER(fcntl, ::fcntl(a, b, call.c));
    REEL_NUMBER(read, ::read(a, b, c));
    REEL_NUMBER(write, ::write(a, b, c));
    REEL_NUMBER(pread64, ::pread(a, b, c, d));
    REEL_NUMBER(pwrite64, ::pwrite(a, b, c, d));
    REEL_NUMBER(readv, ::readv(a, b, c));
    REEL_NUMBER(writev, ::writev(a, b, c));
    REEL_NUMBER(preadv, ::preadv(a, b, c, d));
    REEL_NUMBER(pwritev, ::pwritev(a, b, c, d));
    REEL_NUMBER(preadv2, ::preadv2(a, b, c, d, f));
    REEL_NUMBER(pwritev2, ::pwritev2(a, b, c, d, f));
    REEL_NUMBER(lseek, ::lseek(a, b, c));
    REEL_NUMBER(getdents64, ::getdents64(a, b, c));
    REEL_NUMBER(flock, ::flock(a, b));
    REEL_NUMBER(copy_file_range, ::copy_file_range(a, b, c, d, e, f));
    REEL_NUMBER(sendfile, ::sendfile(a, b, static_cast<off_t*>(c), d));
    REEL_NUMBER(splice, ::splice(a, b, c, d, e, f));
    REEL_NUMBER(fallocate, ::fallocate(a, b, c, d));
    REEL_NUMBER(fsync, ::fsync(a));
    REEL_NUMBER(fdatasync, ::fdatasync(a));
    REEL_NUMBER(syncfs, ::syncfs(a));
    REEL_NUMBER(sync_file_range, ::sync_file_range(a, b, c, d));
    REEL_NUMBER(readahead, ::readahead(a, b, c));
    REEL_NUMBER(mmap, reinterpret_cast<long>(::mmap(a, b, c, d, e, f)));
    REEL_NUMBER(munmap, ::munmap(a, b));
    REEL_NUMBER(msync, ::msync(a, b, c));
#undef REEL_NUMBER
    default:
      return false;
  }
}

}  // namespace

// A library may have such a function that makes the same call by number: then that one is libc's, for us.
bool make_by_number(const SyscallArguments& call, long& result) {
  static __thread long making __attribute__((tls_model("initial-exec")));  // plus one; 0: none
  long outer = making;
  if (outer == call.number + 1) return false;
  making = call.number + 1;
  bool made = of_descriptors(call, result) || of_names(call, result);
  making = outer;
  return made;
}

}  // namespace reel::trace::shim

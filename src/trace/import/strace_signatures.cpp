// SPDX-License-Identifier: Apache-2.0
//
// The table of calls, in the order of their numbers.
#include "trace/import/strace_signatures.h"

#include <sys/syscall.h>

#include <unordered_map>

namespace reel::trace {
namespace {

// clang-format off
constexpr StraceSignature kSignatures[] = {
    {"read", SYS_read, "n-n"}, {"write", SYS_write, "n-n"}, {"open", SYS_open, "pnN"}, {"close", SYS_close, "n"},
    {"stat", SYS_stat, "p-"}, {"fstat", SYS_fstat, "n-"}, {"lstat", SYS_lstat, "p-"}, {"poll", SYS_poll, ""},
    {"lseek", SYS_lseek, "nnn"}, {"mmap", SYS_mmap, "-nnnnn"}, {"munmap", SYS_munmap, "nn"},
    {"ioctl", SYS_ioctl, "nnI"}, {"pread64", SYS_pread64, "n-nn"}, {"pwrite64", SYS_pwrite64, "n-nn"},
    {"readv", SYS_readv, "nvn"}, {"writev", SYS_writev, "nvn"}, {"access", SYS_access, "pn"}, {"pipe", SYS_pipe, "b"},
    {"select", SYS_select, ""}, {"msync", SYS_msync, "nnn"}, {"dup", SYS_dup, "n"}, {"dup2", SYS_dup2, "nn"},
    {"nanosleep", SYS_nanosleep, ""}, {"sendfile", SYS_sendfile, "nnon"}, {"socket", SYS_socket, "nn"},
    {"connect", SYS_connect, "n"}, {"accept", SYS_accept, "n"}, {"sendto", SYS_sendto, "n-n"},
    {"bind", SYS_bind, "nsn"}, {"recvfrom", SYS_recvfrom, "n-n"}, {"socketpair", SYS_socketpair, "nn-b"}, {"clone", SYS_clone, "c"},
    {"fork", SYS_fork, ""}, {"vfork", SYS_vfork, ""}, {"execve", SYS_execve, "pa"}, {"exit", SYS_exit, "n"},
    {"wait4", SYS_wait4, "-bn"}, {"fcntl", SYS_fcntl, "nnB"}, {"flock", SYS_flock, "nn"}, {"fsync", SYS_fsync, "n"},
    {"fdatasync", SYS_fdatasync, "n"}, {"truncate", SYS_truncate, "pn"}, {"ftruncate", SYS_ftruncate, "nn"},
    {"getdents", SYS_getdents, "n-n"}, {"chdir", SYS_chdir, "p"}, {"fchdir", SYS_fchdir, "n"},
    {"rename", SYS_rename, "pp"}, {"mkdir", SYS_mkdir, "pn"}, {"rmdir", SYS_rmdir, "p"}, {"creat", SYS_creat, "pn"},
    {"link", SYS_link, "pp"}, {"unlink", SYS_unlink, "p"}, {"symlink", SYS_symlink, "pp"},
    {"readlink", SYS_readlink, "p-n"}, {"chmod", SYS_chmod, "pn"}, {"fchmod", SYS_fchmod, "nn"},
    {"chown", SYS_chown, "pnn"}, {"fchown", SYS_fchown, "nnn"}, {"lchown", SYS_lchown, "pnn"},
    {"umask", SYS_umask, "n"}, {"setuid", SYS_setuid, "n"}, {"setgid", SYS_setgid, "n"},
    {"setreuid", SYS_setreuid, "nn"}, {"setregid", SYS_setregid, "nn"}, {"setresuid", SYS_setresuid, "nnn"},
    {"setresgid", SYS_setresgid, "nnn"}, {"utime", SYS_utime, "pb"}, {"mknod", SYS_mknod, "pnN"},
    {"statfs", SYS_statfs, "p-"}, {"fstatfs", SYS_fstatfs, "n-"}, {"chroot", SYS_chroot, "p"}, {"sync", SYS_sync, ""},
    {"readahead", SYS_readahead, "nnn"}, {"setxattr", SYS_setxattr, "pxwnn"}, {"lsetxattr", SYS_lsetxattr, "pxwnn"},
    {"fsetxattr", SYS_fsetxattr, "nxwnn"}, {"getxattr", SYS_getxattr, "px-n"}, {"lgetxattr", SYS_lgetxattr, "px-n"},
    {"fgetxattr", SYS_fgetxattr, "nx-n"}, {"listxattr", SYS_listxattr, "p-n"}, {"llistxattr", SYS_llistxattr, "p-n"},
    {"flistxattr", SYS_flistxattr, "n-n"}, {"removexattr", SYS_removexattr, "px"},
    {"lremovexattr", SYS_lremovexattr, "px"}, {"fremovexattr", SYS_fremovexattr, "nx"},
    {"io_setup", SYS_io_setup, "nb"}, {"io_destroy", SYS_io_destroy, "n"}, {"io_getevents", SYS_io_getevents, "nnn"},
    {"io_submit", SYS_io_submit, "nn"}, {"epoll_create", SYS_epoll_create, ""}, {"getdents64", SYS_getdents64, "n-n"},
    {"fadvise64", SYS_fadvise64, "nnnn"}, {"clock_nanosleep", SYS_clock_nanosleep, ""},
    {"exit_group", SYS_exit_group, "n"}, {"epoll_wait", SYS_epoll_wait, ""}, {"utimes", SYS_utimes, "pb"},
    {"waitid", SYS_waitid, "--bn"}, {"inotify_init", SYS_inotify_init, ""}, {"openat", SYS_openat, "npnN"},
    {"mkdirat", SYS_mkdirat, "npn"}, {"mknodat", SYS_mknodat, "npnN"}, {"fchownat", SYS_fchownat, "npnnn"},
    {"futimesat", SYS_futimesat, "npb"}, {"newfstatat", SYS_newfstatat, "np-n"}, {"unlinkat", SYS_unlinkat, "npn"},
    {"renameat", SYS_renameat, "npnp"}, {"linkat", SYS_linkat, "npnpn"}, {"symlinkat", SYS_symlinkat, "pnp"},
    {"readlinkat", SYS_readlinkat, "np-n"}, {"fchmodat", SYS_fchmodat, "npn"}, {"faccessat", SYS_faccessat, "npn"},
    {"pselect6", SYS_pselect6, ""}, {"ppoll", SYS_ppoll, ""}, {"splice", SYS_splice, "nonon"},
    {"sync_file_range", SYS_sync_file_range, "nnnn"}, {"utimensat", SYS_utimensat, "npbn"},
    {"epoll_pwait", SYS_epoll_pwait, ""}, {"signalfd", SYS_signalfd, ""}, {"timerfd_create", SYS_timerfd_create, ""},
    {"eventfd", SYS_eventfd, ""}, {"fallocate", SYS_fallocate, "nnnn"}, {"accept4", SYS_accept4, "n--n"},
    {"signalfd4", SYS_signalfd4, ""}, {"eventfd2", SYS_eventfd2, ""}, {"epoll_create1", SYS_epoll_create1, ""},
    {"dup3", SYS_dup3, "nnn"}, {"pipe2", SYS_pipe2, "bn"}, {"inotify_init1", SYS_inotify_init1, ""},
    {"preadv", SYS_preadv, "nvnn"}, {"pwritev", SYS_pwritev, "nvnn"}, {"syncfs", SYS_syncfs, "n"},
    {"renameat2", SYS_renameat2, "npnpn"}, {"memfd_create", SYS_memfd_create, ""}, {"execveat", SYS_execveat, "npa"},
    {"copy_file_range", SYS_copy_file_range, "nonon"}, {"preadv2", SYS_preadv2, "nvnnN"},
    {"pwritev2", SYS_pwritev2, "nvnnN"}, {"statx", SYS_statx, "npn"}, {"io_uring_setup", SYS_io_uring_setup, "n"},
    {"io_uring_enter", SYS_io_uring_enter, "nnn"}, {"pidfd_open", SYS_pidfd_open, ""}, {"clone3", SYS_clone3, "b"},
    {"close_range", SYS_close_range, "nnn"}, {"openat2", SYS_openat2, "npb"}, {"faccessat2", SYS_faccessat2, "npnn"},
};
// clang-format on

}  // namespace

const StraceSignature* strace_signature(std::string_view name) {
  static const auto* by_name = [] {
    auto* map = new std::unordered_map<std::string_view, const StraceSignature*>;
    for (const StraceSignature& signature : kSignatures) (*map)[signature.name] = &signature;
    return map;
  }();
  auto at = by_name->find(name);
  return at == by_name->end() ? nullptr : at->second;
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Names of constants. The values are the kernel's, from its headers where libc has them.
#include "trace/import/strace_names.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <unordered_map>

namespace reel::trace {
namespace {

using Names = std::unordered_map<std::string_view, uint64_t>;

// clang-format off
// NAME, by its value here. (O_LARGEFILE is no flag on x86-64.)
#define REEL_NAME(name) \
  { #name, static_cast < uint64_t>(name) }

const Names& file_names() {
  static const Names names = {
      {"NULL", 0}, {"O_LARGEFILE", 0}, REEL_NAME(O_RDONLY), REEL_NAME(O_WRONLY), REEL_NAME(O_RDWR),
      REEL_NAME(O_ACCMODE), REEL_NAME(O_CREAT), REEL_NAME(O_EXCL), REEL_NAME(O_NOCTTY), REEL_NAME(O_TRUNC),
      REEL_NAME(O_APPEND), REEL_NAME(O_NONBLOCK), REEL_NAME(O_DSYNC), REEL_NAME(O_SYNC), REEL_NAME(O_ASYNC),
      REEL_NAME(O_DIRECT), REEL_NAME(O_DIRECTORY), REEL_NAME(O_NOFOLLOW), REEL_NAME(O_NOATIME), REEL_NAME(O_CLOEXEC),
      REEL_NAME(O_PATH), REEL_NAME(O_TMPFILE), REEL_NAME(RESOLVE_NO_XDEV), REEL_NAME(RESOLVE_NO_MAGICLINKS),
      REEL_NAME(RESOLVE_NO_SYMLINKS), REEL_NAME(RESOLVE_BENEATH), REEL_NAME(RESOLVE_IN_ROOT),
      REEL_NAME(RESOLVE_CACHED), {"AT_FDCWD", static_cast<uint64_t>(AT_FDCWD)}, REEL_NAME(AT_SYMLINK_NOFOLLOW),
      REEL_NAME(AT_SYMLINK_FOLLOW), REEL_NAME(AT_REMOVEDIR), REEL_NAME(AT_EACCESS), REEL_NAME(AT_EMPTY_PATH),
      REEL_NAME(AT_NO_AUTOMOUNT), {"AT_STATX_SYNC_AS_STAT", 0}, {"AT_STATX_FORCE_SYNC", 0x2000},
      {"AT_STATX_DONT_SYNC", 0x4000}, REEL_NAME(F_OK), REEL_NAME(R_OK), REEL_NAME(W_OK), REEL_NAME(X_OK),
      REEL_NAME(S_IFMT), REEL_NAME(S_IFREG), REEL_NAME(S_IFDIR), REEL_NAME(S_IFLNK), REEL_NAME(S_IFIFO),
      REEL_NAME(S_IFSOCK), REEL_NAME(S_IFBLK), REEL_NAME(S_IFCHR), REEL_NAME(S_ISUID), REEL_NAME(S_ISGID),
      REEL_NAME(S_ISVTX), REEL_NAME(SEEK_SET), REEL_NAME(SEEK_CUR), REEL_NAME(SEEK_END), REEL_NAME(SEEK_DATA),
      REEL_NAME(SEEK_HOLE), REEL_NAME(RENAME_NOREPLACE), REEL_NAME(RENAME_EXCHANGE), REEL_NAME(RENAME_WHITEOUT),
      REEL_NAME(FALLOC_FL_KEEP_SIZE), REEL_NAME(FALLOC_FL_PUNCH_HOLE), REEL_NAME(FALLOC_FL_COLLAPSE_RANGE),
      REEL_NAME(FALLOC_FL_ZERO_RANGE), REEL_NAME(FALLOC_FL_INSERT_RANGE), REEL_NAME(FALLOC_FL_UNSHARE_RANGE),
      REEL_NAME(POSIX_FADV_NORMAL), REEL_NAME(POSIX_FADV_RANDOM), REEL_NAME(POSIX_FADV_SEQUENTIAL),
      REEL_NAME(POSIX_FADV_WILLNEED), REEL_NAME(POSIX_FADV_DONTNEED), REEL_NAME(POSIX_FADV_NOREUSE),
      REEL_NAME(SYNC_FILE_RANGE_WAIT_BEFORE), REEL_NAME(SYNC_FILE_RANGE_WRITE), REEL_NAME(SYNC_FILE_RANGE_WAIT_AFTER),
      REEL_NAME(RWF_HIPRI), REEL_NAME(RWF_DSYNC), REEL_NAME(RWF_SYNC), REEL_NAME(RWF_NOWAIT), REEL_NAME(RWF_APPEND),
      REEL_NAME(XATTR_CREATE), REEL_NAME(XATTR_REPLACE), REEL_NAME(UTIME_NOW), REEL_NAME(UTIME_OMIT),
  };
  return names;
}

const Names& descriptor_names() {
  static const Names names = {
      REEL_NAME(F_DUPFD), REEL_NAME(F_DUPFD_CLOEXEC), REEL_NAME(F_GETFD), REEL_NAME(F_SETFD), REEL_NAME(F_GETFL),
      REEL_NAME(F_SETFL), REEL_NAME(F_GETLK), REEL_NAME(F_SETLK), REEL_NAME(F_SETLKW), REEL_NAME(F_OFD_GETLK),
      REEL_NAME(F_OFD_SETLK), REEL_NAME(F_OFD_SETLKW), REEL_NAME(F_SETOWN), REEL_NAME(F_GETOWN), REEL_NAME(F_SETSIG),
      REEL_NAME(F_GETSIG), REEL_NAME(F_SETLEASE), REEL_NAME(F_GETLEASE), REEL_NAME(F_NOTIFY), REEL_NAME(F_SETPIPE_SZ),
      REEL_NAME(F_GETPIPE_SZ), REEL_NAME(F_ADD_SEALS), REEL_NAME(F_GET_SEALS), REEL_NAME(FD_CLOEXEC),
      REEL_NAME(F_RDLCK), REEL_NAME(F_WRLCK), REEL_NAME(F_UNLCK), REEL_NAME(LOCK_SH), REEL_NAME(LOCK_EX),
      REEL_NAME(LOCK_NB), REEL_NAME(LOCK_UN), {"CLOSE_RANGE_UNSHARE", 2}, {"CLOSE_RANGE_CLOEXEC", 4},
      {"EFD_CLOEXEC", O_CLOEXEC}, {"EFD_NONBLOCK", O_NONBLOCK}, {"EPOLL_CLOEXEC", O_CLOEXEC},
      {"TFD_CLOEXEC", O_CLOEXEC}, {"TFD_NONBLOCK", O_NONBLOCK}, {"SFD_CLOEXEC", O_CLOEXEC},
      {"SFD_NONBLOCK", O_NONBLOCK}, {"IN_CLOEXEC", O_CLOEXEC}, {"IN_NONBLOCK", O_NONBLOCK}, {"MFD_CLOEXEC", 1},
      {"MFD_ALLOW_SEALING", 2}, {"EFD_SEMAPHORE", 1}, REEL_NAME(AF_UNIX), REEL_NAME(AF_INET), REEL_NAME(AF_INET6),
      REEL_NAME(AF_NETLINK), REEL_NAME(AF_PACKET), REEL_NAME(AF_ALG), REEL_NAME(AF_VSOCK), REEL_NAME(SOCK_STREAM),
      REEL_NAME(SOCK_DGRAM), REEL_NAME(SOCK_RAW), REEL_NAME(SOCK_SEQPACKET), REEL_NAME(SOCK_CLOEXEC),
      REEL_NAME(SOCK_NONBLOCK), REEL_NAME(FICLONE), REEL_NAME(FICLONERANGE), {"FS_IOC_FIEMAP", 0xc020660b},
      REEL_NAME(FS_IOC_GETFLAGS), REEL_NAME(FS_IOC_SETFLAGS), REEL_NAME(BLKGETSIZE64), REEL_NAME(TCGETS),
      REEL_NAME(TCSETS), REEL_NAME(TCSETSW), REEL_NAME(TCSETSF), REEL_NAME(TIOCGWINSZ), REEL_NAME(TIOCSWINSZ),
      REEL_NAME(TIOCGPGRP), REEL_NAME(TIOCSPGRP), REEL_NAME(TIOCGPTN), REEL_NAME(TIOCSPTLCK), REEL_NAME(TIOCSCTTY),
      REEL_NAME(FIONREAD), REEL_NAME(FIONBIO), REEL_NAME(FIOCLEX), REEL_NAME(FIONCLEX), REEL_NAME(FIOASYNC),
      {"FIDEDUPERANGE", 0xc0189436}, {"FS_IOC_FSGETXATTR", 0x801c581f}, {"FS_IOC_FSSETXATTR", 0x401c5820},
      {"FS_IOC_GETVERSION", 0x80087601},
  };
  return names;
}

const Names& process_names() {
  static const Names names = {
      REEL_NAME(PROT_NONE), REEL_NAME(PROT_READ), REEL_NAME(PROT_WRITE), REEL_NAME(PROT_EXEC),
      REEL_NAME(PROT_GROWSDOWN), REEL_NAME(PROT_GROWSUP), REEL_NAME(MAP_SHARED), REEL_NAME(MAP_PRIVATE),
      REEL_NAME(MAP_SHARED_VALIDATE), REEL_NAME(MAP_FIXED), REEL_NAME(MAP_FIXED_NOREPLACE), REEL_NAME(MAP_ANONYMOUS),
      REEL_NAME(MAP_32BIT), REEL_NAME(MAP_GROWSDOWN), REEL_NAME(MAP_DENYWRITE), REEL_NAME(MAP_EXECUTABLE),
      REEL_NAME(MAP_LOCKED), REEL_NAME(MAP_NORESERVE), REEL_NAME(MAP_POPULATE), REEL_NAME(MAP_NONBLOCK),
      REEL_NAME(MAP_STACK), REEL_NAME(MAP_HUGETLB), REEL_NAME(MAP_SYNC), REEL_NAME(MS_ASYNC), REEL_NAME(MS_SYNC),
      REEL_NAME(MS_INVALIDATE), REEL_NAME(CLONE_VM), REEL_NAME(CLONE_FS), REEL_NAME(CLONE_FILES),
      REEL_NAME(CLONE_SIGHAND), REEL_NAME(CLONE_PIDFD), REEL_NAME(CLONE_PTRACE), REEL_NAME(CLONE_VFORK),
      REEL_NAME(CLONE_PARENT), REEL_NAME(CLONE_THREAD), REEL_NAME(CLONE_NEWNS), REEL_NAME(CLONE_SYSVSEM),
      REEL_NAME(CLONE_SETTLS), REEL_NAME(CLONE_PARENT_SETTID), REEL_NAME(CLONE_CHILD_CLEARTID),
      REEL_NAME(CLONE_DETACHED), REEL_NAME(CLONE_UNTRACED), REEL_NAME(CLONE_CHILD_SETTID), REEL_NAME(CLONE_NEWCGROUP),
      REEL_NAME(CLONE_NEWUTS), REEL_NAME(CLONE_NEWIPC), REEL_NAME(CLONE_NEWUSER), REEL_NAME(CLONE_NEWPID),
      REEL_NAME(CLONE_NEWNET), REEL_NAME(CLONE_IO), {"CLONE_CLEAR_SIGHAND", 1ull << 32},
      {"CLONE_INTO_CGROUP", 1ull << 33}, REEL_NAME(WNOHANG), REEL_NAME(WUNTRACED), REEL_NAME(WSTOPPED),
      REEL_NAME(WEXITED), REEL_NAME(WCONTINUED), REEL_NAME(WNOWAIT), {"__WALL", 0x40000000}, {"__WCLONE", 0x80000000},
      {"__WNOTHREAD", 0x20000000}, REEL_NAME(P_ALL), REEL_NAME(P_PID), REEL_NAME(P_PGID), {"P_PIDFD", 3},
      REEL_NAME(CLD_EXITED), REEL_NAME(CLD_KILLED), REEL_NAME(CLD_DUMPED), REEL_NAME(CLD_TRAPPED),
      REEL_NAME(CLD_STOPPED), REEL_NAME(CLD_CONTINUED), {"IORING_ENTER_GETEVENTS", 1},
  };
  return names;
}

#undef REEL_NAME
// clang-format on

std::optional<uint64_t> plain_number(std::string_view text) {
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text.starts_with('0')) {
    base = 8;
  }
  uint64_t number = 0;
  auto got = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || got.ec != std::errc() || got.ptr != text.data() + text.size()) return std::nullopt;
  return negative ? 0 - number : number;
}

// "makedev(0x8, 0x1)", in the way that system calls have devices.
std::optional<uint64_t> device_number(std::string_view text) {
  constexpr std::string_view kBegin = "makedev(";
  size_t comma = text.find(", ");
  if (!text.starts_with(kBegin) || !text.ends_with(')') || comma == std::string_view::npos) return std::nullopt;
  std::optional<uint64_t> high = plain_number(text.substr(kBegin.size(), comma - kBegin.size()));
  std::optional<uint64_t> low = plain_number(text.substr(comma + 2, text.size() - comma - 3));
  if (!high || !low) return std::nullopt;
  return (*low & 0xff) | (*high & 0xfff) << 8 | (*low & ~0xffull) << 12;
}

std::optional<uint64_t> one_number(std::string_view text) {
  if (std::optional<uint64_t> number = plain_number(text)) return number;
  for (const Names* names : {&file_names(), &descriptor_names(), &process_names()}) {
    auto at = names->find(text);
    if (at != names->end()) return at->second;
  }
  // Several names of one number.
  if (size_t either = text.find(" or "); either != std::string_view::npos) {
    std::optional<uint64_t> first = one_number(text.substr(0, either));
    return first ? first : one_number(text.substr(either + 4));
  }
  if (int signal = strace_signal(text)) return static_cast<uint64_t>(signal);
  return device_number(text);
}

}  // namespace

std::optional<uint64_t> strace_number(std::string_view text) {
  uint64_t number = 0;
  for (size_t at = 0;;) {
    size_t bar = std::min(text.find('|', at), text.size());
    std::optional<uint64_t> part = one_number(text.substr(at, bar - at));
    if (!part) return std::nullopt;
    number |= *part;
    if (bar == text.size()) return number;
    at = bar + 1;
  }
}

int strace_errno(std::string_view name) {
  // The kernel's own, that programs never see.
  static const std::unordered_map<std::string_view, int> inner = {
      {"ERESTARTSYS", 512}, {"ERESTARTNOINTR", 513}, {"ERESTARTNOHAND", 514}, {"ERESTART_RESTARTBLOCK", 516}};
  auto at = inner.find(name);
  if (at != inner.end()) return at->second;
  if (name == "EWOULDBLOCK") return EAGAIN;
  if (name == "ENOTSUP") return EOPNOTSUPP;
  for (int number = 1; number < 134; ++number) {
    const char* known = ::strerrorname_np(number);
    if (known && name == known) return number;
  }
  return 0;
}

int strace_signal(std::string_view name) {
  if (!name.starts_with("SIG")) return 0;
  name.remove_prefix(3);
  if (name.starts_with("RT_")) {
    std::optional<uint64_t> number = plain_number(name.substr(3));
    return number && *number <= 32 ? static_cast<int>(32 + *number) : 0;
  }
  if (name == "RTMIN") return 32;
  for (int number = 1; number < 32; ++number) {
    const char* known = ::sigabbrev_np(number);
    if (known && name == known) return number;
  }
  return 0;
}

}  // namespace reel::trace

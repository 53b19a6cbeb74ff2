// SPDX-License-Identifier: Apache-2.0
//
// Calls by name.
#include "replay/play/caller.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "replay/play/xattr_value.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;

constexpr uint64_t kNow = 1ull << 63, kLeave = kNow + 1;
// Flags that would change what a replay is: a terminal's, signals.
constexpr int kDroppedOpenFlags = O_NOCTTY | O_ASYNC;

int64_t checked(int64_t result) {
  return result < 0 ? -errno : result;
}

}  // namespace

timespec time_of(uint64_t ns) {
  if (ns == kNow) return {0, UTIME_NOW};
  if (ns == kLeave) return {0, UTIME_OMIT};
  auto value = static_cast<int64_t>(ns);
  int64_t seconds = value / 1'000'000'000, rest = value % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  return {seconds, rest};
}

Caller::Caller(const trace::Trace& trace, const Plan& plan, World& world, Mappings& mappings)
    : trace_(trace), plan_(plan), world_(world), mappings_(mappings), has_umask_(::unshare(CLONE_FS) == 0) {
  if (has_umask_) ::umask(umask_);
}

Caller::~Caller() {
  if (buffer_) ::munmap(buffer_, buffer_size_);
}

char* Caller::buffer(uint64_t size) {
  if (size <= buffer_size_) return buffer_;
  if (buffer_) ::munmap(buffer_, buffer_size_);
  buffer_size_ = std::max<uint64_t>((size + 65535) / 65536 * 65536, 131072);
  void* made =
      ::mmap(nullptr, buffer_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (made == MAP_FAILED) {
    buffer_ = nullptr;
    buffer_size_ = 0;
  } else {
    buffer_ = static_cast<char*>(made);
  }
  return buffer_;
}

// The kernel applies the umask itself, for it does not below a directory with a default ACL.
uint32_t Caller::mode_of(const Step& step) {
  if (!has_umask_) return step.mode & ~step.umask;
  if (umask_ != step.umask) ::umask(umask_ = step.umask);
  return step.mode;
}

Caller::Place Caller::place(const Step& step, bool second) const {
  const Dir& dir = plan_.dirs[second ? step.dir2 : step.dir];
  return {world_.directory(dir), plan_.names[second ? step.name2 : step.name].c_str()};
}

void Caller::effects(const Step& step) {
  for (uint32_t i = 0; i < step.effect_count; ++i) {
    const Effect& effect = plan_.effects[step.effects + i];
    if (effect.to == 0) {
      int fd = world_.take(effect.from);
      if (fd >= 0) ::close(fd);
      continue;
    }
    int fd = world_.fd(effect.from);
    if (fd >= 0) world_.set(effect.to, ::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  }
}

int64_t Caller::play(const Step& step) {
  const Event& event = trace_.events[step.event];
  if (step.name != 0 || step.name2 != 0) return by_name(step, event);
  if (step.through_proc) return by_path(("/proc/self/fd/" + std::to_string(world_.fd(step.slot))).c_str(), event);
  return by_descriptor(step, event);
}

int64_t Caller::open(const Step& step, const Event& event) {
  int flags = (static_cast<int>(event.flags) & ~kDroppedOpenFlags) | O_CLOEXEC;
  const std::string& name = plan_.names[step.name];
  int fd;
  if (step.dir == 0) {  // a device that every machine has
    fd = static_cast<int>(checked(::open(name.c_str(), flags & ~(O_CREAT | O_TRUNC | O_EXCL))));
  } else {
    // Symlinks that are known were followed by the plan; any other is followed within the root.
    bool follows = (flags & O_NOFOLLOW) == 0 && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
    DirHandle dir = world_.directory(plan_.dirs[step.dir]);
    if (dir.fd() < 0) return dir.fd();
    fd = static_cast<int>(checked(::openat(dir.fd(), name.c_str(), flags | O_NOFOLLOW, mode_of(step))));
    if (fd == -ELOOP && follows) fd = world_.open_within(plan_.dirs[step.dir], name, flags, mode_of(step));
  }
  if (fd < 0) return fd;
  if (step.slot2 != 0)
    world_.set(step.slot2, fd);
  else
    ::close(fd);
  return fd;
}

int64_t Caller::by_name(const Step& step, const Event& event) {
  if (event.op == Op::open) return open(step, event);
  // Only rename and link have two names; a link by descriptor has only the second.
  Place second = step.name2 != 0 ? place(step, true) : Place{DirHandle(-1, false), ""};
  if (step.name2 != 0 && second.dir.fd() < 0) return second.dir.fd();
  if (step.name == 0) {
    std::string from = "/proc/self/fd/" + std::to_string(world_.fd(step.slot));
    return checked(::linkat(AT_FDCWD, from.c_str(), second.dir.fd(), second.name, AT_SYMLINK_FOLLOW));
  }
  Place at = place(step, false);
  int dir = at.dir.fd();
  if (dir < 0) return dir;
  switch (event.op) {
    case Op::mkdir:
      return checked(::mkdirat(dir, at.name, mode_of(step)));
    case Op::mknod:
      return checked(::mknodat(dir, at.name, mode_of(step), static_cast<dev_t>(event.arg)));
    case Op::bind: {  // a socket of ours would listen to nobody
      int64_t result = checked(::mknodat(dir, at.name, S_IFSOCK | mode_of(step), 0));
      return result == -EEXIST ? -EADDRINUSE : result;
    }
    case Op::symlink:
      return checked(::symlinkat(trace_.string(event.path2).c_str(), dir, at.name));
    case Op::unlink:
      return checked(::unlinkat(dir, at.name, 0));
    case Op::rmdir: {
      int64_t result = checked(::unlinkat(dir, at.name, AT_REMOVEDIR));
      if (result == 0) world_.forget(step.ends_instance);
      return result;
    }
    case Op::rename: {
      int64_t result =
          checked(::renameat2(dir, at.name, second.dir.fd(), second.name, static_cast<unsigned>(event.flags)));
      if (result == 0) world_.forget(step.ends_instance);
      return result;
    }
    case Op::link:
      return checked(::linkat(dir, at.name, second.dir.fd(), second.name, 0));
    case Op::stat: {
      struct stat s;
      return checked(::fstatat(dir, at.name, &s, AT_SYMLINK_NOFOLLOW));
    }
    case Op::access:
      return checked(::faccessat(dir, at.name, static_cast<int>(event.mode) & 7,
                                 (static_cast<int>(event.flags) & AT_EACCESS) | AT_SYMLINK_NOFOLLOW));
    case Op::readlink: {
      char* text = buffer(event.length);
      return checked(::readlinkat(dir, at.name, text, event.length));
    }
    default:
      return attribute(step, event);
  }
}

// What needs a handle of the object: statfs, attributes, truncate, chdir.
int64_t Caller::attribute(const Step& step, const Event& event) {
  Place at = place(step, false);
  int dir = at.dir.fd();
  if (dir < 0) return dir;
  switch (event.op) {
    case Op::chmod:
      return checked(::fchmodat(dir, at.name, static_cast<mode_t>(event.mode) & 07777, AT_SYMLINK_NOFOLLOW));
    case Op::chown:
      return checked(
          ::fchownat(dir, at.name, static_cast<uid_t>(event.arg), static_cast<gid_t>(event.arg2), AT_SYMLINK_NOFOLLOW));
    case Op::utimens: {
      timespec times[2] = {time_of(event.arg), time_of(event.arg2)};
      return checked(::utimensat(dir, at.name, times, AT_SYMLINK_NOFOLLOW));
    }
    default:
      break;
  }
  int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC | (event.op == Op::chdir ? O_DIRECTORY : 0);
  int fd = static_cast<int>(checked(::openat(dir, at.name, flags)));
  if (fd < 0) return fd;
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  int64_t result = by_path(path.c_str(), event);
  ::close(fd);
  return result;
}

const void* Caller::value_of(const Event& event) {
  xattr_value_ = xattr_value(trace_.string(event.path2), event.length, event.mode);
  return xattr_value_.empty() ? world_.pattern().bytes() : xattr_value_.data();
}

// By a descriptor's name below /proc: what cannot be done with an O_PATH descriptor itself.
int64_t Caller::by_path(const char* path, const Event& event) {
  const char* name = trace_.string(event.path2).c_str();
  char* bytes = event.length > 0 && event.op != Op::truncate ? buffer(event.length) : nullptr;
  switch (event.op) {
    case Op::truncate:
      return checked(::truncate(path, static_cast<off_t>(event.length)));
    case Op::stat: {
      struct stat s;
      return checked(::stat(path, &s));
    }
    case Op::access:
      return checked(::access(path, static_cast<int>(event.mode) & 7));
    case Op::statfs: {
      struct statfs s;
      return checked(::statfs(path, &s));
    }
    case Op::chmod:
      return checked(::chmod(path, static_cast<mode_t>(event.mode) & 07777));
    case Op::chown:
      return checked(::chown(path, static_cast<uid_t>(event.arg), static_cast<gid_t>(event.arg2)));
    case Op::utimens: {
      timespec times[2] = {time_of(event.arg), time_of(event.arg2)};
      return checked(::utimensat(AT_FDCWD, path, times, 0));
    }
    case Op::getxattr:
      return checked(::getxattr(path, name, bytes, event.length));
    case Op::listxattr:
      return checked(::listxattr(path, bytes, event.length));
    case Op::setxattr:
      return checked(::setxattr(path, name, value_of(event), event.length, static_cast<int>(event.flags) & 3));
    case Op::removexattr:
      return checked(::removexattr(path, name));
    default:
      return 0;  // chdir: that it could be opened is all
  }
}

bool same_result(const trace::Trace& trace, const Event& event, int64_t result) {
  bool failed = result < 0 && result >= -4095;
  if (event.failed() || failed) return event.result == result;
  switch (event.op) {
    case Op::open:
    case Op::dup:
    case Op::dup2:
    case Op::mmap:
    case Op::fcntl:
    case Op::statfs:
      return true;
    case Op::getdents:
      return (event.result > 0) == (result > 0);
    case Op::readlink:
      return event.result == result || trace.facts.count("policy") != 0;
    default:
      return event.result == result;
  }
}

}  // namespace reel::replay

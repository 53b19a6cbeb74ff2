// SPDX-License-Identifier: Apache-2.0
//
// Calls by descriptor, and mappings.
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "replay/play/caller.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;

constexpr size_t kMostParts = 1024;  // IOV_MAX

int64_t checked(int64_t result) {
  return result < 0 ? -errno : result;
}

// The length in as many parts as were recorded.
class Parts {
 public:
  Parts(void* bytes, uint64_t length, uint64_t count) {
    count_ = std::clamp<uint64_t>(count, 1, kMostParts);
    auto* at = static_cast<char*>(bytes);
    for (uint64_t i = 0; i < count_; ++i) {
      uint64_t part = i + 1 == count_ ? length - length / count_ * i : length / count_;
      parts_[i] = {at, part};
      at += part;
    }
  }
  const iovec* data() const { return parts_.data(); }
  int count() const { return static_cast<int>(count_); }

 private:
  std::array<iovec, kMostParts> parts_;
  uint64_t count_;
};

// What is written is what was: less than asked for, on a full disk; or more than told, by a recorder that does not
// count all parts of a vector.
uint64_t length_to_move(const Event& event) {
  if (event.result <= 0) return event.length;
  auto moved = static_cast<uint64_t>(event.result);
  RecordType type = trace::type_of(event.op);
  bool writes = type == RecordType::write || type == RecordType::send;
  return writes ? moved : std::max(event.length, moved);
}

}  // namespace

// As many bytes as were recorded, however they come; 0 is the end.
int64_t Caller::read_stream(const Event& event, int fd) {
  if (event.result <= 0) return checked(::read(fd, buffer(event.length), event.length));
  auto wanted = static_cast<uint64_t>(event.result), got = uint64_t{0};
  while (got < wanted) {
    int64_t part = checked(::read(fd, buffer(wanted), wanted - got));
    if (part <= 0) return got > 0 ? static_cast<int64_t>(got) : part;
    got += static_cast<uint64_t>(part);
  }
  return static_cast<int64_t>(got);
}

int64_t Caller::move_data(const Step& step, const Event& event, int fd) {
  uint64_t length = length_to_move(event);
  auto offset = static_cast<off_t>(event.offset);
  int flags = static_cast<int>(event.flags & 0x7fffffff);
  auto* pattern = const_cast<void*>(world_.pattern().bytes());  // only read
  if (step.stream && (trace::type_of(event.op) == RecordType::read || event.op == Op::recv))
    return read_stream(event, fd);
  switch (event.op) {
    case Op::read:
    case Op::recv:
      return checked(::read(fd, buffer(length), length));
    case Op::pread:
    case Op::aio_read:
    case Op::uring_read:
      return checked(::pread(fd, buffer(length), length, offset));
    case Op::readv: {
      Parts parts(buffer(length), length, event.arg);
      return checked(::readv(fd, parts.data(), parts.count()));
    }
    case Op::preadv: {
      Parts parts(buffer(length), length, event.arg);
      return checked(::preadv2(fd, parts.data(), parts.count(), offset, flags));
    }
    case Op::write:
      return checked(::write(fd, pattern, length));
    case Op::send:
      return checked(::send(fd, pattern, length, MSG_NOSIGNAL));
    case Op::pwrite:
    case Op::aio_write:
    case Op::uring_write:
      return checked(::pwrite(fd, pattern, length, offset));
    case Op::writev: {
      Parts parts(pattern, length, event.arg);
      return checked(::writev(fd, parts.data(), parts.count()));
    }
    case Op::pwritev: {
      Parts parts(pattern, length, event.arg);
      return checked(::pwritev2(fd, parts.data(), parts.count(), offset, flags));
    }
    default:
      return -ENOSYS;
  }
}

int64_t Caller::pair(const Step& step, const Event& event) {
  int fds[2];
  int result =
      event.op == Op::pipe ? ::pipe2(fds, O_CLOEXEC) : ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
  if (result < 0) return -errno;
  world_.set(step.slot, fds[0]);
  world_.set(step.slot2, fds[1]);
  return 0;
}

int64_t Caller::copy_descriptor(const Step& step, const Event& event) {
  int fd = world_.fd(step.slot);
  if (step.slot2 == 0) return checked(::fcntl(fd, F_GETFD)) < 0 ? -errno : event.result;
  int old = step.replaces != 0 ? world_.take(step.replaces) : -1;
  int64_t made = old >= 0 ? checked(::dup3(fd, old, O_CLOEXEC)) : checked(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (made >= 0)
    world_.set(step.slot2, static_cast<int>(made));
  else if (old >= 0)
    ::close(old);
  return made;
}

// Only what changes nothing but the descriptor; the rest is taken for done.
int64_t Caller::fcntl(const Step& step, const Event& event) {
  int fd = world_.fd(step.slot);
  switch (event.arg) {
    case F_GETFD:
    case F_SETFD:  // ours stay close-on-exec: the plan knows which would have gone
      return checked(::fcntl(fd, F_GETFD));
    case F_GETFL:
      return checked(::fcntl(fd, F_GETFL));
    case F_SETFL: {
      int flags = static_cast<int>(event.flags);
      return checked(::fcntl(fd, F_SETFL, step.stream ? flags & ~O_NONBLOCK : flags));
    }
    case F_GETPIPE_SZ:
      return checked(::fcntl(fd, F_GETPIPE_SZ));
    case F_SETPIPE_SZ:
      return checked(::fcntl(fd, F_SETPIPE_SZ, static_cast<int>(event.flags)));
    default:
      return event.result;
  }
}

int64_t Caller::copy(const Step& step, const Event& event) {
  int from = world_.fd(step.slot), to = world_.fd(step.slot2);
  auto source = static_cast<loff_t>(event.offset), target = static_cast<loff_t>(event.arg2);
  loff_t* at = (event.flags & 1) != 0 ? &source : nullptr;
  loff_t* target_at = (event.flags & 2) != 0 ? &target : nullptr;
  // As many bytes as were moved: of a pipe more may be there by now.
  uint64_t length = step.stream && event.result > 0 ? static_cast<uint64_t>(event.result) : event.length;
  switch (event.op) {
    case Op::copy_range:
      return checked(::copy_file_range(from, at, to, target_at, length, 0));
    case Op::sendfile:
      return checked(::sendfile(to, from, at, length));
    case Op::splice: {
      uint64_t moved = 0;
      for (;;) {
        int64_t part = checked(::splice(from, at, to, target_at, length - moved, 0));
        if (part <= 0) return moved > 0 ? static_cast<int64_t>(moved) : part;
        moved += static_cast<uint64_t>(part);
        if (moved >= length || event.result <= 0) return static_cast<int64_t>(moved);
      }
    }
    default: {  // clone_range
      struct file_clone_range range {};
      range.src_fd = from;
      range.src_offset = event.offset;
      range.src_length = event.length;
      range.dest_offset = event.arg2;
      return checked(::ioctl(to, FICLONERANGE, &range));
    }
  }
}

int64_t Caller::map(const Step& step, const Event& event) {
  if (event.op == Op::munmap) return mappings_.unmap(event.arg, event.length);
  if (event.op == Op::msync) return mappings_.sync(event.arg, event.length, static_cast<int>(event.flags));
  constexpr int kKept = MAP_SHARED | MAP_PRIVATE | MAP_NORESERVE | MAP_POPULATE;
  int protection = static_cast<int>(event.mode) & (PROT_READ | PROT_WRITE);
  int flags = static_cast<int>(event.flags) & kKept;
  void* ours = ::mmap(nullptr, event.length, protection, flags, world_.fd(step.slot), static_cast<off_t>(event.offset));
  if (ours == MAP_FAILED) return -errno;
  bool writes = (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0;
  mappings_.add(static_cast<uint64_t>(event.result), ours, event.length, writes);
  return event.result;
}

// Locks of different descriptions are real; those of processes cannot be, in one process. Nothing
// waits here: what the lock waited for is over by then.
int64_t Caller::lock(const Step& step, const Event& event) {
  int fd = world_.fd(step.slot);
  if (event.op == Op::flock) return checked(::flock(fd, static_cast<int>(event.arg)));
  struct flock range {};
  range.l_type = static_cast<short>(event.mode);
  range.l_whence = static_cast<short>(event.flags);
  range.l_start = static_cast<off_t>(event.offset);
  range.l_len = static_cast<off_t>(event.length);
  bool of_description = event.arg == F_OFD_SETLK || event.arg == F_OFD_SETLKW;
  return checked(::fcntl(fd, of_description ? F_OFD_SETLK : F_SETLK, &range));
}

int64_t Caller::by_descriptor(const Step& step, const Event& event) {
  int fd = step.slot != 0 ? world_.fd(step.slot) : -1;
  switch (event.op) {
    case Op::close: {
      if (step.slot == 0) return checked(::close(-1));
      fd = world_.take(step.slot);
      return checked(::close(fd));
    }
    case Op::dup:
    case Op::dup2:
      return copy_descriptor(step, event);
    case Op::fcntl:
      return fcntl(step, event);
    case Op::pipe:
    case Op::socketpair:
      return pair(step, event);
    case Op::lseek: {
      auto to = static_cast<off_t>(event.arg);
      return checked(::lseek(fd, to, static_cast<int>(event.flags)));
    }
    case Op::copy_range:
    case Op::sendfile:
    case Op::splice:
    case Op::clone_range:
      return copy(step, event);
    case Op::readahead:
      return checked(::readahead(fd, static_cast<off_t>(event.offset), event.length));
    case Op::fadvise:
      return -::posix_fadvise(fd, static_cast<off_t>(event.offset), static_cast<off_t>(event.length),
                              static_cast<int>(event.arg));
    case Op::fsync:
    case Op::aio_fsync:
    case Op::uring_fsync:
      return checked(::fsync(fd));
    case Op::fdatasync:
      return checked(::fdatasync(fd));
    case Op::sync_range:
      return checked(::sync_file_range(fd, static_cast<off_t>(event.offset), static_cast<off_t>(event.length),
                                       static_cast<unsigned>(event.flags)));
    case Op::syncfs:
      return checked(::syncfs(fd));
    case Op::sync: {  // the tree's file system, not the machine's
      int top = ::openat(world_.top(0), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      int64_t result = checked(::syncfs(top));
      ::close(top);
      return result;
    }
    case Op::mmap:
    case Op::munmap:
    case Op::msync:
      return map(step, event);
    case Op::ioctl: {  // whether it is a terminal; any other request may do anything
      struct termios terminal;
      return event.arg == TCGETS ? checked(::ioctl(fd, TCGETS, &terminal)) : event.result;
    }
    case Op::flock:
    case Op::range_lock:
      return lock(step, event);
    default:
      return attribute_of(step, event, fd);
  }
}

// The kernel stops before the buffer is full when a signal is pending, so a listing may have come in more calls than it
// comes in here. What an earlier call gave beyond the recorded is what the recorded call got.
int64_t Caller::list(const Step& step, const Event& event, int fd) {
  uint64_t size = event.length != 0 ? event.length : 32768;
  int64_t got = checked(::syscall(SYS_getdents64, fd, buffer(size), size));
  if (got < 0 || event.failed()) return got;
  int64_t& ahead = listed_ahead_[step.slot];
  if (got == 0 && ahead >= event.result)
    got = event.result;
  else
    ahead += got;
  ahead -= event.result;
  return got;
}

// Questions about a descriptor's file, and its attributes; the rest moves data.
int64_t Caller::attribute_of(const Step& step, const Event& event, int fd) {
  switch (event.op) {
    case Op::stat: {
      struct stat s;
      return checked(::fstat(fd, &s));
    }
    case Op::statfs: {
      struct statfs s;
      return checked(::fstatfs(fd, &s));
    }
    case Op::getdents:
      return list(step, event, fd);
    case Op::getxattr:
      return checked(::fgetxattr(fd, trace_.string(event.path2).c_str(), buffer(event.length), event.length));
    case Op::listxattr:
      return checked(::flistxattr(fd, buffer(event.length), event.length));
    case Op::setxattr:
      return checked(::fsetxattr(fd, trace_.string(event.path2).c_str(), value_of(event), event.length,
                                 static_cast<int>(event.flags) & 3));
    case Op::removexattr:
      return checked(::fremovexattr(fd, trace_.string(event.path2).c_str()));
    case Op::truncate:
      return checked(::ftruncate(fd, static_cast<off_t>(event.length)));
    case Op::fallocate:
      return checked(::fallocate(fd, static_cast<int>(event.mode), static_cast<off_t>(event.offset),
                                 static_cast<off_t>(event.length)));
    case Op::chmod:
      return checked(::fchmod(fd, static_cast<mode_t>(event.mode) & 07777));
    case Op::chown:
      return checked(::fchown(fd, static_cast<uid_t>(event.arg), static_cast<gid_t>(event.arg2)));
    case Op::utimens: {
      timespec times[2] = {time_of(event.arg), time_of(event.arg2)};
      return checked(::futimens(fd, times));
    }
    case Op::chdir: {
      struct stat s;
      if (::fstat(fd, &s) != 0) return -errno;
      return S_ISDIR(s.st_mode) ? 0 : -ENOTDIR;
    }
    default:
      return move_data(step, event, fd);
  }
}

Mappings::~Mappings() {
  for (auto& [recorded, one] : mapped_) ::munmap(one.ours, one.length);
}

void Mappings::add(uint64_t recorded, void* ours, uint64_t length, bool writes) {
  std::lock_guard lock(mutex_);
  auto [at, added] = mapped_.try_emplace(recorded);
  if (!added) ::munmap(at->second.ours, at->second.length);  // mapped over
  at->second = {static_cast<char*>(ours), length, writes};
}

int64_t Mappings::unmap(uint64_t recorded, uint64_t length) {
  std::lock_guard lock(mutex_);
  auto at = mapped_.upper_bound(recorded);
  if (at == mapped_.begin()) return 0;
  --at;
  One one = at->second;
  uint64_t begin = recorded - at->first;
  if (begin >= one.length) return 0;
  if (begin != 0 || length < one.length) return 0;  // a part: stays until the rest goes
  mapped_.erase(at);
  return checked(::munmap(one.ours, one.length));
}

// Who syncs a mapping has stored something: its pages in the range are made dirty before.
int64_t Mappings::sync(uint64_t recorded, uint64_t length, int flags) {
  std::lock_guard lock(mutex_);
  auto at = mapped_.upper_bound(recorded);
  if (at == mapped_.begin()) return 0;
  --at;
  const One& one = at->second;
  uint64_t begin = recorded - at->first;
  if (begin >= one.length) return 0;
  uint64_t size = std::min(length, one.length - begin);
  if (one.writes) ::madvise(one.ours + begin, size, MADV_POPULATE_WRITE);
  return checked(::msync(one.ours + begin, size, flags));
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
#include "tree/copy.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace reel::mirror {
namespace {

constexpr uint64_t kBuffer = 256 << 10;       // bytes read before they are written; in one write of a MiB the
                                              // page cache looks for large pages, which can take ten times as long
constexpr uint64_t kCompareStep = 128 << 10;  // what differs is written in pieces of this size
constexpr uint64_t kKernelStep = 16 << 20;    // bytes per copy_file_range
constexpr uint64_t kCloneMin = 64 << 10;      // up to here writing costs less than sharing blocks

// Grows to what was needed most; one pair for each thread.
char* buffer(int which, uint64_t size) {
  static thread_local std::vector<char> buffers[2];
  std::vector<char>& wanted = buffers[which];
  if (wanted.size() < size) wanted.resize(size);
  return wanted.data();
}

Status write_at(int fd, const char* from, uint64_t size, uint64_t offset) {
  uint64_t done = 0;
  while (done < size) {
    ssize_t n = ::pwrite(fd, from + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno(errno, "write");
    done += static_cast<uint64_t>(n);
  }
  return ok();
}

// Whether any of it may be a hole: a hole reads as zeros, and none is smaller than a sector.
bool may_have_holes(const char* data, uint64_t size) {
  constexpr uint64_t kSector = 512;
  for (uint64_t at = 0; at < size; at += kSector) {
    uint64_t length = std::min(kSector, size - at);
    if (data[at] == 0 && std::memcmp(data + at, data + at + 1, length - 1) == 0) return true;
  }
  return false;
}

class Copier {
 public:
  Copier(int from, int to, uint64_t size, Throttle* throttle)
      : from_(from), to_(to), size_(size), throttle_(throttle) {}

  Result<CopyResult> fresh(bool same_file_system);
  Result<CopyResult> fresh_small();
  Result<CopyResult> update();
  // True when the blocks are shared now; false when these two files cannot share.
  bool clone() const { return ::ioctl(to_, FICLONE, from_) == 0; }

 private:
  uint64_t step(uint64_t most) const { return throttle_ ? std::min(most, throttle_->step()) : most; }
  void spend(uint64_t bytes) const {
    if (throttle_) throttle_->spend(bytes);
  }
  // A long copy is not finished for one who wants to leave.
  Status go_on() const {
    if (throttle_ && throttle_->stopped()) return Error(Code::cancelled, "stopped in the middle of a copy");
    return ok();
  }
  Result<uint64_t> move(uint64_t offset, uint64_t length);
  Result<uint64_t> move_in_kernel(uint64_t offset, uint64_t length);
  Result<uint64_t> replace(uint64_t offset, uint64_t length, bool compare);
  Status punch(uint64_t offset, uint64_t length);

  const int from_, to_;
  const uint64_t size_;
  Throttle* const throttle_;
  CopyResult result_;
  bool kernel_copies_ = true;  // until copy_file_range refuses
};

// Bytes moved; fewer than asked for when the source ends before.
Result<uint64_t> Copier::move(uint64_t offset, uint64_t length) {
  uint64_t piece = std::min(length, step(kBuffer));
  char* data = buffer(0, piece);
  TRY_ASSIGN(uint64_t got, read_at(from_, data, piece, offset));
  TRY(write_at(to_, data, got, offset));
  spend(got);
  result_.bytes += got;
  return got;
}

// As move(); 0 also when the kernel does not want to, which kernel_copies_ then says.
Result<uint64_t> Copier::move_in_kernel(uint64_t offset, uint64_t length) {
  auto in = static_cast<loff_t>(offset), out = in;
  ssize_t n = ::copy_file_range(from_, &in, to_, &out, std::min(length, step(kKernelStep)), 0);
  if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
    return Error::from_errno(errno, "copy");
  if (n <= 0) {
    kernel_copies_ = false;
    return 0;
  }
  spend(static_cast<uint64_t>(n));
  result_.bytes += static_cast<uint64_t>(n);
  return static_cast<uint64_t>(n);
}

Result<CopyResult> Copier::fresh(bool same_file_system) {
  kernel_copies_ = same_file_system;
  Extents extents(from_);
  uint64_t written_to = 0;
  for (uint64_t offset = 0; offset < size_;) {
    TRY(go_on());
    TRY_ASSIGN(Extents::Extent extent, extents.at(offset));
    uint64_t end = std::min(extent.end, size_);
    if (!extent.data) {
      offset = end;
      continue;
    }
    uint64_t moved = 0;
    if (kernel_copies_) {
      TRY_ASSIGN(moved, move_in_kernel(offset, end - offset));
    }
    if (moved == 0) {
      TRY_ASSIGN(moved, move(offset, end - offset));
    }
    if (moved == 0) break;  // the source has become shorter
    offset += moved;
    written_to = offset;
  }
  if (written_to != size_ && ::ftruncate(to_, static_cast<off_t>(size_)) != 0)
    return Error::from_errno(errno, "set size");
  return result_;
}

// Read at once; the kernel is asked for holes only when there may be any.
Result<CopyResult> Copier::fresh_small() {
  if (size_ > step(kCloneMin)) return fresh(false);
  char* data = buffer(0, size_);
  TRY_ASSIGN(uint64_t got, read_at(from_, data, size_, 0));
  if (may_have_holes(data, got)) return fresh(false);
  TRY(write_at(to_, data, got, 0));
  spend(got);
  result_.bytes = got;
  if (got != size_ && ::ftruncate(to_, static_cast<off_t>(size_)) != 0) return Error::from_errno(errno, "set size");
  return result_;
}

// One piece of data: written unless it is there already. Bytes dealt with; 0 at the source's end.
Result<uint64_t> Copier::replace(uint64_t offset, uint64_t length, bool compare) {
  uint64_t piece = std::min(length, step(kCompareStep));
  char* wanted = buffer(0, piece);
  TRY_ASSIGN(uint64_t got, read_at(from_, wanted, piece, offset));
  if (compare) {
    char* present = buffer(1, piece);
    TRY_ASSIGN(uint64_t there, read_at(to_, present, got, offset));
    if (there == got && std::memcmp(wanted, present, got) == 0) return got;
  }
  TRY(write_at(to_, wanted, got, offset));
  spend(got);
  result_.bytes += got;
  return got;
}

Status Copier::punch(uint64_t offset, uint64_t length) {
  int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  auto at = static_cast<off_t>(offset);
  // A block is freed only when all of it is punched; the last one ends behind the file's end.
  uint64_t beyond = offset + length == size_ ? kCompareStep : 0;
  if (::fallocate(to_, mode, at, static_cast<off_t>(length + beyond)) == 0) return ok();
  if (errno != EOPNOTSUPP && errno != ENOSYS) return Error::from_errno(errno, "punch a hole");
  // A file system without holes: zeros are all there is.
  for (uint64_t done = 0; done < length;) {
    uint64_t piece = std::min(length - done, kCompareStep);
    char* zeros = buffer(0, piece);
    std::memset(zeros, 0, piece);
    TRY(write_at(to_, zeros, piece, offset + done));
    result_.bytes += piece;
    done += piece;
  }
  return ok();
}

// Both files are walked together, from one boundary of either's extents to the next.
Result<CopyResult> Copier::update() {
  struct stat present;
  if (::fstat(to_, &present) != 0) return Error::from_errno(errno, "stat");
  if (static_cast<uint64_t>(present.st_size) != size_ && ::ftruncate(to_, static_cast<off_t>(size_)) != 0)
    return Error::from_errno(errno, "set size");
  Extents wanted(from_), there(to_);
  for (uint64_t offset = 0; offset < size_;) {
    TRY(go_on());
    TRY_ASSIGN(Extents::Extent source, wanted.at(offset));
    TRY_ASSIGN(Extents::Extent target, there.at(offset));
    uint64_t end = std::min({source.end, target.end, size_});
    if (source.data) {
      TRY_ASSIGN(uint64_t done, replace(offset, end - offset, target.data));
      if (done == 0) break;
      offset += done;
      continue;
    }
    if (target.data) TRY(punch(offset, end - offset));
    offset = end;
  }
  return result_;
}

Result<bool> same_piece(int from, int to, uint64_t size, uint64_t offset, bool* may_be_sparse = nullptr) {
  char* wanted = buffer(0, size);
  char* present = buffer(1, size);
  TRY_ASSIGN(uint64_t got, read_at(from, wanted, size, offset));
  TRY_ASSIGN(uint64_t there, read_at(to, present, size, offset));
  if (may_be_sparse) *may_be_sparse = may_have_holes(wanted, got);
  return got == size && there == size && std::memcmp(wanted, present, size) == 0;
}

}  // namespace

Result<bool> same_contents(int from, int to, uint64_t size, const Throttle* throttle) {
  if (size <= kCloneMin) {
    bool may_be_sparse = false;
    TRY_ASSIGN(bool same, same_piece(from, to, size, 0, &may_be_sparse));
    if (!same || !may_be_sparse) return same;
  }
  Extents wanted(from), there(to);
  for (uint64_t offset = 0; offset < size;) {
    if (throttle && throttle->stopped()) return Error(Code::cancelled, "stopped in the middle of a comparison");
    TRY_ASSIGN(Extents::Extent source, wanted.at(offset));
    TRY_ASSIGN(Extents::Extent target, there.at(offset));
    if (source.data != target.data) return false;
    uint64_t end = std::min({source.end, target.end, size});
    if (source.data) {
      end = std::min(end, offset + kCompareStep);
      TRY_ASSIGN(bool same, same_piece(from, to, end - offset, offset));
      if (!same) return false;
    }
    offset = end;
  }
  return true;
}

Result<uint64_t> read_at(int fd, char* to, uint64_t size, uint64_t offset) {
  uint64_t done = 0;
  while (done < size) {
    ssize_t n = ::pread(fd, to + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno(errno, "read");
    if (n == 0) break;
    done += static_cast<uint64_t>(n);
  }
  return done;
}

void Throttle::spend(uint64_t bytes) {
  spent_ += bytes;
  if (rate_ == 0) return;
  std::unique_lock lock(mutex_);
  // What was earned in idle time is kept for a tenth of a second only.
  Clock::time_point now = Clock::now();
  paid_until_ = std::max(paid_until_, now - std::chrono::milliseconds(100));
  double seconds = static_cast<double>(bytes) / static_cast<double>(rate_);
  paid_until_ += std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
  Clock::time_point until = paid_until_;
  stopped_changed_.wait_until(lock, until, [&] { return stopped_.load(); });
}

void Throttle::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  stopped_changed_.notify_all();
}

uint64_t Throttle::step() const {
  if (rate_ == 0) return kKernelStep;
  return std::clamp<uint64_t>(rate_ / 10, 4096, kKernelStep);
}

Result<Extents::Extent> Extents::at(uint64_t offset) {
  if (offset >= known_from_ && offset < known_to_) return Extent{known_data_, known_to_};
  auto from = static_cast<off_t>(offset);
  off_t data = ::lseek(fd_, from, SEEK_DATA);
  if (data < 0 && errno == ENXIO) {
    known_data_ = false;
    known_to_ = kNoEnd;
  } else if (data < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) {
    known_data_ = true;
    known_to_ = kNoEnd;
  } else if (data < 0) {
    return Error::from_errno(errno, "look for data");
  } else if (data > from) {
    known_data_ = false;
    known_to_ = static_cast<uint64_t>(data);
  } else {
    off_t hole = ::lseek(fd_, from, SEEK_HOLE);
    // ENXIO: cut off between the two questions.
    if (hole < 0 && errno != ENXIO) return Error::from_errno(errno, "look for a hole");
    known_data_ = hole > from;
    known_to_ = hole > from ? static_cast<uint64_t>(hole) : offset + 1;
  }
  known_from_ = offset;
  return Extent{known_data_, known_to_};
}

Result<CopyResult> copy_contents(int from, int to, uint64_t size, bool fresh, Throttle* throttle) {
  Copier copier(from, to, size, throttle);
  if (size > kCloneMin && copier.clone()) {
    // The clone has the length the source has now, or the target had if that was longer.
    if (::ftruncate(to, static_cast<off_t>(size)) != 0) return Error::from_errno(errno, "set size");
    return CopyResult{0, size};
  }
  if (!fresh) return copier.update();
  if (size <= kCloneMin) return copier.fresh_small();
  struct stat source, target;
  if (::fstat(from, &source) != 0 || ::fstat(to, &target) != 0) return Error::from_errno(errno, "stat");
  return copier.fresh(source.st_dev == target.st_dev);
}

}  // namespace reel::mirror

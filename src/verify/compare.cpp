// SPDX-License-Identifier: Apache-2.0
#include "verify/compare.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "tree/copy.h"

namespace reel::mirror {
namespace {

constexpr uint64_t kPiece = 256 << 10;

struct Allocation {
  bool known = false;    // the file system can tell
  bool any = false;      // some of the range has blocks
  bool written = false;  // and some of these were written
};

// What a file has on disk in a range. SEEK_DATA also counts pages in memory.
Allocation allocation(int fd, uint64_t offset, uint64_t length) {
  constexpr uint32_t kExtents = 64;
  alignas(struct fiemap) char room[sizeof(struct fiemap) + kExtents * sizeof(struct fiemap_extent)];
  Allocation found;
  for (uint64_t end = offset + length; offset < end;) {
    std::memset(room, 0, sizeof room);
    auto* map = reinterpret_cast<struct fiemap*>(room);
    map->fm_start = offset;
    map->fm_length = end - offset;
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = kExtents;
    if (::ioctl(fd, FS_IOC_FIEMAP, map) != 0) return Allocation();
    found.known = true;
    for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
      const struct fiemap_extent& extent = map->fm_extents[i];
      found.any = true;
      if (!(extent.fe_flags & FIEMAP_EXTENT_UNWRITTEN)) found.written = true;
      offset = extent.fe_logical + extent.fe_length;
    }
    if (found.written || map->fm_mapped_extents < kExtents) break;
  }
  return found;
}

// Collects, unit by unit, which side has any data in it.
class HoleMap {
 public:
  HoleMap(int source, int target, uint64_t unit, Comparison& result)
      : source_fd_(source), target_fd_(target), unit_(unit), result_(result) {}

  // Stretches come in order and without gaps.
  void add(uint64_t from, uint64_t to, bool source_data, bool target_data) {
    uint64_t first = from / unit_, last = (to - 1) / unit_;
    if (first != at_) finish(first);
    source_ |= source_data;
    target_ |= target_data;
    if (last == first) return;
    finish(last);
    // The units in between have what the last one begins with.
    source_ = source_data;
    target_ = target_data;
    if (last - first > 1) check((first + 1) * unit_, (last - first - 1) * unit_);
  }
  void finish(uint64_t next) {
    check(at_ * unit_, unit_);
    at_ = next;
    source_ = target_ = false;
  }

 private:
  void check(uint64_t offset, uint64_t length) {
    if (source_ == target_ || result_.hole_difference) return;
    Allocation data = allocation(source_ ? source_fd_ : target_fd_, offset, length);
    if (data.known && !data.written) return;
    if (allocation(source_ ? target_fd_ : source_fd_, offset, length).any) return;
    result_.hole_difference = offset;
    result_.source_has_data = source_;
  }

  const int source_fd_, target_fd_;
  const uint64_t unit_;
  Comparison& result_;
  uint64_t at_ = 0;
  bool source_ = false, target_ = false;
};

// Looks for the first difference in [from, to). A hole reads as zeros, but is not read.
Status compare_stretch(int source, int target, uint64_t from, uint64_t to, bool source_data, bool target_data,
                       Comparison& result) {
  static thread_local std::vector<char> left(kPiece), right(kPiece);
  while (from < to && !result.first_difference) {
    uint64_t piece = std::min(kPiece, to - from), here = piece, there = piece;
    if (source_data) {
      TRY_ASSIGN(here, read_at(source, left.data(), piece, from));
    } else {
      std::memset(left.data(), 0, piece);
    }
    if (target_data) {
      TRY_ASSIGN(there, read_at(target, right.data(), piece, from));
    } else {
      std::memset(right.data(), 0, piece);
    }
    uint64_t both = std::min(here, there);
    result.bytes += both;
    if (std::memcmp(left.data(), right.data(), both) != 0) {
      auto at = std::mismatch(left.begin(), left.begin() + static_cast<ptrdiff_t>(both), right.begin());
      result.first_difference = from + static_cast<uint64_t>(at.first - left.begin());
    } else if (both < piece) {
      result.first_difference = from + both;  // one of them was cut off under our hands
    }
    from += piece;
  }
  return ok();
}

}  // namespace

Result<Comparison> compare_contents(int source, int target, uint64_t size, uint64_t unit) {
  Comparison result;
  HoleMap holes(source, target, unit, result);
  Extents left(source), right(target);
  for (uint64_t offset = 0; offset < size;) {
    TRY_ASSIGN(Extents::Extent here, left.at(offset));
    TRY_ASSIGN(Extents::Extent there, right.at(offset));
    uint64_t end = std::min({here.end, there.end, size});
    holes.add(offset, end, here.data, there.data);
    if (here.data || there.data) TRY(compare_stretch(source, target, offset, end, here.data, there.data, result));
    offset = end;
  }
  if (size > 0) holes.finish(0);
  return result;
}

}  // namespace reel::mirror

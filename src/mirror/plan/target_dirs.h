// SPDX-License-Identifier: Apache-2.0
//
// Where a directory lies on the target: FID -> open directory handle. An open handle stays right
// when the directory (or one above it) is renamed, so handles are kept across operations.
#pragma once

#include <mutex>
#include <unordered_map>

#include "index/index.h"

namespace reel::mirror {

inline constexpr const char* kPrivateName = ".reel";  // at the target's root; never mirrored
inline constexpr const char* kParkName = "park";      // in it

class TargetDirs {
 public:
  TargetDirs(TargetTree& target, const Index& index, const Fid& source_root)
      : target_(target), index_(index), source_root_(source_root) {}

  // Any thread, as long as nobody changes the index. not_found: the index does not know it, or it is
  // not where the index has it.
  Result<TargetDirPtr> open(const Fid& dir);
  void forget(const Fid& dir);
  void put(const Fid& dir, TargetDirPtr handle);

 private:
  TargetDirPtr cached(const Fid& dir);
  Result<TargetDirPtr> open_top(const Fid& dir);

  TargetTree& target_;
  const Index& index_;
  const Fid source_root_;
  std::mutex mutex_;
  std::unordered_map<Fid, TargetDirPtr, FidHash> open_;
};

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// Files by identity: device and inode number become a FID with a generation that the trace counts.
#pragma once

#include <functional>
#include <map>
#include <unordered_map>
#include <utility>

#include "reel/trace.h"
#include "trace/wire.h"

namespace reel::trace {

class Objects {
 public:
  // Called once for each file system, when its first file is met: number and device (major << 32 | minor).
  using NewFs = std::function<void(uint32_t, uint64_t)>;
  explicit Objects(NewFs new_fs) : new_fs_(std::move(new_fs)) {}

  // `created`: the call made it, so an equal number before was another file.
  Fid fid_of(const wire::Object& object, bool created);

 private:
  struct Known {
    uint64_t birth = 0, kernel_generation = 0;  // what told it apart; 0: not known
    uint32_t generation = 0;
  };
  NewFs new_fs_;
  std::unordered_map<uint64_t, uint32_t> file_systems_;   // device -> number
  std::map<std::pair<uint32_t, uint64_t>, Known> known_;  // (file system, inode)
};

}  // namespace reel::trace

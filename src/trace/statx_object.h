// SPDX-License-Identifier: Apache-2.0
//
// What statx said, as recorders tell it. Nothing of std: the preloaded library has it too.
#pragma once

#include <sys/stat.h>

#include "trace/wire.h"

namespace reel::trace {

inline wire::Object object_of(const struct statx& x) {
  wire::Object object{};
  object.device = static_cast<uint64_t>(x.stx_dev_major) << 32 | x.stx_dev_minor;
  object.inode = x.stx_ino;
  if ((x.stx_mask & STATX_BTIME) != 0)
    object.generation = static_cast<uint64_t>(x.stx_btime.tv_sec) * 1'000'000'000u + x.stx_btime.tv_nsec;
  object.size = x.stx_size;
  object.blocks = x.stx_blocks;
  object.rdev = static_cast<uint64_t>(x.stx_rdev_major) << 32 | x.stx_rdev_minor;
  object.mode = x.stx_mode;
  object.uid = x.stx_uid;
  object.gid = x.stx_gid;
  object.links = x.stx_nlink == 0 ? 1 : x.stx_nlink;  // unlinked, but there
  return object;
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Files by identity.
#include "trace/collect/assemble/objects.h"

namespace reel::trace {

Fid Objects::fid_of(const wire::Object& object, bool created) {
  auto next = static_cast<uint32_t>(file_systems_.size() + 1);
  auto [fs, is_new_fs] = file_systems_.try_emplace(object.device, next);
  if (is_new_fs) new_fs_(fs->second, object.device);
  auto [at, is_new] = known_.try_emplace({fs->second, object.inode});
  Known& known = at->second;
  bool by_kernel = (object.generation >> 63) != 0;
  uint64_t& mark = by_kernel ? known.kernel_generation : known.birth;
  if (!is_new) {
    bool told_apart = object.generation != 0 && mark != 0;
    if (told_apart ? object.generation != mark : created) {
      ++known.generation;
      known.birth = known.kernel_generation = 0;
    }
  }
  if (object.generation != 0) mark = object.generation;
  return {object.inode, fs->second, known.generation};
}

}  // namespace reel::trace

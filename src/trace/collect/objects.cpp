// SPDX-License-Identifier: Apache-2.0
//
// Files by identity.
#include "trace/collect/objects.h"

namespace reel::trace {

Fid Objects::fid_of(const wire::Object& object, bool created) {
  auto next = static_cast<uint32_t>(file_systems_.size() + 1);
  auto [fs, is_new_fs] = file_systems_.try_emplace(object.device, next);
  if (is_new_fs) new_fs_(fs->second, object.device);
  auto [at, is_new] = known_.try_emplace({fs->second, object.inode}, Known{object.generation, 0});
  Known& known = at->second;
  if (!is_new) {
    bool told_apart = object.generation != 0 && known.birth != 0;
    if (told_apart ? object.generation != known.birth : created) ++known.generation;
    if (object.generation != 0) known.birth = object.generation;
  }
  return {object.inode, fs->second, known.generation};
}

}  // namespace reel::trace

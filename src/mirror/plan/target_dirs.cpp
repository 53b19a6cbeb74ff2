// SPDX-License-Identifier: Apache-2.0
#include "mirror/plan/target_dirs.h"

#include <cerrno>

namespace reel::mirror {
namespace {

constexpr size_t kOpenMax = 512;  // handles kept; far below the usual limit of 1024 descriptors

}  // namespace

TargetDirPtr TargetDirs::cached(const Fid& dir) {
  std::lock_guard lock(mutex_);
  auto found = open_.find(dir);
  return found == open_.end() ? nullptr : found->second;
}

void TargetDirs::put(const Fid& dir, TargetDirPtr handle) {
  std::lock_guard lock(mutex_);
  // Forgetting all at once is crude and cheap; handles in use live on with their users.
  if (open_.size() >= kOpenMax) open_.clear();
  open_[dir] = std::move(handle);
}

void TargetDirs::forget(const Fid& dir) {
  std::lock_guard lock(mutex_);
  open_.erase(dir);
}

Result<TargetDirPtr> TargetDirs::open_top(const Fid& dir) {
  TRY_ASSIGN(TargetDirPtr root, target_.root());
  if (dir == source_root_) return root;
  TRY_ASSIGN(TargetDirPtr own, target_.open_dir(root, kPrivateName));
  return target_.open_dir(own, kParkName);
}

Result<TargetDirPtr> TargetDirs::open(const Fid& dir) {
  // Up to the first ancestor that is open, then down again: trees may be deeper than any stack.
  std::vector<EntryKey> names;
  std::vector<Fid> fids;
  Fid at = dir;
  TargetDirPtr handle = cached(at);
  while (!handle && at != source_root_ && at != kParkFid) {
    TRY_ASSIGN(std::optional<Object> object, index_.object(at));
    if (!object) return Error(Code::not_found, "directory " + to_string(at) + " is not in the index");
    fids.push_back(at);
    names.push_back(object->home);
    at = object->home.parent;
    if (fids.size() > 100000) return Error(Code::corrupt, "index: directories form a ring at " + to_string(at));
    handle = cached(at);
  }
  if (!handle) {
    TRY_ASSIGN(handle, open_top(at));
    put(at, handle);
  }
  for (size_t i = fids.size(); i-- > 0;) {
    Result<TargetDirPtr> below = target_.open_dir(handle, names[i].name);
    int error = below ? 0 : below.error().sys_errno();
    if (error == ENOTDIR || error == ELOOP)  // somebody put something else there
      return Error(Code::not_found, "directory " + names[i].name + " is not where the index has it");
    TRY_ASSIGN(handle, std::move(below));
    put(fids[i], handle);
  }
  return handle;
}

}  // namespace reel::mirror

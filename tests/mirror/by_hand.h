// SPDX-License-Identifier: Apache-2.0
//
// The smallest mirror: copies a whole tree through the two seams, object by object.
#pragma once

#include <map>

#include "tree/tree.h"

namespace reel::mirror::test {

class ByHand {
 public:
  ByHand(SourceTree& source, TargetTree& target) : source_(source), target_(target) {}

  Status copy() {
    TRY_ASSIGN(TargetDirPtr root, target_.root());
    TRY(copy_dir(source_.root(), root));
    return set(source_.root(), nullptr, root, "");
  }

 private:
  Status copy_dir(const Fid& fid, const TargetDirPtr& dir) {
    return source_.list(
        fid, [&](const SourceEntry& entry) -> Status { return copy_entry(entry, dir, std::string(entry.name)); });
  }

  Status copy_entry(const SourceEntry& entry, const TargetDirPtr& dir, const std::string& name) {
    auto known = links_.find(entry.fid);
    if (known != links_.end()) return target_.link(known->second.first, known->second.second, dir, name);
    if (entry.attributes.nlink > 1 && entry.attributes.type != FileType::directory) links_[entry.fid] = {dir, name};
    const Fid fid = entry.fid;
    switch (entry.attributes.type) {
      case FileType::regular: {
        TRY_ASSIGN(std::unique_ptr<File> from, source_.open(fid));
        TRY_ASSIGN(std::unique_ptr<File> to, target_.create(dir, name, 0600, ""));
        TRY_ASSIGN(Attributes now, source_.stat(*from));
        TRY(target_.copy(source_, *from, *to, now.size, true));
        return set(fid, to.get(), nullptr, "");
      }
      case FileType::directory: {
        TRY(target_.make_dir(dir, name));
        TRY_ASSIGN(TargetDirPtr made, target_.open_dir(dir, name));
        TRY(copy_dir(fid, made));
        break;
      }
      case FileType::symlink: {
        TRY_ASSIGN(std::string text, source_.read_link(fid));
        TRY(target_.make_symlink(dir, name, text));
        break;
      }
      default:
        TRY(target_.make_node(dir, name, entry.attributes.type, entry.attributes.rdev));
    }
    return set(fid, nullptr, dir, name);
  }

  Status set(const Fid& fid, File* file, const TargetDirPtr& dir, const std::string& name) {
    AttributeChange change;
    TRY_ASSIGN(change.attributes, source_.stat(fid));
    TRY_ASSIGN(change.xattrs, source_.xattrs(fid, nullptr));
    return target_.set_attributes(file, dir, name, change);
  }

  SourceTree& source_;
  TargetTree& target_;
  std::map<Fid, std::pair<TargetDirPtr, std::string>> links_;
};

}  // namespace reel::mirror::test

// SPDX-License-Identifier: Apache-2.0
#include "mirror/mend/repair.h"

#include <set>

#include "mirror/plan/target_dirs.h"

namespace reel::mirror {
namespace {

class Collector {
 public:
  Collector(const Index& index, TargetTree& target, const Fid& root, const ExcludeFn& exclude)
      : index_(index), target_(target), dirs_(target, index, root), root_(root), exclude_(exclude) {}

  Status add(const std::string& path) {
    if (path.empty()) {
      objects_.insert(root_);
      return ok();
    }
    Fid at = root_;
    for (size_t begin = 0; begin < path.size();) {
      size_t end = std::min(path.find('/', begin), path.size());
      EntryKey key{at, path.substr(begin, end - begin)};
      bool is_last = end == path.size();
      TRY_ASSIGN(std::optional<Entry> entry, index_.entry(key));
      TRY_ASSIGN(bool out, left_out(path.substr(0, end), key, entry));
      if (out) return ok();
      // Where the index knows no further the whole of it is looked at.
      if (is_last || !entry || entry->type != FileType::directory) return add(key, entry);
      at = entry->fid;
      begin = end + 1;
    }
    return ok();
  }

  Intent take() {
    Intent intent;
    intent.keys.assign(keys_.begin(), keys_.end());
    intent.objects.assign(objects_.begin(), objects_.end());
    return intent;
  }

 private:
  // What nobody has mirrored under a name that the filter leaves out is not the mirror's to touch.
  Result<bool> left_out(const std::string& path, const EntryKey& key, const std::optional<Entry>& entry) {
    if (!exclude_) return false;
    if (entry) return exclude_(path, entry->type == FileType::directory);
    Result<TargetDirPtr> dir = dirs_.open(key.parent);
    if (dir.is(Code::not_found)) return false;
    TRY(dir);
    Result<Attributes> there = target_.stat(*dir, key.name);
    if (there.is(Code::not_found)) return false;
    TRY(there);
    return exclude_(path, there->type == FileType::directory);
  }
  // With all names of the object: the target may have them on several.
  Status add(const EntryKey& key, const std::optional<Entry>& entry) {
    keys_.insert(key);
    if (!entry || !objects_.insert(entry->fid).second) return ok();
    TRY_ASSIGN(std::vector<EntryKey> links, index_.links(entry->fid));
    keys_.insert(links.begin(), links.end());
    return ok();
  }

  const Index& index_;
  TargetTree& target_;
  TargetDirs dirs_;
  const Fid root_;
  const ExcludeFn& exclude_;
  std::set<EntryKey> keys_;
  std::set<Fid> objects_;
};

}  // namespace

Result<Intent> intent_of_paths(const std::vector<std::string>& paths, const Index& index, TargetTree& target,
                               const Fid& root, const ExcludeFn& exclude) {
  Collector collector(index, target, root, exclude);
  for (const std::string& path : paths) TRY(collector.add(path));
  return collector.take();
}

}  // namespace reel::mirror

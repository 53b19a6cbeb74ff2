// SPDX-License-Identifier: Apache-2.0
#include "mirror/repair.h"

#include <set>

namespace reel::mirror {
namespace {

class Collector {
 public:
  Collector(const Index& index, const Fid& root, const ExcludeFn& exclude)
      : index_(index), root_(root), exclude_(exclude) {}

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
      if (exclude_ && (exclude_(path.substr(0, end), true) || (is_last && exclude_(path, false)))) return ok();
      TRY_ASSIGN(std::optional<Entry> entry, index_.entry(key));
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
  // With all names of the object: the target may have them on several.
  Status add(const EntryKey& key, const std::optional<Entry>& entry) {
    keys_.insert(key);
    if (!entry || !objects_.insert(entry->fid).second) return ok();
    TRY_ASSIGN(std::vector<EntryKey> links, index_.links(entry->fid));
    keys_.insert(links.begin(), links.end());
    return ok();
  }

  const Index& index_;
  const Fid root_;
  const ExcludeFn& exclude_;
  std::set<EntryKey> keys_;
  std::set<Fid> objects_;
};

}  // namespace

Result<Intent> intent_of_paths(const std::vector<std::string>& paths, const Index& index, const Fid& root,
                               const ExcludeFn& exclude) {
  Collector collector(index, root, exclude);
  for (const std::string& path : paths) TRY(collector.add(path));
  return collector.take();
}

}  // namespace reel::mirror

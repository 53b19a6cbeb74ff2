// SPDX-License-Identifier: Apache-2.0
#include "mirror/apply/adopt.h"

#include <unordered_map>

#include "base/kill_point.h"
#include "mirror/apply/apply_object.h"

namespace reel::mirror {
namespace {

constexpr size_t kRowsPerWrite = 20000;

class Adopter {
 public:
  Adopter(Index& index, SourceTree& source, TargetTree& target, const AdoptOptions& options)
      : index_(index), source_(source), target_(target), options_(options), exclude_(options.exclude) {}

  Result<uint64_t> run() {
    if (options_.max_delete != UINT64_MAX) TRY(check_deletions());
    TRY_ASSIGN(TargetDirPtr root, target_.root());
    std::vector<Dir> todo;
    todo.push_back({source_.root(), root, ""});
    while (!todo.empty()) {
      Dir dir = std::move(todo.back());
      todo.pop_back();
      TRY(match(dir, todo));
      if (index_.pending_rows() > kRowsPerWrite) TRY(index_.store().write(index_.take_batch(), Durable::no));
    }
    kill_point("adopt.commit");
    TRY(index_.store().write(index_.take_batch(), Durable::yes));
    return removed_;
  }

 private:
  struct Dir {
    Fid fid;
    TargetDirPtr target;
    std::string path;  // "" or ending in "/"
  };

  Status match(const Dir& dir, std::vector<Dir>& todo) {
    std::vector<std::pair<std::string, Attributes>> there;
    TRY(target_.list(dir.target, [&](const TargetEntry& entry) -> Status {
      bool own = dir.path.empty() && entry.name == kPrivateName;
      if (!own) there.emplace_back(entry.name, entry.attributes);
      return ok();
    }));
    for (const auto& [name, attributes] : there) {
      bool is_dir = attributes.type == FileType::directory;
      if (exclude_ && exclude_(dir.path + name, is_dir)) continue;  // not ours to touch
      Result<SourceEntry> wanted = source_.lookup(dir.fid, name);
      if (!wanted && wanted.error().code() != Code::not_found) continue;  // the scan will tell
      TRY_ASSIGN(bool same, wanted ? enter(dir, name, attributes, *wanted) : Result<bool>(false));
      if (!same) {
        bool replaced = wanted && wanted->attributes.type == attributes.type;  // is made anew at once
        if (!replaced) TRY(count(dir, name, attributes.type));
        TRY(remove_tree(target_, dir.target, name));
      } else if (is_dir) {
        TRY_ASSIGN(TargetDirPtr below, target_.open_dir(dir.target, name));
        todo.push_back({wanted->fid, below, dir.path + name + "/"});
      }
    }
    return ok();
  }

  // Enters the pair into the index, if the target's object can become the source's.
  Result<bool> enter(const Dir& dir, const std::string& name, const Attributes& there, const SourceEntry& wanted) {
    // Symlinks and nodes are made anew in no time; a wrong text or number cannot be mended anyway.
    bool kind = there.type == FileType::regular || there.type == FileType::directory;
    if (there.type != wanted.attributes.type || !kind) return false;
    TRY_ASSIGN(std::optional<Entry> old, index_.entry({dir.fid, name}));
    if (old) return old->fid == wanted.fid;  // adopted before an interruption
    TRY_ASSIGN(std::optional<Object> known, index_.object(wanted.fid));
    if (known) {
      if (known->target != there.instance() || there.type == FileType::directory) return false;
      TRY(index_.add_link(*known, {dir.fid, name}));
      return true;
    }
    if (there.type == FileType::regular && there.nlink > 1 && !by_ino_.emplace(there.ino, wanted.fid).second)
      return false;  // one file here, two on the source
    Object object;
    object.fid = wanted.fid;
    object.type = there.type;
    object.home = {dir.fid, name};
    object.target = there.instance();
    TRY(index_.put(object));
    return true;
  }

  // What is about to be removed.
  Status count(const Dir& dir, const std::string& name, FileType type) {
    if (type == FileType::directory) TRY(count_below(dir.target, name, removed_));
    ++removed_;
    if (options_.done) options_.done({Done::Kind::remove, type, {dir.fid, name}, {}});
    return ok();
  }

  // Adds what is below a directory of the target to `count`.
  Status count_below(const TargetDirPtr& parent, const std::string& name, uint64_t& number) {
    TRY_ASSIGN(TargetDirPtr top, target_.open_dir(parent, name));
    std::vector<TargetDirPtr> todo{top};
    while (!todo.empty()) {
      TargetDirPtr dir = todo.back();
      todo.pop_back();
      std::vector<std::string> below;
      TRY(target_.list(dir, [&](const TargetEntry& entry) -> Status {
        ++number;
        if (entry.attributes.type == FileType::directory) below.emplace_back(entry.name);
        return ok();
      }));
      for (const std::string& child : below) {
        TRY_ASSIGN(TargetDirPtr down, target_.open_dir(dir, child));
        todo.push_back(down);
      }
    }
    return ok();
  }

  // Before anything is removed: how much would be? Counts what the source has not, or as another kind.
  Status check_deletions() {
    TRY_ASSIGN(TargetDirPtr root, target_.root());
    std::vector<Dir> todo;
    todo.push_back({source_.root(), root, ""});
    uint64_t doomed = 0;
    while (!todo.empty()) {
      Dir dir = std::move(todo.back());
      todo.pop_back();
      TRY(target_.list(dir.target, [&](const TargetEntry& entry) -> Status {
        std::string name(entry.name);
        bool is_dir = entry.attributes.type == FileType::directory;
        bool own = dir.path.empty() && name == kPrivateName;
        if (own || (exclude_ && exclude_(dir.path + name, is_dir))) return ok();
        Result<SourceEntry> wanted = source_.lookup(dir.fid, name);
        if (!wanted && wanted.error().code() != Code::not_found) return ok();
        if (!wanted || wanted->attributes.type != entry.attributes.type) {
          ++doomed;
          return is_dir ? count_below(dir.target, name, doomed) : ok();
        }
        if (!is_dir) return ok();
        TRY_ASSIGN(TargetDirPtr below, target_.open_dir(dir.target, name));
        todo.push_back({wanted->fid, below, dir.path + name + "/"});
        return ok();
      }));
    }
    if (doomed <= options_.max_delete) return ok();
    return Error(Code::too_many, "to adopt the target would remove " + std::to_string(doomed) +
                                     " entries that the source has not; --max-delete allows " +
                                     std::to_string(options_.max_delete));
  }

  Index& index_;
  SourceTree& source_;
  TargetTree& target_;
  const AdoptOptions& options_;
  const ExcludeFn& exclude_;
  uint64_t removed_ = 0;
  std::unordered_map<uint64_t, Fid> by_ino_;
};

}  // namespace

Result<uint64_t> adopt_target(Index& index, SourceTree& source, TargetTree& target, const AdoptOptions& options) {
  return Adopter(index, source, target, options).run();
}

}  // namespace reel::mirror

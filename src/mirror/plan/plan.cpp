// SPDX-License-Identifier: Apache-2.0
#include "mirror/plan/plan.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <unordered_set>

namespace reel::mirror {
namespace {

// What the changes say about one object: the names it loses and the names it gets.
struct Touch {
  FileType type = FileType::regular;
  bool is_new = false;  // the index does not know the object
  bool vacant = false;  // nor anything at the first name that it gets
  std::vector<const EntryKey*> removed, added;
};

class Planner {
 public:
  Planner(const Survey& survey, const Index& index) : survey_(survey), index_(index) {}

  Result<Plan> run() {
    collect();
    for (const Fid& fid : order_) {
      Touch& touch = touches_.at(fid);
      if (touch.is_new) {
        plan_new(fid, touch);
        continue;
      }
      TRY_ASSIGN(std::optional<Object> object, index_.object(fid));
      if (object)
        TRY(plan_known(*object, touch));
      else
        plan_new(fid, touch);
    }
    TRY(plan_syncs());
    TRY(sort_rmdirs());
    return std::move(plan_);
  }

 private:
  void collect() {
    touches_.reserve(survey_.changes.size());
    order_.reserve(survey_.changes.size());
    for (const Change& change : survey_.changes) {
      if (!change.old_fid.is_zero()) touch(change.old_fid).removed.push_back(&change.key);
      if (!change.new_fid.is_zero()) {
        Touch& added = touch(change.new_fid);
        if (added.added.empty()) added.vacant = change.old_fid.is_zero();
        added.added.push_back(&change.key);
        added.type = change.new_type;
        added.is_new = change.is_new;
      }
    }
  }
  Touch& touch(const Fid& fid) {
    auto [at, is_new] = touches_.try_emplace(fid);
    if (is_new) order_.push_back(fid);
    return at->second;
  }

  // A directory has one place. Seen at several (it moved during the survey): the first, the others
  // are looked at again.
  void one_place(Touch& touch) {
    while (touch.added.size() > 1) {
      plan_.again.push_back(*touch.added.back());
      touch.added.pop_back();
    }
  }

  void plan_new(const Fid& fid, Touch& touch) {
    if (touch.added.empty()) return;
    if (touch.type == FileType::directory) {
      one_place(touch);
      plan_.mkdirs.push_back({fid, touch.type, {}, *touch.added[0]});
      dirs_.emplace(fid, kDirtyAttributes);
      touch_dir(touch.added[0]->parent);
      return;
    }
    plan_.creates.push_back({fid, touch.type, {}, *touch.added[0], 0, touch.vacant});
    touch_dir(touch.added[0]->parent);
    add_links(fid, touch.type, touch.added, 1);
  }

  Status plan_known(const Object& object, Touch& touch) {
    bool is_dir = object.type == FileType::directory;
    if (is_dir) one_place(touch);
    if (!touch.added.empty()) TRY(leave_park(object, touch));
    for (const EntryKey* key : touch.removed) touch_dir(key->parent);
    for (const EntryKey* key : touch.added) touch_dir(key->parent);

    if (touch.removed.empty()) {
      if (is_dir)  // still where it was, and somewhere else too
        for (const EntryKey* key : touch.added) plan_.again.push_back(*key);
      else
        add_links(object.fid, object.type, touch.added, 0);
      return ok();
    }
    size_t removed = 0;
    size_t added = 0;
    if (!touch.added.empty()) {
      TRY(plan_move(object, *touch.removed[0], *touch.added[0]));
      removed = added = 1;
    } else {
      TRY_ASSIGN(bool parks, must_park(object, touch));
      if (parks) {
        EntryKey park{kParkFid, park_name(object.fid)};
        // In the park nothing tells that what it lay in is still to be scanned.
        TRY_ASSIGN(bool owed, debts_.owed(object.fid));
        if (*touch.removed[0] != park)
          plan_.moves.push_back({object.fid, object.type, *touch.removed[0], park, owed ? kDirtyDoubt : uint8_t{0}});
        removed = 1;
      }
    }
    for (; removed < touch.removed.size(); ++removed) {
      Op op{object.fid, object.type, *touch.removed[removed], {}};
      (is_dir ? plan_.rmdirs : plan_.unlinks).push_back(std::move(op));
    }
    add_links(object.fid, object.type, touch.added, added);
    return ok();
  }

  // What gets a name in the tree does not stay in the park as well.
  Status leave_park(const Object& object, Touch& touch) {
    TRY_ASSIGN(std::vector<EntryKey> links, index_.links(object.fid));
    for (EntryKey& link : links) {
      bool removed =
          std::any_of(touch.removed.begin(), touch.removed.end(), [&](const EntryKey* key) { return *key == link; });
      if (link.parent != kParkFid || removed) continue;
      more_keys_.push_back(std::move(link));
      touch.removed.push_back(&more_keys_.back());
    }
    return ok();
  }

  // The object loses names and gets none: does the target still need it?
  Result<bool> must_park(const Object& object, const Touch& touch) {
    TRY_ASSIGN(std::vector<EntryKey> links, index_.links(object.fid));
    if (links.size() > touch.removed.size()) return false;
    if (survey_.alive.count(object.fid)) return true;
    if (object.type != FileType::directory) return false;
    // It is gone, but not all that was in it has been accounted for: later records will.
    if (changed_.empty())
      for (const Change& change : survey_.changes) changed_.insert(change.key);
    bool left = false;
    TRY(index_.list(object.fid, "", [&](const std::string& name, const Entry&, const Object*) {
      left = !changed_.count({object.fid, name});
      return !left;
    }));
    return left;
  }

  Status plan_move(const Object& object, const EntryKey& from, const EntryKey& to) {
    TRY_ASSIGN(std::optional<Entry> occupant, index_.entry(to));
    TRY_ASSIGN(std::optional<Object> parent, index_.object(to.parent));
    if (!occupant && parent) {
      plan_.moves.push_back({object.fid, object.type, from, to});
      return ok();
    }
    EntryKey park{kParkFid, park_name(object.fid)};
    if (from != park) plan_.moves.push_back({object.fid, object.type, from, park});
    plan_.places.push_back({object.fid, object.type, park, to});
    return ok();
  }

  void add_links(const Fid& fid, FileType type, const std::vector<const EntryKey*>& keys, size_t first) {
    for (size_t i = first; i < keys.size(); ++i) {
      plan_.links.push_back({fid, type, {}, *keys[i]});
      touch_dir(keys[i]->parent);
    }
  }

  // Whatever changes in a directory of the target changes its times there.
  void touch_dir(const Fid& dir) {
    if (dir != kParkFid) dirs_[dir] |= kDirtyAttributes;
  }

  Status plan_syncs() {
    for (const auto& [fid, bits] : survey_.objects) {
      TRY_ASSIGN(std::optional<Object> object, index_.object(fid));
      if (!object) continue;
      if (object->type == FileType::directory)
        dirs_[fid] |= bits;
      else if (!is_removed(fid))
        plan_.syncs.push_back({fid, object->type, {}, {}, bits});
    }
    for (const auto& [fid, bits] : dirs_)
      if (!is_removed(fid)) plan_.dirs.push_back({fid, FileType::directory, {}, {}, bits});
    return ok();
  }
  bool is_removed(const Fid& fid) const {
    auto at = touches_.find(fid);
    if (at == touches_.end() || !at->second.added.empty() || at->second.removed.empty()) return false;
    Result<std::vector<EntryKey>> links = index_.links(fid);
    return links && links->size() <= at->second.removed.size() && !survey_.alive.count(fid);
  }

  Status sort_rmdirs() {
    std::unordered_map<Fid, size_t, FidHash> depth;
    for (const Op& op : plan_.rmdirs) {
      size_t levels = 0;
      Fid at = op.from.parent;
      for (; levels < 1000000; ++levels) {
        auto cached = depth.find(at);
        if (cached != depth.end()) {
          levels += cached->second;
          break;
        }
        TRY_ASSIGN(std::optional<Object> object, index_.object(at));
        if (!object || object->home.parent.is_zero()) break;
        at = object->home.parent;
      }
      depth[op.fid] = levels + 1;
    }
    std::stable_sort(plan_.rmdirs.begin(), plan_.rmdirs.end(),
                     [&](const Op& a, const Op& b) { return depth[a.fid] > depth[b.fid]; });
    return ok();
  }

  const Survey& survey_;
  const Index& index_;
  Plan plan_;
  ScanDebts debts_{index_};
  std::unordered_set<EntryKey, EntryKeyHash> changed_;  // filled when it is first needed
  std::unordered_map<Fid, Touch, FidHash> touches_;
  std::deque<EntryKey> more_keys_;  // names beside those in the survey
  std::vector<Fid> order_;
  std::unordered_map<Fid, uint8_t, FidHash> dirs_;
};

}  // namespace

std::string park_name(const Fid& fid) {
  char name[40];
  std::snprintf(name, sizeof name, "%016llx.%08x.%08x", static_cast<unsigned long long>(fid.seq), fid.oid, fid.ver);
  return name;
}

Result<Plan> make_plan(const Survey& survey, const Index& index) {
  return Planner(survey, index).run();
}

}  // namespace reel::mirror

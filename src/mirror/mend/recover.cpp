// SPDX-License-Identifier: Apache-2.0
#include "mirror/mend/recover.h"

#include <unordered_map>
#include <unordered_set>

#include "base/codec.h"
#include "mirror/apply/apply.h"
#include "mirror/apply/apply_object.h"

namespace reel::mirror {
namespace {

void put_fid(std::string& to, const Fid& fid) {
  char bytes[16];
  store_le(bytes, fid.seq);
  store_le(bytes + 8, fid.oid);
  store_le(bytes + 12, fid.ver);
  to.append(bytes, sizeof bytes);
}
Fid get_fid(ByteReader& reader) {
  Fid fid;
  fid.seq = reader.fixed<uint64_t>();
  fid.oid = reader.fixed<uint32_t>();
  fid.ver = reader.fixed<uint32_t>();
  return fid;
}

class Relearner {
 public:
  Relearner(const Intent& intent, Index& index, TargetTree& target, const Fid& root, const RelearnOptions& options)
      : intent_(intent),
        index_(index),
        target_(target),
        dirs_(target, index, root),
        root_(root),
        park_until_(options.park_until),
        scan_moved_(options.scan_moved) {}

  Status run() {
    TRY(collect_keys());
    TRY(remember_all());
    for (const EntryKey& key : keys_) TRY(detach(key));
    bool progress = true;
    while (progress) {
      progress = false;
      std::vector<EntryKey> waiting;
      waiting.swap(keys_);
      for (EntryKey& key : waiting) {
        TRY_ASSIGN(bool is_open, openable(key.parent));
        if (!is_open) {
          keys_.push_back(std::move(key));
          continue;
        }
        TRY(observe(key));
        progress = true;
      }
    }
    // Directories that nobody found are gone, and the index forgets what was in them.
    for (auto& [fid, object] : bodies_) {
      TRY_ASSIGN(std::optional<Object> found, index_.object(fid));
      if (!found && object.type == FileType::directory) TRY(forget_subtree(index_, fid));
    }
    return mark_unknown();
  }

 private:
  Status collect_keys() {
    std::unordered_set<EntryKey, EntryKeyHash> unique(intent_.keys.begin(), intent_.keys.end());
    TRY(index_.list(kParkFid, "", [&](const std::string& name, const Entry&, const Object*) {
      unique.insert({kParkFid, name});
      return true;
    }));
    TRY_ASSIGN(TargetDirPtr park, dirs_.open(kParkFid));
    TRY(target_.list(park, [&](const TargetEntry& entry) -> Status {
      unique.insert({kParkFid, std::string(entry.name)});
      return ok();
    }));
    keys_.assign(unique.begin(), unique.end());
    return ok();
  }

  // Every object that may have moved is taken out of the index, but remembered.
  Status remember_all() {
    for (const Fid& fid : intent_.objects) TRY(remember(fid));
    for (const EntryKey& key : keys_) {
      TRY_ASSIGN(std::optional<Entry> entry, index_.entry(key));
      if (entry) TRY(remember(entry->fid));
    }
    return ok();
  }
  Status remember(const Fid& fid) {
    if (bodies_.count(fid)) return ok();
    TRY_ASSIGN(std::optional<Object> object, index_.object(fid));
    if (!object) return ok();
    if (object->type == FileType::directory && !scan_moved_) {
      TRY_ASSIGN(bool owed, debts_.owed(fid));
      if (owed) owed_.insert(fid);
    }
    by_ino_[object->target.ino] = fid;
    bodies_.emplace(fid, *std::move(object));
    return ok();
  }
  Status detach(const EntryKey& key) {
    TRY_ASSIGN(std::optional<Entry> entry, index_.entry(key));
    return entry ? index_.remove_link(entry->fid, key) : ok();
  }

  Result<bool> openable(const Fid& dir) {
    Fid at = dir;
    while (at != root_ && at != kParkFid) {
      TRY_ASSIGN(std::optional<Object> object, index_.object(at));
      if (!object) return false;
      at = object->home.parent;
    }
    return true;
  }

  // The remembered object that this is.
  const Object* recognise(const Attributes& there) const {
    auto found = by_ino_.find(there.ino);
    if (found == by_ino_.end()) return nullptr;
    const Object& object = bodies_.at(found->second);
    return object.target == there.instance() && object.type == there.type ? &object : nullptr;
  }

  Status attach(const Object& body, const EntryKey& key) {
    TRY_ASSIGN(std::optional<Object> present, index_.object(body.fid));
    if (present) return present->home == key ? ok() : index_.add_link(*present, key);
    Object object = body;
    object.home = key;
    object.parked_until = key.parent == kParkFid ? park_until_ : 0;
    // The batch would have scanned it at its new place, where nothing tells that it is owed that.
    bool is_owed = body.type == FileType::directory && (scan_moved_ || owed_.count(body.fid));
    if (key != body.home && is_owed) index_.add_scan(body.fid);
    return index_.put(object);
  }

  Status observe(const EntryKey& key) {
    Result<TargetDirPtr> dir = dirs_.open(key.parent);
    if (dir.is(Code::not_found)) return ok();
    TRY(dir);
    Result<Attributes> there = target_.stat(*dir, key.name);
    if (there.is(Code::not_found)) return ok();
    TRY(there);
    if (const Object* object = recognise(*there)) return attach(*object, key);
    if (there->type == FileType::directory) TRY(evacuate(*dir, key.name));
    return remove_tree(target_, *dir, key.name);
  }

  // Before a directory that nobody knows is removed: what is known in it goes to the park.
  Status evacuate(const TargetDirPtr& parent, const std::string& name) {
    TRY_ASSIGN(TargetDirPtr park, dirs_.open(kParkFid));
    TRY_ASSIGN(TargetDirPtr top, target_.open_dir(parent, name));
    std::vector<TargetDirPtr> todo{top};
    while (!todo.empty()) {
      TargetDirPtr dir = todo.back();
      todo.pop_back();
      std::vector<std::pair<std::string, Fid>> ours;
      std::vector<std::string> below;
      TRY(target_.list(dir, [&](const TargetEntry& entry) -> Status {
        if (const Object* object = recognise(entry.attributes))
          ours.emplace_back(entry.name, object->fid);
        else if (entry.attributes.type == FileType::directory)
          below.emplace_back(entry.name);
        return ok();
      }));
      for (const auto& [child, fid] : ours) {
        TRY_ASSIGN(std::optional<Object> present, index_.object(fid));
        if (present) continue;  // a further link of something that is in its place
        TRY(to_park(dir, child, park, bodies_.at(fid)));
        TRY(attach(bodies_.at(fid), {kParkFid, park_name(fid)}));
      }
      for (const std::string& child : below) {
        TRY_ASSIGN(TargetDirPtr down, target_.open_dir(dir, child));
        todo.push_back(down);
      }
    }
    return ok();
  }

  Status to_park(const TargetDirPtr& dir, const std::string& child, const TargetDirPtr& park, const Object& body) {
    std::string name = park_name(body.fid);
    Result<Attributes> there = target_.stat(park, name);
    if (there && there->instance() == body.target) return ok();  // a further link of what is parked already
    if (there) TRY(remove_tree(target_, park, name));
    return target_.rename(dir, child, park, name);
  }

  // Everything that was touched is looked at again, whatever the log says.
  Status mark_unknown() {
    for (const EntryKey& key : intent_.keys) {
      TRY_ASSIGN(std::optional<Object> parent, index_.object(key.parent));
      if (key.parent == kParkFid || !parent) continue;
      index_.put_retry(Index::retry_key(key), {});
      index_.put_retry(Index::retry_key(key.parent), {});
    }
    for (const auto& [fid, body] : bodies_) {
      TRY_ASSIGN(std::optional<Object> object, index_.object(fid));
      if (!object) continue;
      object->ctime = object->data_ctime = Time{};
      TRY(index_.put(*object));
      index_.put_retry(Index::retry_key(fid), {});
    }
    return ok();
  }

  const Intent& intent_;
  Index& index_;
  TargetTree& target_;
  TargetDirs dirs_;
  const Fid root_;
  const uint64_t park_until_;
  const bool scan_moved_;
  std::vector<EntryKey> keys_;
  std::unordered_map<Fid, Object, FidHash> bodies_;
  ScanDebts debts_{index_};                // asked before anything is detached
  std::unordered_set<Fid, FidHash> owed_;  // directories that a scan has yet to read
  std::unordered_map<uint64_t, Fid> by_ino_;
};

}  // namespace

std::string Intent::encode() const {
  std::string bytes;
  auto put_count = [&](uint64_t count) {
    uint8_t buffer[kVarintMax];
    bytes.append(reinterpret_cast<char*>(buffer), static_cast<size_t>(store_varint(buffer, count) - buffer));
  };
  put_count(keys.size());
  for (const EntryKey& key : keys) {
    put_fid(bytes, key.parent);
    put_count(key.name.size());
    bytes += key.name;
  }
  put_count(objects.size());
  for (const Fid& fid : objects) put_fid(bytes, fid);
  return bytes;
}

Result<Intent> Intent::decode(std::string_view bytes) {
  ByteReader reader(bytes.data(), bytes.size());
  Intent intent;
  for (uint64_t left = reader.varint(); left > 0 && !reader.failed(); --left) {
    EntryKey key;
    key.parent = get_fid(reader);
    uint64_t size = reader.varint();
    const uint8_t* name = reader.bytes(size);
    if (name) key.name.assign(reinterpret_cast<const char*>(name), size);
    intent.keys.push_back(std::move(key));
  }
  for (uint64_t left = reader.varint(); left > 0 && !reader.failed(); --left) intent.objects.push_back(get_fid(reader));
  if (reader.failed()) return Error(Code::corrupt, "index: an intent cannot be read");
  return intent;
}

Intent Intent::of(const Plan& plan, const Index& index) {
  Intent intent;
  std::unordered_set<Fid, FidHash> objects;
  for (const auto* ops : {&plan.moves, &plan.unlinks, &plan.rmdirs, &plan.mkdirs, &plan.places, &plan.creates,
                          &plan.links, &plan.syncs, &plan.dirs}) {
    for (const Op& op : *ops) {
      if (!op.from.name.empty()) intent.keys.push_back(op.from);
      if (!op.to.name.empty()) intent.keys.push_back(op.to);
      if (ops == &plan.mkdirs || ops == &plan.creates) continue;  // the index has nothing of these
      Result<std::optional<Object>> known = index.object(op.fid);
      if (known && *known) objects.insert(op.fid);
    }
  }
  intent.objects.assign(objects.begin(), objects.end());
  return intent;
}

Status relearn(const Intent& intent, Index& index, TargetTree& target, const Fid& source_root,
               const RelearnOptions& options) {
  return Relearner(intent, index, target, source_root, options).run();
}

}  // namespace reel::mirror

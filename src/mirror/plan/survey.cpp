// SPDX-License-Identifier: Apache-2.0
#include "mirror/plan/survey.h"

#include <algorithm>
#include <atomic>
#include <deque>

#include "mirror/plan/target_dirs.h"

namespace reel::mirror {
namespace {

constexpr size_t kScanRound = 64;              // directories read in parallel
constexpr size_t kPrefetchEntries = 1u << 16;  // above this, index entries are looked up one by one
constexpr size_t kSuspectsHeld = 1u << 16;
constexpr uint8_t kDirtyScan = kDirtyAttributes | kDirtyData | kDirtyDoubt;

// Code::cancelled inside a listing: the batch is full, come back for the rest.
Error batch_full() {
  return {Code::cancelled, "batch full"};
}

// What of an entry's attributes decides whether it differs.
struct Seen {
  FileType type = FileType::regular;
  Time ctime;
};

struct KnownEntry {
  Entry entry;
  Time ctime;                       // zero when it is not the object's home or not known to be equal
  std::unique_ptr<Object> suspect;  // equal if its contents are
};

// What reading one directory found out.
struct Delta {
  Fid dir;
  struct Found {
    std::string name;
    Fid old_fid, new_fid;
    Seen seen;
    bool is_known = false;  // new_fid, in the index
  };
  std::vector<Found> changes;
  std::vector<Fid> differing;  // same entry, other ctime
  std::vector<Object> suspects;
  std::vector<Fid> known_dirs;
  bool complete = false;
  Status status = ok();
};

// How many changes the directories of a round may still bring. Whoever comes first takes what it needs.
struct Room {
  std::atomic<int64_t> to_begin, to_go_on;
  bool take() {
    --to_begin;
    return to_go_on-- > 0;
  }
};

class Surveyor {
 public:
  Surveyor(const Index& index, SourceTree& source, Pool& pool, const ExcludeFn& exclude, const SurveyLimits& limits)
      : index_(index), source_(source), pool_(pool), exclude_(exclude), limits_(limits) {}

  Result<Survey> run(const DirtySet& dirty, const std::vector<Fid>& scans) {
    scanning_ = !scans.empty();
    std::vector<EntryKey> entries(dirty.entries.begin(), dirty.entries.end());
    for (const auto& [fid, bits] : dirty.objects) {
      TRY_ASSIGN(bool is_known, known(fid));
      if (!is_known) continue;
      survey_.objects[fid] |= bits & ~kDirtyNames;
      if ((bits & kDirtyNames) == 0) continue;
      TRY_ASSIGN(std::vector<EntryKey> names, index_.links(fid));
      entries.insert(entries.end(), names.begin(), names.end());
    }
    TRY(look_at(entries));
    by_records_ = size();
    scans_.insert(scans_.end(), scans.begin(), scans.end());
    for (;;) {
      TRY(look_at_links());
      if (new_dirs_.empty() && scans_.empty()) break;
      if (room(limits_.changes) == 0 || compared_ >= limits_.comparisons) break;
      TRY(scan_round());
    }
    survey_.scans.insert(survey_.scans.end(), new_dirs_.begin(), new_dirs_.end());
    survey_.scans.insert(survey_.scans.end(), scans_.begin(), scans_.end());
    TRY(check_alive());
    return std::move(survey_);
  }

 private:
  size_t size() const { return survey_.changes.size() + survey_.objects.size(); }
  // How much scans may add still.
  size_t room(size_t limit) const { return limit - std::min(limit, size() - by_records_); }

  Result<bool> known(const Fid& fid) {
    auto [at, is_new] = known_.try_emplace(fid, false);
    if (is_new) {
      TRY_ASSIGN(at->second, index_.has_object(fid));
    }
    return at->second;
  }

  // The path of an entry of `dir` as it will be after this batch; for filters and messages.
  Result<std::string> path_of(const Fid& dir, const std::string& name) {
    std::string path = name;
    Fid at = dir;
    for (int depth = 0; at != source_.root() && depth < 100000; ++depth) {
      auto moved = new_home_.find(at);
      EntryKey home;
      if (moved != new_home_.end()) {
        home = moved->second;
      } else {
        TRY_ASSIGN(std::optional<Object> object, index_.object(at));
        if (!object) break;
        home = object->home;
      }
      path = home.name + "/" + path;
      at = home.parent;
    }
    return path;
  }

  Result<bool> excluded(const Fid& dir, const std::string& name, FileType type) {
    if (!exclude_) return false;
    TRY_ASSIGN(std::string path, path_of(dir, name));
    return exclude_(path, type == FileType::directory);
  }

  // What a target keeps at its root for itself; a source that is a target has it, too.
  bool is_private(const Fid& dir, const std::string& name) const {
    return dir == source_.root() && name == kPrivateName;
  }

  // Asks the source for all these entries; many at a time, since each may be a round trip to a server.
  Status look_at(const std::vector<EntryKey>& keys) {
    std::vector<const EntryKey*> wanted;
    for (const EntryKey& key : keys) {
      TRY_ASSIGN(bool wants, is_wanted(key));
      if (wants) wanted.push_back(&key);
    }
    survey_.lookups += wanted.size();
    std::vector<Look> looks(wanted.size());
    pool_.run(wanted.size(), [&](size_t i) { look(*wanted[i], looks[i]); });
    for (size_t i = 0; i < wanted.size(); ++i) TRY(take(*wanted[i], looks[i]));
    return ok();
  }

  // What source and index have at one entry.
  struct Look {
    Status found = ok();
    Fid fid;
    Seen seen;
    Status asked = ok();  // of the index
    Fid old_fid;
    bool is_known = false;
  };
  // Runs in the pool: reads index and source, changes nothing but `into`.
  void look(const EntryKey& key, Look& into) const {
    Result<SourceEntry> found = source_.lookup(key.parent, key.name);
    if (found) {
      into.fid = found->fid;
      into.seen = {found->attributes.type, found->attributes.ctime};
    } else {
      into.found = std::move(found).error();
    }
    into.asked = ask_index(key, into);
  }
  Status ask_index(const EntryKey& key, Look& into) const {
    TRY_ASSIGN(std::optional<Entry> old, index_.entry(key));
    if (old) into.old_fid = old->fid;
    if (into.fid.is_zero() || into.fid == into.old_fid) return ok();
    TRY_ASSIGN(into.is_known, index_.has_object(into.fid));
    return ok();
  }

  Result<bool> is_wanted(const EntryKey& key) {
    if (is_private(key.parent, key.name)) return false;
    TRY_ASSIGN(bool in_scope, known(key.parent));
    // Unknown parents lie outside the source or are new; the new ones are read whole.
    if (!in_scope || key.parent == kParkFid) return false;
    return looked_.insert(key).second;
  }

  // What the source has at an entry.
  Status take(const EntryKey& key, Look& look) {
    TRY(std::move(look.asked));
    if (!look.found && look.found.error().code() != Code::not_found) {
      TRY_ASSIGN(std::string path, path_of(key.parent, key.name));
      survey_.troubles.push_back({Index::retry_key(key), look.found.error().sys_errno(),
                                  path + ": cannot be looked up: " + look.found.error().text()});
      return ok();
    }
    if (look.found) {
      TRY_ASSIGN(bool out, excluded(key.parent, key.name, look.seen.type));
      if (!out) return compare(key, look.old_fid, look.fid, look.seen, look.is_known, 0);
    }
    if (!look.old_fid.is_zero()) survey_.changes.push_back({key, look.old_fid, Fid{}, FileType::regular, false});
    return ok();
  }

  // The source has `fid` at `key`; the index has `old` (zero: nothing), and `fid` elsewhere if it is_known.
  Status compare(const EntryKey& key, const Fid& old, const Fid& fid, const Seen& seen, bool is_known, uint8_t doubt) {
    if (old == fid) {
      TRY_ASSIGN(std::optional<Object> object, index_.object(fid));
      if (!object) return Error(Code::corrupt, "index: entry without its object " + to_string(fid));
      if (object->hollow) {
        doubt = kDirtyScan;
        if (object->type == FileType::directory) scans_.push_back(fid);
      }
      bool same = object->ctime == seen.ctime && (!doubt || object->data_ctime == object->ctime);
      if (!same) survey_.objects[fid] |= kDirtyAttributes | doubt;
      return ok();
    }
    survey_.changes.push_back({key, old, fid, seen.type, !is_known});
    // While a scan is under way an object may move from where it has not been to where it has.
    if (scanning_) doubt = kDirtyScan;
    bool is_dir = seen.type == FileType::directory;
    if (is_dir) new_home_[fid] = key;
    if (!is_known) {
      if (is_dir) new_dirs_.push_back(fid);
      return ok();
    }
    TRY_ASSIGN(bool owed, debts_.owed(fid));
    if (owed) doubt = kDirtyScan;
    links_to_check_.push_back(fid);
    survey_.objects[fid] |= kDirtyAttributes | doubt;
    if (!is_dir) return ok();
    if (doubt) scans_.push_back(fid);
    // Filters look at paths: below a directory that moved every decision may be another one.
    if (exclude_) survey_.scans.push_back(fid);
    return ok();
  }

  // An object that appeared somewhere may have left the places where the index has it, even when no
  // record of this batch says so.
  Status look_at_links() {
    while (!links_to_check_.empty()) {
      std::vector<EntryKey> keys;
      for (const Fid& fid : std::exchange(links_to_check_, {})) {
        TRY_ASSIGN(std::vector<EntryKey> links, index_.links(fid));
        keys.insert(keys.end(), links.begin(), links.end());
      }
      survey_.looked_at.insert(keys.begin(), keys.end());
      TRY(look_at(keys));
    }
    return ok();
  }

  // Reads some directories in parallel. New ones come before those that wait since an earlier batch:
  // their place is in this batch's changes, so what is in them may follow.
  Status scan_round() {
    std::vector<Delta> round;
    auto take = [&](const Fid& dir) {
      round.emplace_back();
      round.back().dir = dir;
    };
    for (; round.size() < kScanRound && !new_dirs_.empty(); new_dirs_.pop_front()) take(new_dirs_.front());
    for (; round.size() < kScanRound && !scans_.empty(); scans_.pop_front()) {
      TRY_ASSIGN(bool is_known, known(scans_.front()));
      if (is_known)
        take(scans_.front());
      else
        survey_.scanned.push_back(scans_.front());
    }
    if (round.empty()) return ok();
    Room left{static_cast<int64_t>(room(limits_.changes)), static_cast<int64_t>(room(limits_.most))};
    pool_.run(round.size(), [&](size_t i) { read_dir(round[i], left); });
    compare_suspects(round);
    for (Delta& delta : round) TRY(merge(delta));
    return ok();
  }

  // Runs in the pool: reads index and source, changes nothing but `delta`.
  void read_dir(Delta& delta, Room& room) {
    if (room.to_begin <= 0) {
      delta.status = batch_full();
      return;
    }
    std::unordered_map<std::string, KnownEntry> known_entries;
    bool prefetched = true;
    delta.status = index_.list(delta.dir, "", [&](const std::string& name, const Entry& entry, const Object* object) {
      Trust trust = object ? trust_in(*object) : Trust::none;
      KnownEntry& known = known_entries[name];
      known.entry = entry;
      if (trust != Trust::none) known.ctime = object->ctime;
      if (trust == Trust::suspect) known.suspect = std::make_unique<Object>(*object);
      return prefetched = known_entries.size() < kPrefetchEntries;
    });
    if (!delta.status) return;
    if (!prefetched) known_entries.clear();
    // The same inode number with the same ctime is the same object: its handle need not be asked.
    FidHint hint = [&](std::string_view name, const Attributes& attributes) -> std::optional<Fid> {
      auto at = known_entries.find(std::string(name));
      if (at == known_entries.end() || at->second.ctime == Time{}) return std::nullopt;
      const Fid& fid = at->second.entry.fid;
      bool same = fid.seq == attributes.ino && at->second.ctime == attributes.ctime;
      return same ? std::optional<Fid>(fid) : std::nullopt;
    };
    auto each = [&](const SourceEntry& found) -> Status {
      if (limits_.entries_seen) ++*limits_.entries_seen;
      std::string name(found.name);
      if (is_private(delta.dir, name)) return ok();
      KnownEntry old;
      if (prefetched) {
        auto at = known_entries.find(name);
        if (at != known_entries.end()) old = std::move(at->second);
      } else {
        TRY_ASSIGN(std::optional<Entry> entry, index_.entry({delta.dir, name}));
        if (entry) old.entry = *entry;
      }
      if (exclude_) {
        TRY_ASSIGN(bool out, excluded(delta.dir, name, found.attributes.type));
        if (out) return ok();
      }
      if (prefetched) known_entries.erase(name);
      if (old.entry.fid != found.fid) {
        if (!room.take()) return batch_full();
        TRY_ASSIGN(bool is_known, index_.has_object(found.fid));
        Seen seen{found.attributes.type, found.attributes.ctime};
        delta.changes.push_back({std::move(name), old.entry.fid, found.fid, seen, is_known});
        return ok();
      }
      if (found.attributes.type == FileType::directory) delta.known_dirs.push_back(found.fid);
      if (old.ctime != found.attributes.ctime || old.ctime == Time{}) return differing(delta, found);
      if (old.suspect) suspected(delta, std::move(*old.suspect));
      return ok();
    };
    delta.status = source_.list(delta.dir, each, hint);
    if (!delta.status) return;
    delta.complete = true;
    if (prefetched) {
      for (auto& [name, old] : known_entries) delta.changes.push_back({name, old.entry.fid, Fid{}, {}, false});
      return;
    }
    delta.status = find_vanished(delta, room);
  }

  // What follows for an object from its having the ctime that the index has.
  enum class Trust { none, suspect, equal };
  Trust trust_in(const Object& object) const {
    if (object.data_ctime != object.ctime) return Trust::none;
    if (object.type != FileType::regular || object.ctime.seconds < limits_.suspect_from_s) return Trust::equal;
    bool told = object.ctime.seconds < limits_.untold_from_s;
    return told && limits_.is_intact ? Trust::suspect : Trust::none;
  }

  Status differing(Delta& delta, const SourceEntry& found) {
    // Not the object's home, or not known to be equal: the object itself decides.
    TRY_ASSIGN(std::optional<Object> object, index_.object(found.fid));
    Trust trust = object && object->ctime == found.attributes.ctime ? trust_in(*object) : Trust::none;
    if (trust == Trust::none) delta.differing.push_back(found.fid);
    if (trust == Trust::suspect) suspected(delta, *std::move(object));
    return ok();
  }

  // Most wait until the round's directories are read: then all threads compare, also what lies in one directory.
  void suspected(Delta& delta, Object&& object) {
    ++compared_;
    if (++suspects_held_ <= kSuspectsHeld)
      delta.suspects.push_back(std::move(object));
    else if (!limits_.is_intact(object))
      delta.differing.push_back(object.fid);
  }
  void compare_suspects(std::vector<Delta>& round) {
    std::vector<std::pair<Delta*, const Object*>> suspects;
    for (Delta& delta : round)
      for (const Object& object : delta.suspects) suspects.emplace_back(&delta, &object);
    std::vector<char> intact(suspects.size());
    pool_.run(suspects.size(), [&](size_t i) { intact[i] = limits_.is_intact(*suspects[i].second); });
    for (size_t i = 0; i < suspects.size(); ++i)
      if (!intact[i]) suspects[i].first->differing.push_back(suspects[i].second->fid);
    suspects_held_ = 0;
  }

  // A directory too large to be held in memory: ask the source for each entry that the index has.
  Status find_vanished(Delta& delta, Room& room) {
    Status status = ok();
    TRY(index_.list(delta.dir, "", [&](const std::string& name, const Entry& entry, const Object*) {
      Result<SourceEntry> found = source_.lookup(delta.dir, name);
      if (found.is(Code::not_found)) {
        if (!room.take()) {
          delta.complete = false;
          return false;
        }
        delta.changes.push_back({name, entry.fid, Fid{}, {}, false});
      }
      return true;
    }));
    return status;
  }

  Status merge(Delta& delta) {
    bool full_stop = !delta.status && delta.status.error().code() == Code::cancelled;
    if (!delta.status && !full_stop) {
      // Gone meanwhile: its own entry says so sooner or later. Anything else is trouble.
      if (delta.status.error().code() == Code::not_found) {
        survey_.scanned.push_back(delta.dir);
        return scan_orphans(delta);
      }
      if (delta.status.error().code() == Code::corrupt) return std::move(delta.status);
      TRY_ASSIGN(std::string path, path_of(delta.dir, ""));
      survey_.troubles.push_back({Index::retry_key(delta.dir), delta.status.error().sys_errno(),
                                  path + ": cannot be read: " + delta.status.error().text()});
      survey_.unread.push_back(delta.dir);
      return ok();
    }
    for (Delta::Found& found : delta.changes) {
      EntryKey key{delta.dir, std::move(found.name)};
      if (!looked_.insert(key).second) {
        // A record has led here already; but only a scan doubts everything below.
        TRY(doubt_below(found.new_fid));
        TRY(doubt_below(found.old_fid));  // it may have left between the two looks
        continue;
      }
      if (found.new_fid.is_zero())
        survey_.changes.push_back({std::move(key), found.old_fid, Fid{}, FileType::regular, false});
      else
        TRY(compare(key, found.old_fid, found.new_fid, found.seen, found.is_known, kDirtyScan));
    }
    for (const Fid& fid : delta.differing) survey_.objects[fid] |= kDirtyScan;
    TRY_ASSIGN(bool is_known, known(delta.dir));
    if (is_known) survey_.objects[delta.dir] |= kDirtyAttributes;
    if (!delta.complete) {
      survey_.scans.push_back(delta.dir);
      return ok();
    }
    survey_.scanned.push_back(delta.dir);
    scans_.insert(scans_.end(), delta.known_dirs.begin(), delta.known_dirs.end());
    return ok();
  }

  // The directory is gone, but what was in it may live on elsewhere, and the scan owes it a look.
  Status scan_orphans(const Delta& delta) {
    return index_.list(delta.dir, "", [&](const std::string&, const Entry& entry, const Object*) {
      if (entry.type == FileType::directory)
        scans_.push_back(entry.fid);
      else
        survey_.objects[entry.fid] |= kDirtyScan;
      return true;
    });
  }

  Status doubt_below(const Fid& fid) {
    if (fid.is_zero()) return ok();
    TRY_ASSIGN(std::optional<Object> object, index_.object(fid));
    if (!object) return ok();
    survey_.objects[fid] |= kDirtyScan;
    bool is_dir = object->type == FileType::directory;
    // Once a batch: directories that change places could send the scan round in a ring.
    if (is_dir && doubted_.insert(fid).second) scans_.push_back(fid);
    return ok();
  }

  // Objects that lost every name the index knows, without a new one: gone, or alive where the next
  // records (or nobody) will show them?
  Status check_alive() {
    std::unordered_map<Fid, size_t, FidHash> lost;
    for (const Change& change : survey_.changes)
      if (!change.old_fid.is_zero()) ++lost[change.old_fid];
    for (const Change& change : survey_.changes) lost.erase(change.new_fid);
    std::vector<Fid> nameless;
    for (const auto& [fid, names] : lost) {
      TRY_ASSIGN(std::vector<EntryKey> links, index_.links(fid));
      if (links.size() <= names) nameless.push_back(fid);
    }
    survey_.lookups += nameless.size();
    std::vector<char> is_gone(nameless.size());
    pool_.run(nameless.size(), [&](size_t i) { is_gone[i] = source_.stat(nameless[i]).is(Code::not_found); });
    // When in doubt (any error but "gone") it stays alive: the park can wait, a copy costs more.
    for (size_t i = 0; i < nameless.size(); ++i)
      if (!is_gone[i]) survey_.alive.insert(nameless[i]);
    return ok();
  }

  const Index& index_;
  SourceTree& source_;
  Pool& pool_;
  const ExcludeFn& exclude_;
  const SurveyLimits limits_;
  Survey survey_;
  std::unordered_set<EntryKey, EntryKeyHash> looked_;
  std::unordered_map<Fid, bool, FidHash> known_;
  std::unordered_map<Fid, EntryKey, FidHash> new_home_;
  std::deque<Fid> new_dirs_;
  std::deque<Fid> scans_;
  std::vector<Fid> links_to_check_;
  std::unordered_set<Fid, FidHash> doubted_;
  ScanDebts debts_{index_};
  std::atomic<size_t> compared_{0}, suspects_held_{0};
  bool scanning_ = false;
  size_t by_records_ = 0;  // changes and objects that records led to
};

}  // namespace

Result<Survey> survey(const DirtySet& dirty, const std::vector<Fid>& scans, const Index& index, SourceTree& source,
                      Pool& pool, const ExcludeFn& exclude, const SurveyLimits& limits) {
  return Surveyor(index, source, pool, exclude, limits).run(dirty, scans);
}

}  // namespace reel::mirror

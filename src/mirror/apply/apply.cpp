// SPDX-License-Identifier: Apache-2.0
#include "mirror/apply/apply.h"

#include "mirror/apply/apply_object.h"

namespace reel::mirror {
namespace {

constexpr size_t kRunMax = 512;  // creations in one directory that one thread takes at once

class Applier {
 public:
  Applier(const Plan& plan, ApplyContext& context) : plan_(plan), context_(context), index_(context.index) {}

  Result<ApplyResult> run() {
    places_ = plan_.places;
    for (const Op& op : plan_.moves) TRY(move(op));
    TRY(remove_files(plan_.unlinks));
    TRY(remove_dirs(plan_.rmdirs));
    for (const Op& op : plan_.mkdirs) TRY(make_dir(op));
    for (const Op& op : places_) TRY(place(op));
    TRY(create(plan_.creates));
    for (const Op& op : plan_.links) TRY(link(op));
    TRY(sync(plan_.syncs, sync_object));
    TRY(sync(plan_.dirs, sync_directory));
    for (const EntryKey& key : plan_.again) again(key);
    return std::move(result_);
  }

 private:
  bool stopped() const { return context_.stop && *context_.stop; }
  static Error stopping() { return {Code::cancelled, "stopped"}; }
  void ringed(const EntryKey& key) {
    again(key);
    result_.ringed.push_back(Index::retry_key(key));
  }
  void again(const EntryKey& key) { result_.again.push_back(Index::retry_key(key)); }
  void trouble(std::string key, const EntryKey& at, const char* what, const Error& error) {
    result_.troubles.push_back({std::move(key), error.sys_errno(), path(at) + ": " + what + ": " + error.text()});
  }
  void done(Done::Kind kind, FileType type, const EntryKey& key, const EntryKey& from = {}) {
    if (context_.done) context_.done({kind, type, key, from});
  }

  // The contents are there and equal; only where they lie is not as it was.
  void layout_lost(const EntryKey& at, const Outcome& outcome) {
    if (!outcome.layout_lost) return;
    ++context_.counters.layouts_lost;
    if (context_.note)
      context_.note(path(at) + ": has the target's default layout, not the source's: " + outcome.layout_lost->text());
  }

  // The path on the target, as the index has it now; for messages.
  std::string path(const EntryKey& key) {
    std::string text = key.name;
    Fid at = key.parent;
    while (at != context_.source.root() && text.size() < 65536) {
      Result<std::optional<Object>> object = index_.object(at);
      if (!object || !*object) break;
      text = (*object)->home.name + "/" + text;
      at = (*object)->home.parent;
    }
    return text;
  }

  Status rename(const EntryKey& from, const EntryKey& to) {
    TRY_ASSIGN(TargetDirPtr from_dir, context_.dirs.open(from.parent));
    TRY_ASSIGN(TargetDirPtr to_dir, context_.dirs.open(to.parent));
    Status renamed = context_.target.rename(from_dir, from.name, to_dir, to.name);
    if (!renamed.is(Code::exists)) return renamed;
    TRY_ASSIGN(std::optional<Entry> occupant, index_.entry(to));
    if (occupant) return renamed;
    TRY(remove_tree(context_.target, to_dir, to.name));  // not of our making
    return context_.target.rename(from_dir, from.name, to_dir, to.name);
  }

  Status moved(const Op& op, const EntryKey& to) {
    TRY(index_.move_link(op.fid, op.from, to));
    if (to.parent == kParkFid) {
      TRY_ASSIGN(std::optional<Object> object, index_.object(op.fid));
      object->parked_until = context_.park_until;
      TRY(index_.put(*object));
      if (context_.scanning || op.bits) TRY(passed_by(op.fid));
      done(Done::Kind::park, op.type, to, op.from);
      return ok();
    }
    ++context_.counters.renames;
    done(Done::Kind::move, op.type, to, op.from);
    return ok();
  }

  Status move(const Op& op) {
    ++context_.counters.applied;
    Status status = rename(op.from, op.to);
    if (status) return moved(op, op.to);
    if (op.to.parent != kParkFid) {
      // The way may be free only after other moves (a directory into what was its own descendant).
      if (op.from.parent == kParkFid && status.error().sys_errno() == EINVAL) {
        places_.push_back(op);
        return ok();
      }
      EntryKey park{kParkFid, park_name(op.fid)};
      if (rename(op.from, park)) {
        places_.push_back({op.fid, op.type, park, op.to});
        return moved(op, park);
      }
    }
    TRY_ASSIGN(bool is_lost, lost(op.fid, op.from));
    if (!is_lost) {
      trouble(Index::retry_key(op.from), op.from, "cannot be moved", status.error());
      if (context_.scanning) TRY(passed_by(op.fid));
    }
    if (op.to.parent != kParkFid) again(op.to);
    return ok();
  }

  // It is away from where the scan would have read it.
  Status passed_by(const Fid& fid) {
    TRY_ASSIGN(std::optional<Object> object, index_.object(fid));
    object->hollow = true;
    object->ctime = object->data_ctime = Time{};
    return index_.put(*object);
  }

  Status place(const Op& op) {
    TRY_ASSIGN(std::optional<Entry> occupant, index_.entry(op.to));
    TRY_ASSIGN(std::optional<Entry> parked, index_.entry(op.from));
    if (!parked) {  // it could not be parked, and that was told
      again(op.to);
      return ok();
    }
    Status status = occupant ? Status(Error(Code::exists, "the place is still taken")) : rename(op.from, op.to);
    if (status) return moved(op, op.to);
    if (status.error().sys_errno() == EINVAL)
      ringed(op.to);
    else if (status.is(Code::exists))
      again(op.to);  // the survey saw two moments
    else
      trouble(Index::retry_key(op.to), op.to, "cannot be moved into place", status.error());
    return ok();
  }

  // An object is not on the target where the index has it: somebody else was there. Forget the name;
  // it will be made anew.
  Result<bool> lost(const Fid& fid, const EntryKey& key) {
    Result<TargetDirPtr> dir = context_.dirs.open(key.parent);
    if (dir) {
      Result<Attributes> there = context_.target.stat(*dir, key.name);
      if (!there.is(Code::not_found)) return false;
    } else if (dir.error().code() != Code::not_found) {
      return false;
    }
    TRY(forget_subtree(index_, fid));
    TRY(index_.remove_link(fid, key));
    again(key);
    return true;
  }

  Status remove_files(const std::vector<Op>& ops) {
    std::vector<std::optional<Status>> results(ops.size());
    context_.pool.run(ops.size(), [&](size_t i) {
      results[i] = stopped() ? Status(stopping()) : remove_file(ops[i]);
      ++context_.counters.applied;
    });
    for (size_t i = 0; i < ops.size(); ++i) TRY(removed(ops[i], *results[i]));
    return ok();
  }
  // One after the other, the index following: what is deeper must have left it first.
  Status remove_dirs(const std::vector<Op>& ops) {
    for (const Op& op : ops) {
      Status status = stopped() ? Status(stopping()) : remove_dir(op);
      TRY(removed(op, status));
      context_.dirs.forget(op.fid);
    }
    return ok();
  }
  Status removed(const Op& op, const Status& status) {
    // Something new came into a directory on its way out: the park is looked at again anyway.
    if (op.from.parent == kParkFid && status.is(Code::exists)) return ok();
    if (status.is(Code::cancelled)) {
      again(op.from);
      return ok();
    }
    if (!status && !status.is(Code::not_found)) {
      trouble(Index::retry_key(op.from), op.from, "cannot be removed", status.error());
      return ok();
    }
    TRY(index_.remove_link(op.fid, op.from));
    ++context_.counters.removed;
    done(Done::Kind::remove, op.type, op.from);
    return ok();
  }
  Status remove_file(const Op& op) {
    TRY_ASSIGN(TargetDirPtr dir, context_.dirs.open(op.from.parent));
    return context_.target.unlink(dir, op.from.name);
  }
  Status remove_dir(const Op& op) {
    TRY_ASSIGN(bool in_use, index_.has_entries(op.fid));
    if (in_use) return Error(Code::exists, "something in it could not be moved or removed");
    TRY_ASSIGN(TargetDirPtr dir, context_.dirs.open(op.from.parent));
    Status status = context_.target.remove_dir(dir, op.from.name);
    if (!status.is(Code::exists)) return status;
    return remove_tree(context_.target, dir, op.from.name);  // what is left in it is not ours
  }

  Status make_dir(const Op& op) {
    TRY_ASSIGN(std::optional<Entry> occupant, index_.entry(op.to));
    Result<Attributes> made =
        occupant ? Result<Attributes>(Error(Code::exists, "the place is still taken")) : make_dir_at(op.to);
    if (!made) {
      // Its parent failed before it: that one's trouble stands for all below.
      TRY_ASSIGN(std::optional<Object> parent, index_.object(op.to.parent));
      if (parent) trouble(Index::retry_key(op.to), op.to, "directory cannot be made", made.error());
      return ok();
    }
    Object object;
    object.fid = op.fid;
    object.type = FileType::directory;
    object.home = op.to;
    object.target = made->instance();
    TRY(index_.put(object));
    ++context_.counters.created;
    done(Done::Kind::create, op.type, op.to);
    return ok();
  }
  Result<Attributes> make_dir_at(const EntryKey& to) {
    TRY_ASSIGN(TargetDirPtr dir, context_.dirs.open(to.parent));
    Result<Attributes> made = context_.target.make_dir(dir, to.name);
    if (!made.is(Code::exists)) return made;
    TRY(remove_tree(context_.target, dir, to.name));  // the index has nothing here: not ours
    return context_.target.make_dir(dir, to.name);
  }

  // Where the directory changes, and the end: a file system makes files of one directory one after
  // the other, so two threads should not be in the same.
  static std::vector<size_t> runs_of_one_directory(const std::vector<Op>& ops) {
    std::vector<size_t> begins;
    for (size_t i = 0; i < ops.size(); ++i)
      if (i == 0 || ops[i].to.parent != ops[i - 1].to.parent || i - begins.back() >= kRunMax) begins.push_back(i);
    begins.push_back(ops.size());
    return begins;
  }
  Outcome create_one(const Op& op) {
    Outcome outcome;
    Result<std::optional<Entry>> occupant = std::optional<Entry>();
    if (!op.vacant) occupant = index_.entry(op.to);
    if (stopped())
      outcome.status = stopping();
    else if (!occupant)
      outcome.status = std::move(occupant).error();
    else if (*occupant)
      outcome.status = Error(Code::exists, "the place is still taken");
    else
      outcome = create_object(op, context_);
    ++context_.counters.applied;
    return outcome;
  }
  Status create(const std::vector<Op>& ops) {
    std::vector<Outcome> outcomes(ops.size());
    std::vector<size_t> runs = runs_of_one_directory(ops);
    context_.pool.run(runs.size() - 1, [&](size_t run) {
      for (size_t i = runs[run]; i < runs[run + 1]; ++i) outcomes[i] = create_one(ops[i]);
    });
    for (size_t i = 0; i < ops.size(); ++i) {
      Outcome& outcome = outcomes[i];
      layout_lost(ops[i].to, outcome);
      if (outcome.changed) {
        TRY(index_.put(outcome.object));
        ++context_.counters.created;
        done(Done::Kind::create, ops[i].type, ops[i].to);
        if (outcome.status.is(Code::cancelled))
          result_.again.push_back(Index::retry_key(ops[i].fid));
        else if (!outcome.status)
          trouble(Index::retry_key(ops[i].fid), ops[i].to, "not complete", outcome.status.error());
        else if (outcome.again && !context_.records_follow)
          result_.again.push_back(Index::retry_key(ops[i].fid));
      } else if (outcome.status.is(Code::cancelled)) {
        again(ops[i].to);
      } else if (!outcome.status) {
        TRY_ASSIGN(std::optional<Object> parent, index_.object(ops[i].to.parent));
        if (parent) trouble(Index::retry_key(ops[i].to), ops[i].to, "cannot be created", outcome.status.error());
      }
    }
    return ok();
  }

  Status link(const Op& op) {
    TRY_ASSIGN(std::optional<Object> object, index_.object(op.fid));
    TRY_ASSIGN(std::optional<Entry> occupant, index_.entry(op.to));
    TRY_ASSIGN(std::optional<Object> parent, index_.object(op.to.parent));
    if (!parent) return ok();
    if (!object || occupant) {
      again(op.to);
      return ok();
    }
    Status status = link_at(*object, op.to);
    if (!status) {
      TRY_ASSIGN(bool is_lost, lost(op.fid, object->home));
      if (is_lost)
        again(op.to);
      else
        trouble(Index::retry_key(op.to), op.to, "hard link cannot be made", status.error());
      return ok();
    }
    TRY(index_.add_link(*object, op.to));
    ++context_.counters.links;
    done(Done::Kind::link, op.type, op.to, object->home);
    return ok();
  }
  Status link_at(const Object& object, const EntryKey& to) {
    TRY_ASSIGN(TargetDirPtr from_dir, context_.dirs.open(object.home.parent));
    TRY_ASSIGN(TargetDirPtr to_dir, context_.dirs.open(to.parent));
    Status status = context_.target.link(from_dir, object.home.name, to_dir, to.name);
    if (!status.is(Code::exists)) return status;
    TRY(remove_tree(context_.target, to_dir, to.name));  // the index has nothing here: not ours
    return context_.target.link(from_dir, object.home.name, to_dir, to.name);
  }

  Status sync(const std::vector<Op>& ops, Outcome (*one)(const Op&, ApplyContext&)) {
    std::vector<Outcome> outcomes(ops.size());
    context_.pool.run(ops.size(), [&](size_t i) {
      if (stopped())
        outcomes[i].status = stopping();
      else
        outcomes[i] = one(ops[i], context_);
      ++context_.counters.applied;
    });
    for (size_t i = 0; i < ops.size(); ++i) {
      Outcome& outcome = outcomes[i];
      layout_lost(outcome.object.home, outcome);
      if (!outcome.status && !outcome.object.fid.is_zero()) {
        // Whatever looks at it next must not take what was not done for done.
        outcome.object.ctime = outcome.object.data_ctime = Time{};
        TRY(index_.put(outcome.object));
      }
      if (outcome.changed) {
        TRY(index_.put(outcome.object));
        if (!outcome.unseen)
          done(outcome.contents ? Done::Kind::contents : Done::Kind::attributes, ops[i].type, outcome.object.home);
      }
      if (outcome.lost) {
        TRY_ASSIGN(bool is_lost, lost(ops[i].fid, outcome.object.home));
        if (!is_lost) TRY(replaced(outcome.object));
      }
      if (outcome.status.is(Code::cancelled))
        result_.again.push_back(Index::retry_key(ops[i].fid));
      else if (!outcome.status)
        trouble(Index::retry_key(ops[i].fid), outcome.object.home, "not up to date", outcome.status.error());
      else if (outcome.again && !context_.records_follow)
        result_.again.push_back(Index::retry_key(ops[i].fid));
    }
    return ok();
  }

  // Something else stands where this object was: it goes, the object is made anew.
  Status replaced(const Object& object) {
    TRY_ASSIGN(TargetDirPtr dir, context_.dirs.open(object.home.parent));
    TRY(remove_tree(context_.target, dir, object.home.name));
    TRY(index_.remove_link(object.fid, object.home));
    again(object.home);
    return ok();
  }

  const Plan& plan_;
  ApplyContext& context_;
  Index& index_;
  std::vector<Op> places_;
  ApplyResult result_;
};

}  // namespace

Status forget_subtree(Index& index, const Fid& dir) {
  std::vector<Fid> dirs{dir};
  while (!dirs.empty()) {
    Fid at = dirs.back();
    dirs.pop_back();
    std::vector<std::pair<std::string, Entry>> entries;
    TRY(index.list(at, "", [&](const std::string& name, const Entry& entry, const Object*) {
      entries.emplace_back(name, entry);
      return true;
    }));
    for (const auto& [name, entry] : entries) {
      if (entry.type == FileType::directory) dirs.push_back(entry.fid);
      TRY(index.remove_link(entry.fid, {at, name}));
    }
    if (!entries.empty()) index.remove_scan(at);
  }
  return ok();
}

Result<ApplyResult> apply(const Plan& plan, ApplyContext& context) {
  return Applier(plan, context).run();
}

}  // namespace reel::mirror

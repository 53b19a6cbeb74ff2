// SPDX-License-Identifier: Apache-2.0
#include "mirror/apply/apply_object.h"

#include <algorithm>

namespace reel::mirror {
namespace {

// A failed call on the source: gone, or an error worth telling.
void source_failed(Outcome& outcome, Error error) {
  if (error.code() == Code::not_found)
    outcome.vanished = true;
  else
    outcome.status = std::move(error).with("source");
}
void target_failed(Outcome& outcome, Error error) {
  outcome.status = std::move(error).with("target");
}

// Fills what the index keeps of an object whose attributes were read as `attributes`.
void stamp_object(Object& object, const Attributes& attributes, bool data_too) {
  object.ctime = attributes.ctime;
  if (data_too) object.data_ctime = attributes.ctime;
  object.size = attributes.size;
  object.mtime = attributes.mtime;
}

// Copies contents and sets attributes; `file` is open on the target. When the source changed
// meanwhile the stamps stay unknown, so that nothing takes the copy for equal.
void fill_file(const Fid& fid, File& from, File& file, bool fresh, ApplyContext& context, Outcome& outcome) {
  Result<bool> written = context.source.being_written(from);
  if (!written) return source_failed(outcome, std::move(written).error());
  // The earlier they were read the better: whatever changed since then shows in the comparison below.
  Result<Attributes> before = from.as_opened ? *from.as_opened : context.source.stat(from);
  if (!before) return source_failed(outcome, std::move(before).error());
  Result<std::optional<uint64_t>> version_before = context.source.data_version(from);
  if (!version_before) return source_failed(outcome, std::move(version_before).error());
  Result<CopyResult> copied = context.target.copy(context.source, from, file, before->size, fresh);
  if (!copied) {
    outcome.status = std::move(copied).error();
    return;
  }
  Result<std::optional<uint64_t>> version_after = context.source.data_version(from);
  if (!version_after) return source_failed(outcome, std::move(version_after).error());
  context.counters.bytes_copied += copied->bytes;
  context.counters.bytes_cloned += copied->bytes_cloned;
  outcome.contents = fresh || copied->bytes + copied->bytes_cloned > 0;
  if (outcome.contents)
    ++context.counters.files_copied;
  else
    ++context.counters.files_compared;
  Result<std::vector<Xattr>> xattrs = context.source.xattrs(fid, &from);
  if (!xattrs) return source_failed(outcome, std::move(xattrs).error());
  Result<Attributes> after = context.source.stat(from);
  if (!after) return source_failed(outcome, std::move(after).error());
  Status set = context.target.set_attributes(&file, nullptr, "", {*after, *std::move(xattrs)});
  if (!set) return target_failed(outcome, std::move(set).error());
  stamp_object(outcome.object, *after, true);
  outcome.changed = true;
  // The records of what goes on will come; but a scan must not take this copy for equal by its ctime.
  if (*written) outcome.object.data_ctime = Time{};
  if (before->ctime != after->ctime || *version_before != *version_after) {
    outcome.object.ctime = outcome.object.data_ctime = Time{};
    outcome.again = true;
  }
}

// Symlinks and nodes: made, then given their attributes.
void create_other(const Op& op, const TargetDirPtr& dir, ApplyContext& context, Outcome& outcome) {
  const std::string& name = op.to.name;
  Result<Attributes> before = context.source.stat(op.fid);
  if (!before) return source_failed(outcome, std::move(before).error());
  Result<Attributes> made = Attributes{};
  if (op.type == FileType::symlink) {
    Result<std::string> text = context.source.read_link(op.fid);
    if (!text) return source_failed(outcome, std::move(text).error());
    made = context.target.make_symlink(dir, name, *text);
  } else {
    made = context.target.make_node(dir, name, op.type, before->rdev);
  }
  if (!made) return target_failed(outcome, std::move(made).error());
  outcome.object.target = made->instance();
  outcome.changed = true;
  Result<std::vector<Xattr>> xattrs = context.source.xattrs(op.fid, nullptr);
  if (!xattrs) return source_failed(outcome, std::move(xattrs).error());
  Status set = context.target.set_attributes(nullptr, dir, name, {*before, *std::move(xattrs)});
  if (!set) return target_failed(outcome, std::move(set).error());
  stamp_object(outcome.object, *before, true);
}

void create_file(const Op& op, const TargetDirPtr& dir, ApplyContext& context, Outcome& outcome) {
  Result<std::unique_ptr<File>> from = context.source.open(op.fid);
  if (!from) return source_failed(outcome, std::move(from).error());
  Result<std::string> layout = std::string();
  if (context.target.keeps_layouts()) layout = context.source.layout(op.fid, from->get());
  Result<std::unique_ptr<File>> file = context.target.create(dir, op.to.name, 0600, layout ? *layout : "");
  if (!file) return target_failed(outcome, std::move(file).error());
  if (!layout)
    outcome.layout_lost = std::move(layout).error();
  else
    outcome.layout_lost = std::move((*file)->layout_refused);
  outcome.changed = true;  // it is there now, whatever fails from here on
  Result<Attributes> made = context.target.stat(**file);
  if (!made) return target_failed(outcome, std::move(made).error());
  outcome.object.target = made->instance();
  fill_file(op.fid, **from, **file, true, context, outcome);
}

}  // namespace

Status remove_tree(TargetTree& target, const TargetDirPtr& dir, const std::string& name) {
  // Depth first without recursion: the way down is kept open, one handle a level.
  struct Level {
    TargetDirPtr dir;
    std::string name;  // of this directory in the level above
  };
  Status unlinked = target.unlink(dir, name);
  if (unlinked || unlinked.is(Code::not_found)) return ok();
  std::vector<Level> levels;
  TRY_ASSIGN(TargetDirPtr top, target.open_dir(dir, name));
  levels.push_back({top, name});
  while (!levels.empty()) {
    std::vector<std::string> names;
    std::string deeper;
    TRY(target.list(levels.back().dir, [&](const TargetEntry& entry) -> Status {
      if (entry.attributes.type == FileType::directory)
        deeper = entry.name;
      else
        names.emplace_back(entry.name);
      return ok();
    }));
    for (const std::string& each : names) TRY(target.unlink(levels.back().dir, each));
    if (!deeper.empty()) {
      TRY_ASSIGN(TargetDirPtr down, target.open_dir(levels.back().dir, deeper));
      levels.push_back({down, deeper});
      continue;
    }
    std::string done = levels.back().name;
    levels.pop_back();
    TRY(target.remove_dir(levels.empty() ? dir : levels.back().dir, done));
  }
  return ok();
}

Outcome create_object(const Op& op, ApplyContext& context) {
  Outcome outcome;
  outcome.object.fid = op.fid;
  outcome.object.type = op.type;
  outcome.object.home = op.to;
  Result<TargetDirPtr> dir = context.dirs.open(op.to.parent);
  if (!dir) {
    target_failed(outcome, std::move(dir).error());
    return outcome;
  }
  auto create = [&] {
    if (op.type == FileType::regular)
      create_file(op, *dir, context, outcome);
    else
      create_other(op, *dir, context, outcome);
  };
  create();
  if (!outcome.changed && outcome.status.is(Code::exists)) {
    // The index has nothing here, so it is not of our making.
    outcome.status = remove_tree(context.target, *dir, op.to.name);
    if (outcome.status) create();
  }
  return outcome;
}

Outcome sync_object(const Op& op, ApplyContext& context) {
  Outcome outcome;
  Result<std::optional<Object>> object = context.index.object(op.fid);
  if (!object) {
    outcome.status = std::move(object).error();
    return outcome;
  }
  if (!*object) return outcome;
  outcome.object = **object;
  Object& known = outcome.object;
  Result<Attributes> now = context.source.stat(op.fid);
  if (!now) {
    source_failed(outcome, std::move(now).error());
    return outcome;
  }
  bool attributes_differ = known.ctime != now->ctime;
  bool data_differs = false;
  if (known.type == FileType::regular) {
    // A record of a write counts even when ctime has not moved: the kernel moves it when the write
    // begins, and tells of the write when it ends.
    bool stamped = known.data_ctime == now->ctime && known.data_ctime != Time{};
    bool suspected =
        (op.bits & kDirtyDoubt) || known.data_ctime == Time{} || known.size != now->size || known.mtime != now->mtime;
    data_differs = (op.bits & kDirtyData) || (suspected && !stamped);
  }
  if (!attributes_differ && !data_differs) return outcome;

  Result<TargetDirPtr> dir = context.dirs.open(known.home.parent);
  if (!dir) {
    target_failed(outcome, std::move(dir).error());
    return outcome;
  }
  Result<std::unique_ptr<File>> from = std::unique_ptr<File>();
  if (data_differs) from = context.source.open(op.fid);
  // Contents that went into an archive are those that were copied, as far as size and mtime tell.
  bool as_copied = known.data_ctime != Time{} && known.size == now->size && known.mtime == now->mtime;
  if (data_differs && !(from.is(Code::unsupported) && as_copied)) {
    if (!from) {
      source_failed(outcome, std::move(from).error());
      return outcome;
    }
    Result<std::unique_ptr<File>> file = context.target.open(*dir, known.home.name);
    Result<Attributes> there = file ? context.target.stat(**file) : Result<Attributes>(file.error().clone());
    if (there && known.target == Instance{})
      known.target = there->instance();  // created, and then it could not be asked
    outcome.lost = there.is(Code::not_found) || (there && there->instance() != known.target);
    if (outcome.lost) return outcome;
    if (!there)
      target_failed(outcome, std::move(there).error());
    else
      fill_file(op.fid, **from, **file, false, context, outcome);
    outcome.contents |= there && there->size != known.size;
    return outcome;
  }
  Result<std::vector<Xattr>> xattrs = context.source.xattrs(op.fid, nullptr);
  if (!xattrs) {
    source_failed(outcome, std::move(xattrs).error());
    return outcome;
  }
  Status set = context.target.set_attributes(nullptr, *dir, known.home.name, {*now, *std::move(xattrs)});
  outcome.lost = set.is(Code::not_found);
  if (outcome.lost) return outcome;
  if (!set) {
    target_failed(outcome, std::move(set).error());
    return outcome;
  }
  // Size and mtime stay as they were copied: contents that changed meanwhile must still look different.
  known.ctime = now->ctime;
  outcome.changed = true;
  ++context.counters.attributes;
  return outcome;
}

bool is_copy_intact(const Object& object, SourceTree& source, TargetTree& target, TargetDirs& dirs) {
  Result<std::unique_ptr<File>> from = source.open(object.fid);
  if (!from || !(*from)->as_opened || (*from)->as_opened->ctime != object.ctime) return false;
  // Where contents have a version, only a copy between two looks at it is believed.
  Result<std::optional<uint64_t>> version = source.data_version(**from);
  if (!version || *version) return false;
  Result<TargetDirPtr> dir = dirs.open(object.home.parent);
  return dir && target.has_contents(source, **from, *dir, object.home.name, object.target);
}

Outcome sync_directory(const Op& op, ApplyContext& context) {
  Outcome outcome;
  Result<std::optional<Object>> object = context.index.object(op.fid);
  if (!object) {
    outcome.status = std::move(object).error();
    return outcome;
  }
  if (!*object) return outcome;
  outcome.object = **object;
  Result<Attributes> now = context.source.stat(op.fid);
  if (!now) {
    source_failed(outcome, std::move(now).error());
    return outcome;
  }
  Result<std::vector<Xattr>> xattrs = context.source.xattrs(op.fid, nullptr);
  if (!xattrs) {
    source_failed(outcome, std::move(xattrs).error());
    return outcome;
  }
  Result<TargetDirPtr> dir = context.dirs.open(op.fid);
  if (!dir) {
    outcome.lost = dir.error().code() == Code::not_found;
    if (!outcome.lost) target_failed(outcome, std::move(dir).error());
    return outcome;
  }
  Status set = context.target.set_attributes(nullptr, *dir, "", {*now, *std::move(xattrs)});
  if (!set) {
    target_failed(outcome, std::move(set).error());
    return outcome;
  }
  if (context.target.keeps_layouts()) {
    Result<std::string> layout = context.source.layout(op.fid, nullptr);
    Status laid_out = ok();
    if (!layout)
      laid_out = std::move(layout).error();
    else if (!layout->empty())  // else the target keeps what its admin may have given it
      laid_out = context.target.set_layout(*dir, *layout);
    if (!laid_out && !laid_out.is(Code::not_found)) outcome.layout_lost = std::move(laid_out).error();
  }
  outcome.unseen = outcome.object.ctime == now->ctime;
  stamp_object(outcome.object, *now, true);
  outcome.changed = true;
  return outcome;
}

}  // namespace reel::mirror

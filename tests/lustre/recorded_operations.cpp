// SPDX-License-Identifier: Apache-2.0
//
// From a recorded record to the operation that must have left it.
#include <algorithm>
#include <cerrno>

#include "lustre/recorded_replay.h"

namespace reel::model {
namespace {

constexpr uint16_t kCreated = 0x8, kCreat = 0x40, kExcl = 0x80, kTrunc = 0x200;
constexpr uint32_t kModeBits = 0x7;
constexpr uint16_t kWrite = 0x2;
constexpr uint16_t kWritten = 0x6;    // MTIME of a write
constexpr uint16_t kReleasing = 0xf;  // TRUNC of an HSM release
constexpr uint16_t kHsmReleased = 0x180, kHsmDirty = 0x680;

std::string by_fid(const Fid& fid) {
  return ".lustre/fid/" + to_string(fid);
}

uint16_t payload(const Record& record) {
  return record.flags & kFlagPayload;
}
std::string errno_text(int error) {
  return error == 0 ? "" : "errno " + std::to_string(error);
}
std::string text_of(std::string_view field) {
  return std::string(field.substr(0, field.find('\0')));
}

}  // namespace

void RecordedReplay::act_as(const Record& record) {
  fs_.who.server = !(record.flags & kFlagJobid);
  fs_.who.uid = record.uid;
  fs_.who.gid = record.gid;
  fs_.who.jobid = text_of(record.jobid_field);
}

std::string RecordedReplay::apply(size_t at) {
  const Recorded& r = records_[at];
  act_as(r.record);
  if (r.record.type == RecordType::migrt) return migrate(r);
  if (r.record.type > RecordType::renme) return apply_to_object(at);
  std::optional<std::string> where = path(r.record.parent, r.record.name);
  return where ? apply_to_names(at, *where) : "the parent is not known";
}

std::string RecordedReplay::apply_to_names(size_t at, const std::string& path) {
  const Recorded& r = records_[at];
  switch (r.record.type) {
    case RecordType::mkdir:
      return errno_text(fs_.mkdir(path, static_cast<int>(r.mdt), striped_.count(r.record.target) ? fs_.mdts() : 1));
    case RecordType::creat:
      return errno_text(create(at, path));
    case RecordType::mknod:
      return errno_text(fs_.mknod(path, false));
    case RecordType::slink:
      return errno_text(fs_.symlink(path));
    case RecordType::hlink:
      return errno_text(fs_.link(path_of_recorded(r.record.target), path));
    case RecordType::unlnk:
      open_before_it_goes(at, r.record.target);
      return errno_text(fs_.unlink(path));
    case RecordType::rmdir:
      return errno_text(fs_.rmdir(path));
    case RecordType::renme:
      open_before_it_goes(at, r.record.target);
      return errno_text(rename(r.record, path));
    default:
      return "no operation is known";
  }
}

// What is closed only after its last name has gone was opened before; with the default mask nothing has told of it.
void RecordedReplay::open_before_it_goes(size_t at, const Fid& going) {
  auto known = there_.find(going);
  if (opens_are_logged_ || known == there_.end() || !handles_[going].empty()) return;
  for (size_t i = at + 1; i < records_.size(); ++i) {
    const Record& record = records_[i].record;
    if (record.target != going || record.type != RecordType::close) continue;
    Handle handle;
    if (fs_.open(by_fid(known->second), payload(record) & ~(kTrunc | kExcl), handle) != 0) return;
    handle.flags = payload(record);
    handles_[going].push_back(handle);
  }
}

// By open, if what follows says so, else by mknod.
int RecordedReplay::create(size_t at, const std::string& path) {
  uint16_t flags = 0;
  const Record* next = next_of(at);
  if (opens_are_logged_) {
    if (next && next->type == RecordType::open && (payload(*next) & kCreated)) flags = payload(*next);
  } else {
    // Its own close is the first one; with a TRUNC before, one that truncates is of a later opening.
    bool truncated = false;
    for (size_t i = at + 1; i < records_.size() && flags == 0; ++i) {
      const Record& record = records_[i].record;
      if (records_[i].mdt != records_[at].mdt || record.target != records_[at].record.target) continue;
      truncated |= record.type == RecordType::trunc;
      if (record.type != RecordType::close) continue;
      if (!(payload(record) & kCreat) || (truncated && (payload(record) & kTrunc))) break;
      flags = payload(record);
    }
  }
  if (flags == 0) return fs_.mknod(path, true);
  Handle handle;
  int error = fs_.open(path, flags & ~kCreated, handle);
  if (error == 0) handles_[records_[at].record.target].push_back(handle);
  return error;
}

int RecordedReplay::rename(const Record& record, const std::string& to) {
  std::optional<std::string> from = path(record.source_parent, record.source_name);
  return from ? fs_.rename(*from, to) : ENOENT;
}

// The parents are the other way round. What a directory holds moves with it, and has its records later.
std::string RecordedReplay::migrate(const Recorded& r) {
  const Record& record = r.record;
  auto known = there_.find(record.source);
  std::optional<std::string> from = path(record.parent, record.source_name),
                             to = path(record.source_parent, record.name);
  if (known == there_.end() || !from || !to) return "an object or parent is not known";
  const Inode* inode = fs_.find(known->second);
  if (!inode || inode->links.empty()) return "the object is gone";
  if (inode->kind != Kind::dir) return errno_text(fs_.rename(*from, *to));
  int error = fs_.migrate(*from, r.mdt);
  half_migrated_ = error == ENOTEMPTY;
  return errno_text(error);
}

std::string RecordedReplay::apply_to_object(size_t at) {
  const Record& record = records_[at].record;
  // Also of one that has no name any more.
  if (record.type == RecordType::close) return errno_text(close(record));
  if (record.type == RecordType::open) {
    const Recorded* moved = migration_by(at);
    return moved ? migrate(*moved) : errno_text(open(at));
  }
  auto known = there_.find(record.target);
  if (known == there_.end()) return "the object is not known";
  std::string path = by_fid(known->second);
  switch (record.type) {
    case RecordType::nopen:
      return errno_text(fs_.open_denied(path, payload(record)));
    case RecordType::trunc:
      return errno_text(truncate(at, path));
    case RecordType::sattr:
      return errno_text(fs_.setattr(path, payload(record)));
    case RecordType::mtime:
    case RecordType::ctime:
    case RecordType::atime:
      return errno_text(set_time(at, path));
    case RecordType::xattr:
      return errno_text(fs_.setxattr(path, text_of(record.xattr_field)));
    case RecordType::gxatr:
      return errno_text(fs_.getxattr(path, text_of(record.xattr_field)));
    case RecordType::lyout:
      return errno_text(fs_.layout(path, path_of(known->second).ends_with("/dom")));  // as the tour calls it
    case RecordType::hsm:
      return errno_text(hsm(at, path));
    case RecordType::flrw:
    case RecordType::resync:
      return errno_text(fs_.flr(path, record.type));
    default:
      return "no operation is known";
  }
}

// The migration of an entry for which this directory is opened.
const Recorded* RecordedReplay::migration_by(size_t at) const {
  const Record& opened = records_[at].record;
  for (size_t i = at + 1; i < records_.size(); ++i) {
    const Record& record = records_[i].record;
    if (record.type == RecordType::close && record.target == opened.target) return nullptr;
    bool of_dir = record.type == RecordType::migrt && record.parent == opened.target && record.source != record.target;
    if (of_dir && record.jobid_field.substr(0, 4) == "lfs." && opened.jobid_field.substr(0, 4) == "lfs.")
      return &records_[i];
  }
  return nullptr;
}

int RecordedReplay::open(size_t at) {
  const Record& record = records_[at].record;
  Handle handle;
  auto known = there_.find(record.target);
  const Record* next = next_of(at);
  if (next && next->type == RecordType::gxatr)
    fs_.before_truncation = [&](const Fid& fid) { fs_.getxattr(by_fid(fid), text_of(next->xattr_field)); };
  int error = 0;
  if (known != there_.end())
    error = fs_.open(by_fid(known->second), payload(record) & ~kCreated, handle);
  else if (payload(record) & kCreated)
    fs_.open_volatile(records_[at].mdt, payload(record), handle);  // made, and by no CREAT
  else
    error = ENOENT;
  fs_.before_truncation = nullptr;
  if (error == 0) handles_[record.target].push_back(handle);
  return error;
}

// A file that is written in spite of its archived copy, one that comes back, or an event by itself.
int RecordedReplay::hsm(size_t at, const std::string& path) {
  const Record& record = records_[at].record;
  const Record* next = next_of(at);
  if (payload(record) == kHsmDirty && next && next->type == RecordType::close) return write_and_close(*next);
  bool comes_back = payload(record) == 0 && next && next->type == RecordType::hsm && payload(*next) == kHsmReleased;
  return comes_back ? fs_.restore(path) : fs_.hsm(path, payload(record));
}

int RecordedReplay::write_and_close(const Record& closed) {
  std::vector<Handle>& open = handles_[closed.target];
  auto same = std::find_if(open.begin(), open.end(), [&](const Handle& handle) {
    return (handle.flags & kFlagPayload & ~kCreated) == payload(closed);
  });
  if (same == open.end()) {  // its opening left no record
    Handle hidden;
    auto known = there_.find(closed.target);
    if (int error = fs_.open(by_fid(known->second), payload(closed) & ~(kTrunc | kExcl), hidden)) return error;
    hidden.flags = payload(closed);
    same = open.insert(open.end(), hidden);
  }
  fs_.write(*same);
  return close(closed);
}

int RecordedReplay::close(const Record& record) {
  std::vector<Handle>& open = handles_[record.target];
  for (auto handle = open.begin(); handle != open.end(); ++handle) {
    if ((handle->flags & kFlagPayload & ~kCreated) != payload(record) || handle->uid != record.uid) continue;
    Handle closing = *handle;
    open.erase(handle);
    fs_.close(closing);
    return 0;
  }
  return close_hidden(record, open);
}

// Its opening left no record: none does with the default mask; else one of the same user and mode was open already, and
// was closed in silence before.
int RecordedReplay::close_hidden(const Record& record, std::vector<Handle>& open) {
  Handle hidden;
  auto known = there_.find(record.target);
  if (known == there_.end()) return ESTALE;
  if (int error = fs_.open(by_fid(known->second), payload(record) & ~(kTrunc | kExcl), hidden)) return error;
  hidden.flags = payload(record);
  std::erase_if(open, [&](Handle& other) {
    bool same = opens_are_logged_ && other.uid == record.uid && (other.flags & kModeBits) == (hidden.flags & kModeBits);
    if (same) fs_.close(other);
    return same;
  });
  fs_.close(hidden);
  return 0;
}

// By an opening of which only the close has a record, by itself, or because the contents go to the archive.
int RecordedReplay::truncate(size_t at, const std::string& path) {
  const Record* next = next_of(at);
  if (next && next->type == RecordType::lyout && payload(records_[at].record) == kReleasing) return release(at, path);
  bool by_open = !opens_are_logged_ && next && next->type == RecordType::close && (payload(*next) & kTrunc);
  if (!by_open) return fs_.setattr(path, payload(records_[at].record));
  Handle handle;
  int error = fs_.open(path, payload(*next), handle);
  if (error == 0) handles_[next->target].push_back(handle);
  return error;
}

int RecordedReplay::release(size_t at, const std::string& path) {
  std::vector<Handle>& open = handles_[records_[at].record.target];
  Handle handle;
  for (auto each = open.begin(); each != open.end(); ++each) {
    if ((each->flags & kFlagPayload) != kWrite) continue;
    handle = *each;
    open.erase(each);
    return fs_.release(handle);
  }
  int error = fs_.open(path, kWrite, handle);
  return error ? error : fs_.release(handle);
}

// After a record of its own an object's times change in silence, unless its MDT has forgotten it meanwhile.
int RecordedReplay::set_time(size_t at, const std::string& path) {
  const Record& record = records_[at].record;
  fs_.forget_inodes(records_[at].mdt);
  const Record* next = next_of(at);
  bool by_close = record.type == RecordType::mtime && payload(record) == kWritten && next &&
                  next->type == RecordType::close && next->time - record.time < 10'000'000;
  return by_close ? write_and_close(*next) : fs_.setattr(path, payload(record));
}

}  // namespace reel::model

// SPDX-License-Identifier: Apache-2.0
#include "model_mdt/model_fs.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "log/text/lustre_wire.h"
#include "model_mdt/model_bits.h"

namespace reel::model {
namespace {

size_t name_hash(const std::string& name) {
  size_t hash = 0;
  for (unsigned char c : name) hash = hash * 31 + c;
  return hash;
}

}  // namespace

ModelFs::ModelFs(unsigned mdts, uint64_t seed) : next_oid_(mdts, 0), random_(seed) {
  for (unsigned i = 0; i < mdts; ++i) logs_.emplace_back("lustre-MDT000" + std::to_string(i), clock_);
  Inode& root_dir = inodes_[kRoot];
  root_dir.fid = kRoot;
  root_dir.kind = Kind::dir;
  nid_field_ = std::string(24, '\0');
  nid_field_[1] = 9;  // 0@lo
  committed_ = inodes_;
}

const Inode* ModelFs::find(const Fid& fid) const {
  auto found = inodes_.find(fid);
  return found == inodes_.end() ? nullptr : &found->second;
}

int ModelFs::place(const std::string& path, Place& at) {
  if (path.starts_with(kByFid)) {
    at.name = path.substr(std::string(kByFid).size());
    std::optional<Fid> fid = parse_fid(at.name);
    auto found = fid ? inodes_.find(*fid) : inodes_.end();
    if (found == inodes_.end()) return ENOENT;
    at.parent = &inodes_[kRoot];
    at.inode = &found->second;
    return 0;
  }
  Inode* dir = &inodes_[kRoot];
  size_t begin = 0;
  for (size_t slash; (slash = path.find('/', begin)) != std::string::npos; begin = slash + 1) {
    auto child = dir->children.find(path.substr(begin, slash - begin));
    if (child == dir->children.end()) return ENOENT;
    dir = &inodes_[child->second];
    if (dir->kind != Kind::dir) return ENOTDIR;
  }
  at.parent = dir;
  at.name = path.substr(begin);
  auto child = dir->children.find(at.name);
  at.inode = child == dir->children.end() ? nullptr : &inodes_[child->second];
  return at.name.empty() ? EINVAL : 0;
}

Fid ModelFs::lookup(const std::string& path) const {
  const Inode* at = &inodes_.at(kRoot);
  for (size_t begin = 0; begin < path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    auto child = at->children.find(path.substr(begin, end - begin));
    if (child == at->children.end()) return {};
    at = &inodes_.at(child->second);
    begin = end + 1;
  }
  return at->fid;
}

Inode& ModelFs::make(Kind kind, unsigned mdt) {
  Fid fid = {0x200000402 + (uint64_t{mdt} << 30), ++next_oid_[mdt], 0};
  Inode& inode = inodes_[fid];
  inode.fid = fid;
  inode.kind = kind;
  inode.mdt = mdt;
  changed(inode, inode.times);
  inode.attrs = inode.ctime;
  if (kind == Kind::symlink) inode.data = inode.ctime;
  return inode;
}

// A version that nothing ever had, also before a crash undid it.
void ModelFs::changed(Inode& inode, uint64_t& version) {
  version = inode.ctime = ++version_;
  inode.changed_ns = clock_.ns;
}

unsigned ModelFs::stripe_of(const Inode& dir, const std::string& name) const {
  if (dir.stripes.empty()) return dir.mdt;
  std::optional<unsigned> chosen = stripe_policy ? stripe_policy(dir.fid, name) : std::nullopt;
  return chosen ? *chosen : dir.stripes[name_hash(name) % dir.stripes.size()];
}

void ModelFs::enter(Inode& parent, const std::string& name, Inode& inode) {
  parent.children[name] = inode.fid;
  inode.links.emplace(parent.fid, name);
  changed(parent, parent.times);
  inode.ctime = ++version_;
}
void ModelFs::leave(Inode& parent, const std::string& name, Inode& inode) {
  parent.children.erase(name);
  inode.links.erase({parent.fid, name});
  changed(parent, parent.times);
  inode.ctime = ++version_;
}

// Of UNLNK, RMDIR and RENME: is the last link gone, and an archived copy left behind?
uint16_t ModelFs::last_flags(const Inode& gone, bool open_counts) const {
  if (!gone.links.empty() || (open_counts && gone.open_handles > 0)) return 0;
  return static_cast<uint16_t>(0x1 | (gone.archived ? 0x2 : 0));
}

void ModelFs::drop_if_gone(Fid fid) {
  Inode& inode = inodes_[fid];
  if (!inode.links.empty()) return;
  if (inode.open_handles > 0)
    inode.silly = true;
  else
    inodes_.erase(fid);
}

// --- records ---

Record ModelFs::base(RecordType type, uint16_t flags, const Who& by) {
  Record record;
  record.type = type;
  record.flags = static_cast<uint16_t>(kFlagVersion | kFlagExtra | flags);
  record.extra_flags = kExtraUidGid | kExtraNid | kExtraNidBe;
  static const std::string kNobody(24, '\0');
  record.nid_field = by.server ? kNobody : nid_field_;
  if (by.server) return record;
  record.flags |= kFlagJobid;
  record.uid = by.uid;
  record.gid = by.gid;
  // What comes after the text's NUL is whatever was there before.
  jobid_field_.resize(32, 'g');
  std::copy_n((by.jobid + '\0').begin(), std::min<size_t>(by.jobid.size() + 1, 32), jobid_field_.begin());
  record.jobid_field = jobid_field_;
  return record;
}

void ModelFs::emit(unsigned mdt, Record record, const Who& by) {
  ModelLog& log = logs_[mdt];
  if (!log.logs(record.type)) return;
  (void)by;
  log.append(record);
  // Remembered in the memory of the MDT that wrote the record: no other knows.
  auto target = inodes_.find(record.target);
  if (target != inodes_.end() && target->second.mdt == mdt) target->second.recorded_ns = clock_.tick();
  if (!record.parent.is_zero()) stale_parent_ = record.parent;
}

void ModelFs::names(unsigned mdt, RecordType type, uint16_t flags, const Fid& target, const Fid& parent,
                    const std::string& name) {
  Record record = base(type, flags, who);
  record.target = target;
  record.parent = parent;
  record.name = name;
  emit(mdt, record, who);
}

void ModelFs::moved(unsigned mdt, RecordType type, uint16_t flags, const Fid& target, const Fid& parent,
                    const std::string& name, const Fid& source, const Fid& source_parent,
                    const std::string& source_name) {
  Record record = base(type, static_cast<uint16_t>(flags | kFlagRename), who);
  record.flags = static_cast<uint16_t>(record.flags & ~kFlagVersion);
  record.target = target;
  record.parent = parent;
  record.name = name;
  record.source = source;
  record.source_parent = source_parent;
  record.source_name = source_name;
  emit(mdt, record, who);
}

// A record about an object, not a name.
void ModelFs::data(Inode& inode, RecordType type, uint16_t flags, const Who& by, const std::string& xattr) {
  // Of a temporary only what reads it is told.
  if (inode.is_volatile && type != RecordType::open && type != RecordType::gxatr) return;
  ModelLog& log = logs_[inode.mdt];
  bool time = type >= RecordType::mtime && type <= RecordType::atime;
  if (time && log.epoch() < inode.recorded_ns) return;
  Record record = base(type, flags, by);
  record.target = inode.fid;
  bool knows_parent =
      (type == RecordType::trunc || type == RecordType::mtime) && inode.kind == Kind::file && !inode.links.empty();
  if (knows_parent)
    record.parent = inode.links.begin()->first;
  else if (type != RecordType::sattr && ++random_ % 3 == 0)
    record.parent = stale_parent_;
  if (!xattr.empty()) {
    record.extra_flags |= kExtraXattr;
    xattr_field_.resize(256, 'x');
    std::copy_n((xattr + '\0').begin(), std::min<size_t>(xattr.size() + 1, 256), xattr_field_.begin());
    record.xattr_field = xattr_field_;
  }
  if (type == RecordType::open || type == RecordType::nopen) {
    record.extra_flags |= kExtraOpen;
    record.open_mode = record.flags;  // with the bits that say which extensions there are
  }
  emit(inode.mdt, record, by);
}

// The lowest type that is logged of those that fit (mdd_attr_set_changelog).
void ModelFs::attr_record(Inode& inode, uint16_t valid, const Who& by) {
  if (inode.on_mdt) valid &= static_cast<uint16_t>(~kSize);
  std::vector<RecordType> types;
  if (valid & kSize) types.push_back(RecordType::trunc);
  if (valid & ~kTimes) types.push_back(RecordType::sattr);
  if (valid & kMtime) types.push_back(RecordType::mtime);
  if (valid & kCtime) types.push_back(RecordType::ctime);
  if (valid & kAtime) types.push_back(RecordType::atime);
  for (RecordType type : types)
    if (logs_[inode.mdt].logs(type)) return data(inode, type, valid & kFlagPayload, by);
}

// --- names ---

int ModelFs::mkdir(const std::string& path, int on_mdt, unsigned stripes) {
  Place at;
  if (int error = place(path, at)) return error;
  if (at.inode) return EEXIST;
  unsigned mdt = on_mdt < 0 ? stripe_of(*at.parent, at.name) : static_cast<unsigned>(on_mdt);
  Inode& dir = make(Kind::dir, mdt);
  if (stripes > 1)
    for (unsigned i = 0; i < std::min(stripes, mdts()); ++i) dir.stripes.push_back((mdt + i) % mdts());
  enter(*at.parent, at.name, dir);
  names(mdt, RecordType::mkdir, 0, dir.fid, at.parent->fid, at.name);
  return 0;
}

int ModelFs::symlink(const std::string& path) {
  Place at;
  if (int error = place(path, at)) return error;
  if (at.inode) return EEXIST;
  Inode& made = make(Kind::symlink, stripe_of(*at.parent, at.name));
  enter(*at.parent, at.name, made);
  names(made.mdt, RecordType::slink, 0, made.fid, at.parent->fid, at.name);
  return 0;
}

int ModelFs::mknod(const std::string& path, bool regular) {
  Place at;
  if (int error = place(path, at)) return error;
  if (at.inode) return EEXIST;
  Inode& made = make(regular ? Kind::file : Kind::node, stripe_of(*at.parent, at.name));
  enter(*at.parent, at.name, made);
  names(made.mdt, regular ? RecordType::creat : RecordType::mknod, 0, made.fid, at.parent->fid, at.name);
  return 0;
}

int ModelFs::link(const std::string& from, const std::string& to) {
  Place source, at;
  if (int error = place(from, source)) return error;
  if (int error = place(to, at)) return error;
  if (!source.inode) return ENOENT;
  if (at.inode) return EEXIST;
  if (source.inode->kind == Kind::dir) return EPERM;
  enter(*at.parent, at.name, *source.inode);
  names(stripe_of(*at.parent, at.name), RecordType::hlink, 0, source.inode->fid, at.parent->fid, at.name);
  return 0;
}

int ModelFs::unlink(const std::string& path) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  if (at.inode->kind == Kind::dir) return EISDIR;
  leave(*at.parent, at.name, *at.inode);
  names(at.inode->mdt, RecordType::unlnk, last_flags(*at.inode, false), at.inode->fid, at.parent->fid, at.name);
  drop_if_gone(at.inode->fid);
  return 0;
}

int ModelFs::rmdir(const std::string& path) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  if (at.inode->kind != Kind::dir) return ENOTDIR;
  if (!at.inode->children.empty()) return ENOTEMPTY;
  leave(*at.parent, at.name, *at.inode);
  names(at.inode->mdt, RecordType::rmdir, 1, at.inode->fid, at.parent->fid, at.name);
  drop_if_gone(at.inode->fid);
  return 0;
}

int ModelFs::rename(const std::string& from, const std::string& to) {
  Place source, at;
  if (int error = place(from, source)) return error;
  if (int error = place(to, at)) return error;
  if (!source.inode) return ENOENT;
  if (source.inode == at.inode) return 0;
  bool dir = source.inode->kind == Kind::dir;
  for (const Inode* up = at.parent; dir; up = &inodes_[up->links.begin()->first]) {
    if (up == source.inode) return EINVAL;
    if (up->links.empty()) break;
  }
  if (at.inode && dir && at.inode->kind != Kind::dir) return ENOTDIR;
  if (at.inode && !dir && at.inode->kind == Kind::dir) return EISDIR;
  if (at.inode && !at.inode->children.empty()) return ENOTEMPTY;
  unsigned to_mdt = stripe_of(*at.parent, at.name);
  bool migrates = source.inode->kind == Kind::symlink && source.inode->links.size() == 1 && !at.inode &&
                  to_mdt != source.inode->mdt;
  if (migrates) return rename_across(source, at);
  Fid over;
  uint16_t flags = 0;
  if (at.inode) {
    over = at.inode->fid;
    to_mdt = at.inode->mdt;
    leave(*at.parent, at.name, *at.inode);
    flags = last_flags(*at.inode, true);
  }
  leave(*source.parent, source.name, *source.inode);
  enter(*at.parent, at.name, *source.inode);
  moved(to_mdt, RecordType::renme, flags, over, at.parent->fid, at.name, source.inode->fid, source.parent->fid,
        source.name);
  if (at.inode) drop_if_gone(over);
  return 0;
}

// A symlink gets a new FID on the MDT that it moves to. The record has the parents the other way round.
int ModelFs::rename_across(Place& from, Place& to) {
  unsigned mdt = from.inode->mdt;
  Inode& made = make(Kind::symlink, stripe_of(*to.parent, to.name));
  Inode& old = *from.inode;
  made.data = old.data, made.attrs = old.attrs, made.times = old.times, made.xattrs = old.xattrs;
  leave(*from.parent, from.name, old);
  enter(*to.parent, to.name, made);
  moved(mdt, RecordType::migrt, 0, made.fid, from.parent->fid, to.name, old.fid, to.parent->fid, from.name);
  drop_if_gone(old.fid);
  return 0;
}
// --- the MDSs ---

void ModelFs::forget_inodes(unsigned mdt) {
  for (auto& [fid, inode] : inodes_)
    if (inode.mdt == mdt) inode.recorded_ns = 0;
}

void ModelFs::commit() {
  committed_ = inodes_;
  for (ModelLog& log : logs_) log.commit();
}

void ModelFs::crash(bool undo) {
  std::vector<std::vector<EntryPtr>> gone;
  for (ModelLog& log : logs_) gone.push_back(log.crash(undo));
  if (undo) inodes_ = committed_;
  for (auto& [fid, inode] : inodes_) inode.recorded_ns = 0;
  if (undo) {
    for (auto& [fid, inode] : inodes_) inode.open_handles = 0, inode.opens.clear();
    std::erase_if(inodes_, [](const auto& entry) { return entry.second.links.empty() && entry.first != kRoot; });
    committed_ = inodes_;
    return;
  }
  for (unsigned mdt = 0; mdt < mdts(); ++mdt) {
    // Neighbours that have nothing to do with each other may come the other way round.
    std::vector<Record> again;
    for (const EntryPtr& entry : gone[mdt]) {
      Record record;
      if (!log::decode_lustre(entry->raw.data(), entry->raw.size(), record)) std::abort();
      again.push_back(record);
    }
    for (size_t i = 1; i < again.size(); ++i) {
      auto fids = [](const Record& r) { return std::set<Fid>{r.target, r.parent, r.source, r.source_parent}; };
      std::set<Fid> a = fids(again[i - 1]), both = fids(again[i]);
      bool apart = std::none_of(a.begin(), a.end(), [&](const Fid& f) { return !f.is_zero() && both.count(f) > 0; });
      if (apart && ++random_ % 2 == 0) std::swap(again[i - 1], again[i]);
    }
    for (const Record& record : again) logs_[mdt].append(record);
  }
}

}  // namespace reel::model

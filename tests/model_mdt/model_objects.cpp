// SPDX-License-Identifier: Apache-2.0
//
// What is done to objects: opening and closing, attributes, the HSM archive.
#include <algorithm>
#include <cerrno>

#include "model_mdt/model_bits.h"
#include "model_mdt/model_fs.h"

namespace reel::model {

int ModelFs::open(const std::string& path, uint32_t flags, Handle& handle) {
  Place at;
  if (int error = place(path, at)) return error;
  bool creates = !at.inode && (flags & kCreat);
  if (!at.inode && !creates) return ENOENT;
  if (at.inode && (flags & kExcl)) return EEXIST;
  if (at.inode && at.inode->kind != Kind::file && (flags & (kWrite | kTrunc | kAppend))) return EISDIR;
  Inode& inode = creates ? make(Kind::file, stripe_of(*at.parent, at.name)) : *at.inode;
  if (creates) {
    enter(*at.parent, at.name, inode);
    names(inode.mdt, RecordType::creat, 0, inode.fid, at.parent->fid, at.name);
  }
  handle = {inode.fid, flags, false, who.uid, who.gid};
  ++inode.open_handles;
  if (logs_[inode.mdt].logs(RecordType::open)) {
    int& known = inode.opens[{who.uid, flags & kModeBits}];
    if (known++ == 0)
      data(inode, RecordType::open, static_cast<uint16_t>((flags | (creates ? kCreated : 0)) & kFlagPayload), who);
  }
  if (!creates && (flags & kTrunc)) {
    if (before_truncation) before_truncation(inode.fid);
    restore(inode);
    changed(inode, inode.data), inode.times = inode.ctime;
    attr_record(inode, kMtime | kCtime | kSize, who);
  }
  return 0;
}

int ModelFs::open_denied(const std::string& path, uint32_t flags) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  data(*at.inode, RecordType::nopen, static_cast<uint16_t>(flags & kFlagPayload), who);
  return 0;
}

void ModelFs::open_volatile(unsigned mdt, uint32_t flags, Handle& handle) {
  Inode& inode = make(Kind::file, mdt);
  inode.is_volatile = true;
  inode.open_handles = 1;
  handle = {inode.fid, flags, false, who.uid, who.gid};
  if (logs_[mdt].logs(RecordType::open))
    data(inode, RecordType::open, static_cast<uint16_t>((flags | kCreated) & kFlagPayload), who);
}

void ModelFs::write(Handle& handle) {
  auto inode = inodes_.find(handle.fid);
  if (inode == inodes_.end()) return;
  restore(inode->second);
  changed(inode->second, inode->second.data), inode->second.times = inode->second.ctime;
  handle.written = true;
}

void ModelFs::close(Handle& handle, const Who& by) {
  auto found = inodes_.find(handle.fid);
  if (found == inodes_.end()) return;  // undone by a crash
  Inode& inode = found->second;
  if (handle.written) attr_record(inode, kMtime | kCtime, by);
  if (handle.written && inode.archived && !inode.dirty) {
    inode.dirty = true;
    data(inode, RecordType::hsm, kHsmDirty, by);
  }
  auto known = inode.opens.find({handle.uid, handle.flags & kModeBits});
  bool told = (handle.flags & (kWrite | kAppend | kTrunc)) != 0;
  // With OPEN logged: only the last close of those whose open is known.
  if (logs_[inode.mdt].logs(RecordType::open)) told = known != inode.opens.end() && known->second == 1;
  if (known != inode.opens.end() && --known->second == 0) inode.opens.erase(known);
  if (told) data(inode, RecordType::close, handle.flags & kFlagPayload, by);
  bool gone = inode.links.empty() && found->first != kRoot;
  if (inode.open_handles > 0 && --inode.open_handles == 0 && gone) inodes_.erase(found);
}

int ModelFs::setattr(const std::string& path, uint16_t valid) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  if ((valid & kSize) && at.inode->kind != Kind::file) return EINVAL;
  if (valid & ~(kTimes | kSize)) changed(*at.inode, at.inode->attrs);
  if (valid & kTimes) changed(*at.inode, at.inode->times);
  if (valid & kSize) changed(*at.inode, at.inode->data);
  attr_record(*at.inode, valid, who);
  return 0;
}

int ModelFs::setxattr(const std::string& path, const std::string& name) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  changed(*at.inode, at.inode->xattrs);
  data(*at.inode, RecordType::xattr, 0, who, name);
  data(*at.inode, RecordType::ctime, kCtime, who);
  return 0;
}

int ModelFs::getxattr(const std::string& path, const std::string& name) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  if (logs_[at.inode->mdt].logs(RecordType::gxatr)) data(*at.inode, RecordType::gxatr, 0, who, name);
  return 0;
}

int ModelFs::set_acl(const std::string& path) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  changed(*at.inode, at.inode->attrs);
  attr_record(*at.inode, kCtime, who);
  return 0;
}

int ModelFs::layout(const std::string& path, bool on_mdt) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  changed(*at.inode, at.inode->xattrs);
  at.inode->on_mdt = on_mdt;
  data(*at.inode, RecordType::lyout, 0, who);
  return 0;
}

int ModelFs::hsm(const std::string& path, uint16_t flags) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  if (at.inode->kind != Kind::file) return EINVAL;
  at.inode->archived = flags != kHsmRemove;
  if (flags == kHsmDirty) at.inode->dirty = true;
  if (flags == 0) at.inode->dirty = false;  // archived
  data(*at.inode, RecordType::hsm, flags, who);
  return 0;
}

// By a volatile file, which gets the objects; that one's opening is told, its end is not.
int ModelFs::release(Handle& handle) {
  auto found = inodes_.find(handle.fid);
  if (found == inodes_.end()) return ENOENT;
  Inode& inode = found->second;
  bool may = inode.archived && !inode.dirty && !inode.released && inode.open_handles == 1 && (handle.flags & kWrite);
  if (!may) {
    close(handle);
    return EBUSY;
  }
  if (logs_[inode.mdt].logs(RecordType::trunc)) {
    Record record = base(RecordType::trunc, kTimes | kSize, who);  // and no parent
    record.target = inode.fid;
    emit(inode.mdt, record, who);
  }
  Handle temporary;
  open_volatile(inode.mdt, 0, temporary);
  inode.released = true;
  data(inode, RecordType::lyout, 0, who);
  close(temporary);
  close(handle);
  return 0;
}

int ModelFs::restore(const std::string& path) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  if (!at.inode->released) return EINVAL;
  restore(*at.inode);
  return 0;
}

// By the tool that copies, which changes the two layouts: the state that is set anew, the layout that goes, the end.
void ModelFs::restore(Inode& inode) {
  if (!inode.released) return;
  inode.released = false;
  Who tool = who;
  tool.jobid = "lhsmtool_posix.0";
  tool.server = false;
  for (uint16_t flags : {uint16_t{0}, kHsmRelease, kHsmRestore}) data(inode, RecordType::hsm, flags, tool);
}

void ModelFs::restore_all() {
  for (auto& [fid, inode] : inodes_)
    if (inode.released) restore(inode);
}

int ModelFs::flr(const std::string& path, RecordType type) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  data(*at.inode, type, 0, who);
  return 0;
}

int ModelFs::access(const std::string& path) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  attr_record(*at.inode, kAtime, who);
  return 0;
}

}  // namespace reel::model

// SPDX-License-Identifier: Apache-2.0
//
// `lfs migrate -m`: a directory and what is in it move to another MDT, and get new FIDs there.
#include <algorithm>
#include <cerrno>

#include "model_mdt/model_bits.h"
#include "model_mdt/model_fs.h"

namespace reel::model {

void ModelFs::look_into(const Inode& inode, uint32_t flags) {
  Handle handle;
  if (open(kByFid + to_string(inode.fid), flags, handle) == 0) close(handle);
}

// One entry of a directory that moves from `from` to `to` (the same directory, on another MDT).
int ModelFs::migrate_entry(Inode& from, Inode& to, const std::string& name) {
  Inode& inode = inodes_[from.children[name]];
  bool more_links = std::any_of(inode.links.begin(), inode.links.end(),
                                [&](const auto& l) { return l.first == from.fid && l.second != name; });
  if (inode.kind == Kind::file) look_into(inode, kWrite);  // for a lease
  if (more_links || inode.mdt == to.mdt) {                 // only the name moves
    leave(from, name, inode);
    enter(to, name, inode);
    moved(inode.mdt, RecordType::migrt, 0, inode.fid, from.fid, name, inode.fid, to.fid, name);
    return 0;
  }
  Inode& made = make(inode.kind, to.mdt);
  made.data = inode.data, made.attrs = inode.attrs, made.times = inode.times, made.xattrs = inode.xattrs;
  made.archived = inode.archived, made.released = inode.released;
  auto links = inode.links;
  for (const auto& [parent, link] : links) {
    Inode& dir = inodes_[parent];
    uint64_t times = dir.times;
    leave(dir, link, inode);
    enter(parent == from.fid ? to : dir, link, made);
    dir.times = times;  // of another directory: its entry changes, its times do not
  }
  moved(inode.mdt, RecordType::migrt, 0, made.fid, from.fid, name, inode.fid, to.fid, name);
  drop_if_gone(inode.fid);
  return 0;
}

int ModelFs::migrate(const std::string& path, unsigned to_mdt) {
  Place at;
  if (int error = place(path, at)) return error;
  if (!at.inode) return ENOENT;
  if (at.inode->kind != Kind::dir) return ENOTDIR;
  if (at.inode->mdt == to_mdt) return 0;
  for (const auto& [name, fid] : at.inode->children) {
    if (inodes_[fid].open_handles > 0) return EBUSY;
    // A real one migrates the rest, and leaves the directory half done (full_2mdt/a_tour).
    if (inodes_[fid].kind == Kind::dir && inodes_[fid].mdt == to_mdt) return ENOTEMPTY;
  }
  Handle above, walked;  // the tool's
  (void)open(kByFid + to_string(at.parent->fid), kRead, above);
  Inode& from = *at.inode;
  Inode& to = make(Kind::dir, to_mdt);
  to.attrs = from.attrs, to.times = from.times, to.xattrs = from.xattrs, to.data = from.data;
  leave(*at.parent, at.name, from);
  enter(*at.parent, at.name, to);
  moved(to_mdt, RecordType::migrt, 0, to.fid, at.parent->fid, at.name, from.fid, at.parent->fid, at.name);
  (void)open(kByFid + to_string(to.fid), kRead, walked);
  close(above);
  std::vector<std::string> entries;
  for (const auto& [name, fid] : from.children) entries.push_back(name);
  if (readdir_order) readdir_order(from.fid, entries);
  for (const std::string& name : entries) {
    Inode& entry = inodes_[from.children[name]];
    if (entry.kind != Kind::dir) {
      migrate_entry(from, to, name);
      continue;
    }
    look_into(entry, kRead);
    leave(from, name, entry);
    enter(to, name, entry);
    if (migrate(path + "/" + name, to_mdt) != 0)
      moved(entry.mdt, RecordType::migrt, 0, entry.fid, from.fid, name, entry.fid, to.fid, name);
  }
  close(walked);
  data(to, RecordType::lyout, 0, who);
  drop_if_gone(from.fid);
  return 0;
}

}  // namespace reel::model

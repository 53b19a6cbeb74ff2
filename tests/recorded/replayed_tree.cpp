// SPDX-License-Identifier: Apache-2.0
#include "recorded/replayed_tree.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace reel::recorded {

using namespace reel::mirror;

namespace {

class ReplayedFile final : public PosixFile {
 public:
  ReplayedFile(Fd fd, const Fid& fid_, uint64_t size_) : PosixFile(std::move(fd)), fid(fid_), size(size_) {}
  const Fid fid;
  const uint64_t size;
};

// Which objects a record says something about; directories because of the names in them.
std::vector<Fid> touched_by(const Record& record) {
  // Opening and reading change nothing.
  for (RecordType type : {RecordType::open, RecordType::nopen, RecordType::gxatr, RecordType::atime})
    if (record.type == type) return {};
  bool names = record.type <= RecordType::renme || record.type == RecordType::migrt;
  if (!names) return {record.target};
  return {record.target, record.source, record.parent, record.source_parent};
}

FileType type_of(const Record& record) {
  if (record.type == RecordType::mkdir) return FileType::directory;
  if (record.type == RecordType::slink) return FileType::symlink;
  return record.type == RecordType::mknod ? FileType::fifo : FileType::regular;
}

}  // namespace

ReplayedTree::ReplayedTree(const Recording& recording, SourceTree& final_tree)
    : recording_(recording), final_(final_tree), root_(final_tree.root()), done_of_(recording.streams.size()) {
  for (size_t i = 0; i < recording.streams.size(); ++i)
    for (const Record& record : recording.streams[i].records) steps_.push_back({i, &record});
  // Within a stream the index decides: times go back now and then. Both MDTs had one clock.
  std::vector<size_t> next(recording.streams.size());
  for (Step& step : steps_) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < next.size(); ++i) {
      const auto& records = recording.streams[i].records;
      if (next[i] == records.size()) continue;
      if (best == SIZE_MAX || records[next[i]].time < recording.streams[best].records[next[best]].time) best = i;
    }
    step = {best, &recording.streams[best].records[next[best]++]};
  }
  for (size_t i = 0; i < steps_.size(); ++i)
    for (const Fid& fid : touched_by(*steps_[i].record)) last_touch_[fid] = i + 1;
  nodes_[root_].type = FileType::directory;
  nodes_[root_].names = 1;
}

bool ReplayedTree::advance() {
  if (done_ == steps_.size()) return false;
  const Step& step = steps_[done_++];
  ++done_of_[step.stream];
  carry_out(*step.record);
  for (const Fid& fid : touched_by(*step.record)) touch(fid);
  return true;
}

void ReplayedTree::carry_out(const Record& record) {
  switch (record.type) {
    case RecordType::creat:
    case RecordType::mkdir:
    case RecordType::slink:
    case RecordType::mknod:
      return put(record.parent, record.name, record.target, type_of(record));
    case RecordType::hlink:
      return put(record.parent, record.name, record.target, FileType::regular);
    case RecordType::unlnk:
    case RecordType::rmdir:
      return drop(record.parent, record.name);
    case RecordType::renme: {
      Node* moved = node(record.source);
      FileType type = moved ? moved->type : FileType::regular;
      if (moved) ++moved->names;  // it lives while it is on its way
      drop(record.source_parent, record.source_name);
      put(record.parent, record.name, record.source, type);
      if (moved) --moved->names;
      return;
    }
    case RecordType::migrt:
      return migrate(record);
    default:
      return;
  }
}

// The record's parent is the one that is left, and its source parent the new one.
void ReplayedTree::migrate(const Record& record) {
  Node* old = node(record.source);
  if (!old) return;
  Node moved = *old;
  if (record.target == record.source) ++old->names;
  drop(record.parent, record.source_name);
  if (record.target == record.source) --nodes_[record.source].names;
  put(record.source_parent, record.name, record.target, moved.type);
  if (record.target != record.source) nodes_[record.target].children = moved.children;
}

void ReplayedTree::put(const Fid& parent, std::string_view name, const Fid& fid, FileType type) {
  if (fid == root_) return;
  auto dir = nodes_.find(parent);
  if (dir == nodes_.end()) return;  // outside
  drop(parent, name);
  dir->second.children[std::string(name)] = fid;
  auto [at, fresh] = nodes_.try_emplace(fid);
  if (fresh) at->second.type = type;
  ++at->second.names;
}

void ReplayedTree::drop(const Fid& parent, std::string_view name) {
  auto dir = nodes_.find(parent);
  if (dir == nodes_.end()) return;
  auto child = dir->second.children.find(std::string(name));
  if (child == dir->second.children.end()) return;
  Fid fid = child->second;
  dir->second.children.erase(child);
  if (--nodes_[fid].names == 0) nodes_.erase(fid);
}

void ReplayedTree::touch(const Fid& fid) {
  if (Node* found = node(fid)) found->touched = done_;
}

ReplayedTree::Node* ReplayedTree::node(const Fid& fid) {
  auto at = nodes_.find(fid);
  return at == nodes_.end() ? nullptr : &at->second;
}

bool ReplayedTree::is_final(const Fid& fid) const {
  auto last = last_touch_.find(fid);
  if (last != last_touch_.end() && last->second > done_) return false;
  return final_.stat(fid).has_value();
}

std::string ReplayedTree::text_of(const Fid& fid) {
  return "contents of " + to_string(fid) + " as of " + std::to_string(node(fid)->touched);
}

std::string ReplayedTree::difference() const {
  size_t paths = 0;
  std::vector<std::pair<Fid, std::string>> todo{{root_, ""}};
  std::map<std::string, Fid> found{{"", root_}};
  while (!todo.empty()) {
    auto [dir, prefix] = todo.back();
    todo.pop_back();
    for (const auto& [name, fid] : nodes_.at(dir).children) {
      found[prefix + name] = fid;
      if (nodes_.at(fid).type == FileType::directory) todo.emplace_back(fid, prefix + name + "/");
    }
  }
  for (const ManifestEntry& entry : recording_.entries) {
    auto at = found.find(entry.path);
    if (at == found.end()) return printable(entry.path) + " is missing";
    if (at->second != entry.fid) return printable(entry.path) + " is " + to_string(at->second);
    ++paths;
  }
  return paths == found.size() ? "" : "there are paths that the manifest does not have";
}

Result<Attributes> ReplayedTree::stat(const Fid& fid) {
  Node* found = node(fid);
  if (!found) return Error(Code::not_found, to_string(fid));
  if (is_final(fid)) {
    TRY_ASSIGN(Attributes attributes, final_.stat(fid));
    attributes.nlink = found->names;
    return attributes;
  }
  Attributes attributes;
  attributes.type = found->type;
  Result<Attributes> at_the_end = final_.stat(fid);
  if (at_the_end) attributes.type = at_the_end->type;
  attributes.mode = 0600 | (found->touched & 7);
  attributes.uid = static_cast<uint32_t>(found->touched % 5);
  attributes.nlink = found->names;
  attributes.size = attributes.type == FileType::regular ? text_of(fid).size() : 1;
  attributes.mtime = attributes.ctime = {static_cast<int64_t>(found->touched), 1};
  return attributes;
}

Result<SourceEntry> ReplayedTree::lookup(const Fid& parent, const std::string& name) {
  Node* dir = node(parent);
  auto child = dir ? dir->children.find(name) : decltype(dir->children.end())();
  if (!dir || child == dir->children.end()) return Error(Code::not_found, printable(name));
  Fid fid = child->second;
  TRY_ASSIGN(Attributes now, stat(fid));
  return SourceEntry{name, fid, now};
}

Status ReplayedTree::list(const Fid& dir, const std::function<Status(const SourceEntry&)>& each, const FidHint&) {
  Node* found = node(dir);
  if (!found) return Error(Code::not_found, to_string(dir));
  for (const auto& [name, fid] : found->children) {
    TRY_ASSIGN(Attributes now, stat(fid));
    TRY(each({name, fid, now}));
  }
  return ok();
}

Result<std::string> ReplayedTree::read_link(const Fid& fid) {
  if (!node(fid)) return Error(Code::not_found, to_string(fid));
  Result<std::string> text = final_.read_link(fid);  // a link's text never changes
  return text ? std::move(text) : Result<std::string>("gone by the end");
}

Result<std::vector<Xattr>> ReplayedTree::xattrs(const Fid& fid, File*) {
  if (!node(fid)) return Error(Code::not_found, to_string(fid));
  if (is_final(fid)) return final_.xattrs(fid, nullptr);
  return std::vector<Xattr>();
}

Result<std::unique_ptr<File>> ReplayedTree::open(const Fid& fid) {
  if (!node(fid)) return Error(Code::not_found, to_string(fid));
  bool at_end = is_final(fid);
  Fd fd;
  std::string text = text_of(fid);
  uint64_t size = text.size();
  if (at_end) {
    TRY_ASSIGN(std::unique_ptr<File> file, final_.open(fid));
    TRY_ASSIGN(Attributes now, final_.stat(fid));
    fd = Fd(::dup(file->fd()));
    size = now.size;
  } else {
    fd = Fd(::memfd_create("replayed", MFD_CLOEXEC));
    if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      return Error(Code::io, "memfd");
  }
  return std::unique_ptr<File>(std::make_unique<ReplayedFile>(std::move(fd), fid, size));
}

Result<Attributes> ReplayedTree::stat(File& file) {
  return stat(static_cast<ReplayedFile&>(file).fid);
}

}  // namespace reel::recorded

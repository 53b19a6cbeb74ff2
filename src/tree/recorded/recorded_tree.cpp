// SPDX-License-Identifier: Apache-2.0
#include "tree/recorded/recorded_tree.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/env.h"

namespace reel::mirror {
namespace {

class RecordedFile final : public PosixFile {
 public:
  RecordedFile(Fd fd, const Fid& fid_) : PosixFile(std::move(fd)), fid(fid_) {}
  const Fid fid;
};

}  // namespace

Result<std::unique_ptr<RecordedTree>> RecordedTree::open(const std::string& manifest, const std::string& tree) {
  TRY_ASSIGN(std::string text, read_file(Env::posix(), manifest, std::numeric_limits<size_t>::max()));
  Result<std::vector<ManifestEntry>> entries = parse_manifest(text);
  if (!entries) return std::move(entries).error().with("manifest " + manifest);
  std::unique_ptr<RecordedTree> recorded(new RecordedTree());
  recorded->tree_path_ = tree;
  Status built = recorded->build(*std::move(entries));
  if (!built) return std::move(built).error().with("manifest " + manifest);
  TRY(recorded->find_top(tree));
  return recorded;
}

Status RecordedTree::build(std::vector<ManifestEntry> entries) {
  // A directory comes before what is in it.
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  if (entries.empty() || !entries.front().path.empty())
    return Error(Code::invalid, "there is no line with the path \".\"");
  root_ = entries.front().fid;
  for (ManifestEntry& entry : entries) {
    if (!paths_.emplace(entry.path, entry.fid).second)
      return Error(Code::invalid, "two lines with the path " + printable(entry.path));
    TRY(add_name(entry));
    Node& node = nodes_[entry.fid];
    if (node.names++ == 0) node.entry = std::move(entry);
    bool several = node.names > 1;
    if (several && node.entry.type == FileType::directory)
      return Error(Code::invalid, "directory " + to_string(node.entry.fid) + " has two paths");
  }
  paths_.clear();
  return ok();
}

Status RecordedTree::add_name(const ManifestEntry& entry) {
  if (entry.path.empty()) return ok();
  size_t slash = entry.path.rfind('/');
  std::string parent = slash == std::string::npos ? "" : entry.path.substr(0, slash);
  auto above = paths_.find(parent);
  if (above == paths_.end()) return Error(Code::invalid, printable(entry.path) + " is in a directory that has no line");
  nodes_[above->second].children[entry.path.substr(slash + 1)] = entry.fid;
  return ok();
}

bool RecordedTree::holds_top(int fd) const {
  const Node& top = nodes_.at(root_);
  return std::all_of(top.children.begin(), top.children.end(), [&](const auto& child) {
    return ::faccessat(fd, child.first.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  });
}

Status RecordedTree::find_top(const std::string& tree) {
  top_ = Fd(open_at(AT_FDCWD, tree.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top_) return Error::from_errno(errno, "the recorded tree " + printable(tree));
  if (holds_top(top_.get())) return ok();
  std::vector<std::string> names;
  TRY(each_name(top_.get(), [&](const char* name) {
    names.emplace_back(name);
    return ok();
  }));
  if (names.size() == 1) {
    Fd below(open_beneath(top_.get(), names[0].c_str(), O_RDONLY | O_DIRECTORY));
    if (below && holds_top(below.get())) {
      top_ = std::move(below);
      return ok();
    }
  }
  return Error(Code::io, "the recorded tree " + printable(tree) +
                             " does not hold what the manifest names at its top; unpack "
                             "the final tree there");
}

Result<const RecordedTree::Node*> RecordedTree::node(const Fid& fid) const {
  auto found = nodes_.find(fid);
  if (found == nodes_.end()) return Error(Code::not_found, to_string(fid));
  return &found->second;
}

Result<Fd> RecordedTree::open_in_tree(const Node& node, int flags) const {
  Fd fd = open_below(top_.get(), node.entry.path, flags);
  if (fd) return fd;
  Error error = Error::from_errno(errno, tree_path_ + ": " + printable(node.entry.path));
  return Error(Code::io, error.text(), error.sys_errno());
}

Result<Attributes> RecordedTree::attributes(const Node& node) const {
  const ManifestEntry& entry = node.entry;
  Attributes attributes;
  bool complete = entry.type && entry.mode && entry.uid && entry.gid && entry.mtime && entry.ctime &&
                  (entry.size || entry.type != FileType::regular) && (entry.rdev || entry.type < FileType::char_device);
  if (!complete) {
    TRY_ASSIGN(Fd fd, open_in_tree(node, O_PATH | O_NOFOLLOW));
    TRY_ASSIGN(Found found, find_at(fd.get(), ""));
    attributes = found.attributes;
  }
  attributes.type = entry.type.value_or(attributes.type);
  attributes.mode = entry.mode.value_or(attributes.mode);
  attributes.uid = entry.uid.value_or(attributes.uid);
  attributes.gid = entry.gid.value_or(attributes.gid);
  attributes.size = entry.size.value_or(entry.link_text ? entry.link_text->size() : attributes.size);
  attributes.rdev = entry.rdev.value_or(attributes.rdev);
  attributes.mtime = entry.mtime.value_or(attributes.mtime);
  attributes.ctime = entry.ctime.value_or(attributes.ctime);
  attributes.atime = entry.atime.value_or(attributes.atime);
  attributes.ino = entry.ino.value_or(0);
  attributes.nlink = entry.nlink.value_or(node.names);
  attributes.born = {};
  attributes.inode_flags = 0;
  return attributes;
}

Result<Attributes> RecordedTree::stat(const Fid& fid) {
  TRY_ASSIGN(const Node* found, node(fid));
  return attributes(*found);
}

Result<SourceEntry> RecordedTree::lookup(const Fid& parent, const std::string& name) {
  TRY_ASSIGN(const Node* dir, node(parent));
  auto child = dir->children.find(name);
  if (child == dir->children.end()) return Error(Code::not_found, printable(name));
  TRY_ASSIGN(const Node* found, node(child->second));
  TRY_ASSIGN(Attributes now, attributes(*found));
  return SourceEntry{name, child->second, now};
}

Status RecordedTree::list(const Fid& dir, const std::function<Status(const SourceEntry&)>& each, const FidHint&) {
  TRY_ASSIGN(const Node* found, node(dir));
  for (const auto& [name, fid] : found->children) {
    TRY_ASSIGN(Attributes now, attributes(nodes_.at(fid)));
    TRY(each({name, fid, now}));
  }
  return ok();
}

Result<std::string> RecordedTree::read_link(const Fid& fid) {
  TRY_ASSIGN(const Node* found, node(fid));
  if (found->entry.link_text) return *found->entry.link_text;
  TRY_ASSIGN(Fd fd, open_in_tree(*found, O_PATH | O_NOFOLLOW));
  std::string text(65536, '\0');
  ssize_t size = ::readlinkat(fd.get(), "", text.data(), text.size());
  if (size < 0) return Error::from_errno(errno, "read the link " + printable(found->entry.path));
  text.resize(static_cast<size_t>(size));
  return text;
}

Result<std::vector<Xattr>> RecordedTree::xattrs(const Fid& fid, File* file) {
  TRY_ASSIGN(const Node* found, node(fid));
  if (found->entry.xattrs) {
    std::vector<Xattr> mirrored;
    for (const Xattr& xattr : *found->entry.xattrs)
      if (is_mirrored_xattr(xattr.name)) mirrored.push_back(xattr);
    return mirrored;
  }
  if (file) return read_xattrs(file->fd());
  TRY_ASSIGN(Fd fd, open_in_tree(*found, O_PATH | O_NOFOLLOW));
  return read_xattrs(fd.get());
}

Result<std::unique_ptr<File>> RecordedTree::open(const Fid& fid) {
  TRY_ASSIGN(const Node* found, node(fid));
  TRY_ASSIGN(Fd fd, open_in_tree(*found, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  TRY_ASSIGN(Found there, find_at(fd.get(), ""));
  if (there.attributes.type != FileType::regular || (found->entry.size && *found->entry.size != there.attributes.size))
    return Error(Code::io,
                 tree_path_ + ": " + printable(found->entry.path) + " is no file of the size that the manifest says");
  return std::unique_ptr<File>(std::make_unique<RecordedFile>(std::move(fd), fid));
}

Result<Attributes> RecordedTree::stat(File& file) {
  return stat(static_cast<RecordedFile&>(file).fid);
}

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
#include "lustre/model_tree.h"

#include <cerrno>

#include "sim/world.h"

namespace reel::model {
namespace {

using namespace mirror;

constexpr uint64_t kQuietNs = 120'000'000'000;  // as lustre_tree.h: before that nobody knows who writes

FileType type_of(const Inode& inode) {
  switch (inode.kind) {
    case Kind::file:
      return FileType::regular;
    case Kind::dir:
      return FileType::directory;
    case Kind::symlink:
      return FileType::symlink;
    case Kind::node:
      return FileType::fifo;
  }
  return FileType::regular;
}

// Versions, as what they would be.
std::string contents(const Inode& inode) {
  bool has = inode.kind == Kind::file || inode.kind == Kind::symlink;
  return has && inode.data != 0 ? "version " + std::to_string(inode.data) : "";
}
Time time_of(uint64_t version) {
  return {static_cast<int64_t>(version), 0};
}
std::vector<Xattr> xattrs_of(const Inode& inode) {
  if (inode.xattrs == 0) return {};
  return {{"user.version", std::to_string(inode.xattrs)}};
}

Attributes attributes_of(const Inode& inode) {
  Attributes attributes;
  attributes.type = type_of(inode);
  attributes.mode = inode.attrs & 0777;
  attributes.uid = static_cast<uint32_t>(inode.attrs >> 9);
  attributes.size = contents(inode).size();
  attributes.nlink = inode.kind == Kind::dir ? 2 : static_cast<uint32_t>(inode.links.size());
  attributes.mtime = time_of(inode.times);
  attributes.ctime = time_of(inode.ctime);
  attributes.ino = inode.fid.seq << 32 ^ inode.fid.oid;
  return attributes;
}

class OpenFile final : public File {
 public:
  explicit OpenFile(Fid fid_) : fid(fid_) {}
  const Fid fid;
};

class ModelTree final : public SourceTree, public sim::Readable {
 public:
  ModelTree(ModelFs& fs, std::function<Status()> before) : fs_(fs), before_(std::move(before)) {}

  Fid root() const override { return fs_.root(); }
  Result<Attributes> stat(const Fid& fid) override {
    TRY_ASSIGN(const Inode* inode, living(fid));
    return attributes_of(*inode);
  }
  Result<SourceEntry> lookup(const Fid& parent, const std::string& name) override {
    TRY_ASSIGN(const Inode* dir, living(parent));
    auto child = dir->children.find(name);
    if (child == dir->children.end() || is_hidden(parent, name)) return Error(Code::not_found, name);
    return SourceEntry{name, child->second, attributes_of(*fs_.find(child->second))};
  }
  Status list(const Fid& fid, const std::function<Status(const SourceEntry&)>& each, const FidHint&) override {
    TRY_ASSIGN(const Inode* dir, living(fid));
    const std::map<std::string, Fid> children = dir->children;
    for (const auto& [name, child] : children) {
      if (is_hidden(fid, name)) continue;
      Result<SourceEntry> now = lookup(fid, name);  // what is there by now
      if (now.is(Code::not_found)) continue;
      if (!now) return std::move(now).error();
      now->name = name;
      TRY(each(*now));
    }
    return ok();
  }
  Result<std::string> read_link(const Fid& fid) override {
    TRY_ASSIGN(const Inode* inode, living(fid));
    return contents(*inode);
  }
  Result<std::vector<Xattr>> xattrs(const Fid& fid, File*) override {
    TRY_ASSIGN(const Inode* inode, living(fid));
    return xattrs_of(*inode);
  }
  Result<bool> being_written(File& file) override {
    TRY_ASSIGN(const Inode* inode, living(static_cast<OpenFile&>(file).fid));
    return inode->open_handles > 0 || fs_.clock().ns - inode->changed_ns < kQuietNs;
  }
  Result<std::unique_ptr<File>> open(const Fid& fid) override {
    TRY_ASSIGN(const Inode* inode, living(fid));
    if (inode->released) return Error(Code::unsupported, "its contents are only in the HSM archive");
    return std::unique_ptr<File>(new OpenFile(fid));
  }
  Result<Attributes> stat(File& file) override { return stat(static_cast<OpenFile&>(file).fid); }
  Result<std::string> read(File& file) override {
    TRY_ASSIGN(const Inode* inode, living(static_cast<OpenFile&>(file).fid));
    return contents(*inode);
  }

 private:
  bool is_hidden(const Fid& parent, const std::string& name) const { return parent == fs_.root() && name == ".reel"; }
  Result<const Inode*> living(const Fid& fid) {
    TRY(before_());
    const Inode* inode = fs_.find(fid);
    if (!inode || (inode->links.empty() && fid != fs_.root())) return Error::from_errno(ESTALE, to_string(fid));
    return inode;
  }

  ModelFs& fs_;
  const std::function<Status()> before_;
};

class Comparison {
 public:
  Comparison(const ModelFs& fs, const sim::SimFs& target, bool released_may_differ)
      : fs_(fs), target_(target), lenient_(released_may_differ) {}

  std::string compare(const Fid& fid, uint64_t ino, const std::string& path) {
    const Inode& a = *fs_.find(fid);
    const sim::Node& b = *target_.find(ino);
    std::string at = path.empty() ? "/" : path;
    at += " " + to_string(fid) + ": ";
    if (type_of(a) != b.type) return at + "type";
    if (!there_.emplace(fid, ino).second && there_[fid] != ino) return at + "hard links";
    if (!back_.emplace(ino, fid).second && back_[ino] != fid) return at + "hard links";
    if (lenient_ && a.released) return "";
    Attributes wanted = attributes_of(a);
    if (wanted.mode != b.mode || wanted.uid != b.uid) return at + "mode or owner";
    if (contents(a) != b.data) return at + "contents: \"" + b.data + "\" and not \"" + contents(a) + "\"";
    if (wanted.mtime != b.mtime)
      return at + "mtime " + std::to_string(b.mtime.seconds) + " and not " + std::to_string(wanted.mtime.seconds);
    std::vector<Xattr> xattrs;
    for (const auto& [name, value] : b.xattrs) xattrs.push_back({name, value});
    if (xattrs != xattrs_of(a)) return at + "xattrs";
    return children(a, b, path);
  }

 private:
  std::string children(const Inode& a, const sim::Node& b, const std::string& path) {
    for (const auto& [name, child] : a.children) {
      if (path.empty() && name == ".reel") continue;
      auto other = b.entries.find(name);
      if (other == b.entries.end()) {
        if (lenient_ && fs_.find(child)->released) continue;
        return path + "/" + name + " " + to_string(child) + ": missing";
      }
      std::string wrong = compare(child, other->second, path + "/" + name);
      if (!wrong.empty()) return wrong;
    }
    for (const auto& [name, ino] : b.entries)
      if (!a.children.count(name) && !(path.empty() && name == ".reel")) return path + "/" + name + ": extra";
    return "";
  }

  const ModelFs& fs_;
  const sim::SimFs& target_;
  const bool lenient_;
  std::map<Fid, uint64_t> there_;
  std::map<uint64_t, Fid> back_;
};

}  // namespace

std::unique_ptr<SourceTree> model_tree(ModelFs& fs, std::function<Status()> before) {
  return std::make_unique<ModelTree>(fs, std::move(before));
}

std::string compare_with(const ModelFs& fs, const sim::SimFs& target, bool released_may_differ) {
  return Comparison(fs, target, released_may_differ).compare(fs.root(), sim::SimFs::kRoot, "");
}

}  // namespace reel::model

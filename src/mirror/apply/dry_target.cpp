// SPDX-License-Identifier: Apache-2.0
#include "mirror/apply/dry_target.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <optional>

#include "tree/posix/posix_attributes.h"
#include "verify/compare.h"

namespace reel::mirror {
namespace {

constexpr uint64_t kFirstInode = uint64_t{1} << 63;  // of what a dry run makes; far above real ones
constexpr uint64_t kHoleUnit = 64 << 10;

// What stands at a name now. `id` tells where to look further: the path of a real object on the
// target, or "/N" (no such path) for one that would have been made.
struct Node {
  Attributes attributes;
  std::string id;
};
bool is_real(const std::string& id) {
  return !id.starts_with('/');
}

class DryDir final : public TargetDir {
 public:
  explicit DryDir(std::string id) : id_(std::move(id)) {}
  const std::string& id() const { return id_; }

 private:
  const std::string id_;
};
const std::string& id_of(const TargetDirPtr& dir) {
  return static_cast<const DryDir&>(*dir).id();
}

// A real file, open for reading, or one that would have been made.
class DryFile final : public File {
 public:
  DryFile(const Attributes& as, Fd fd) : attributes(as), fd_(std::move(fd)) {}
  int fd() const override { return fd_.get(); }
  const Attributes attributes;

 private:
  Fd fd_;
};

Error not_there(const std::string& name) {
  return {Code::not_found, printable(name) + " is not there"};
}

class DryTarget final : public TargetTree {
 public:
  explicit DryTarget(Fd root) : real_root_(std::move(root)) {}

  std::string mounting() const override { return ""; }
  Result<TargetDirPtr> root() override { return TargetDirPtr(std::make_shared<DryDir>("")); }

  Result<TargetDirPtr> open_dir(const TargetDirPtr& parent, const std::string& name) override {
    Result<Node> node = find(id_of(parent), name);
    // The mirror's own directories are taken for granted: they would have been made at the beginning.
    if (node.is(Code::not_found) && owns(id_of(parent), name)) node = make(parent, name, FileType::directory);
    TRY_ASSIGN(Node found, std::move(node));
    if (found.attributes.type != FileType::directory) return Error::from_errno(ENOTDIR, printable(name));
    return TargetDirPtr(std::make_shared<DryDir>(found.id));
  }
  Result<Attributes> stat(const TargetDirPtr& dir, const std::string& name) override {
    if (name.empty()) return Attributes{};
    TRY_ASSIGN(Node node, find(id_of(dir), name));
    return node.attributes;
  }
  Status list(const TargetDirPtr& dir, const std::function<Status(const TargetEntry&)>& each) override;

  Result<Attributes> make_dir(const TargetDirPtr& dir, const std::string& name) override {
    TRY(vacant(dir, name));
    TRY_ASSIGN(Node node, make(dir, name, FileType::directory));
    return node.attributes;
  }
  Result<Attributes> make_symlink(const TargetDirPtr& dir, const std::string& name, const std::string&) override {
    TRY(vacant(dir, name));
    return fresh(FileType::symlink);
  }
  Result<Attributes> make_node(const TargetDirPtr& dir, const std::string& name, FileType type, uint64_t) override {
    TRY(vacant(dir, name));
    return fresh(type);
  }
  Status link(const TargetDirPtr&, const std::string&, const TargetDirPtr& to, const std::string& to_name) override {
    return vacant(to, to_name);
  }
  Status rename(const TargetDirPtr& from, const std::string& from_name, const TargetDirPtr& to,
                const std::string& to_name) override;
  Status unlink(const TargetDirPtr& dir, const std::string& name) override {
    Result<Node> node = find(id_of(dir), name);
    if (node && node->attributes.type == FileType::directory) return Error::from_errno(EISDIR, printable(name));
    return remove(dir, name);
  }
  Status remove_dir(const TargetDirPtr& dir, const std::string& name) override;

  Result<std::unique_ptr<File>> create(const TargetDirPtr& dir, const std::string& name, uint32_t,
                                       const std::string&) override {
    TRY(vacant(dir, name));
    return std::unique_ptr<File>(std::make_unique<DryFile>(fresh(FileType::regular), Fd()));
  }
  Result<std::unique_ptr<File>> open(const TargetDirPtr& dir, const std::string& name) override;
  Result<CopyResult> copy(SourceTree& source, File& from, File& to, uint64_t size, bool is_fresh) override;
  Status set_attributes(File*, const TargetDirPtr&, const std::string&, const AttributeChange&) override {
    return ok();
  }
  Result<Attributes> stat(File& file) override { return static_cast<const DryFile&>(file).attributes; }
  Status sync() override { return ok(); }

 private:
  using Names = std::map<std::string, std::optional<Node>>;  // nullopt: it would have gone

  static bool owns(const std::string& dir, const std::string& name) {
    return (dir.empty() && name == ".reel") || name == "park";
  }
  Attributes fresh(FileType type) {
    std::lock_guard lock(mutex_);
    Attributes attributes;
    attributes.type = type;
    // Files are not remembered, so all of them are the instance that open() makes up.
    if (type == FileType::directory) attributes.ino = next_inode_++;
    attributes.nlink = 1;
    return attributes;
  }
  Result<Node> make(const TargetDirPtr& dir, const std::string& name, FileType type) {
    Node node{fresh(type), ""};
    node.id = "/" + std::to_string(node.attributes.ino);
    put(id_of(dir), name, node);
    return node;
  }
  void put(const std::string& dir, const std::string& name, std::optional<Node> node) {
    std::lock_guard lock(mutex_);
    changed_[dir][name] = std::move(node);
  }
  std::optional<std::optional<Node>> changed(const std::string& dir, const std::string& name) {
    std::lock_guard lock(mutex_);
    auto names = changed_.find(dir);
    if (names == changed_.end()) return std::nullopt;
    auto at = names->second.find(name);
    if (at == names->second.end()) return std::nullopt;
    return at->second;
  }
  Result<Node> find(const std::string& dir, const std::string& name);
  Result<Node> find_real(const std::string& dir, const std::string& name);
  // exists: something is at this name.
  Status vacant(const TargetDirPtr& dir, const std::string& name) {
    Result<Node> node = find(id_of(dir), name);
    if (node) return Error::from_errno(EEXIST, printable(name));
    return node.is(Code::not_found) ? ok() : Status(std::move(node).error());
  }
  Status remove(const TargetDirPtr& dir, const std::string& name) {
    const std::string& id = id_of(dir);
    if (is_real(id) && find_real(id, name))
      put(id, name, std::nullopt);
    else if (changed(id, name))
      forget(id, name);
    return ok();
  }
  void forget(const std::string& dir, const std::string& name) {
    std::lock_guard lock(mutex_);
    changed_[dir].erase(name);
  }

  const Fd real_root_;  // empty: the target does not exist
  std::mutex mutex_;
  std::map<std::string, Names> changed_;  // by directory
  uint64_t next_inode_ = kFirstInode;
};

Result<Node> DryTarget::find(const std::string& dir, const std::string& name) {
  TRY(check_name(name));
  if (std::optional<std::optional<Node>> known = changed(dir, name)) {
    if (!*known) return not_there(name);
    return **known;
  }
  return find_real(dir, name);
}

Result<Node> DryTarget::find_real(const std::string& dir, const std::string& name) {
  if (!real_root_ || !is_real(dir)) return not_there(name);
  Fd parent(open_below(real_root_.get(), dir, O_PATH | O_DIRECTORY));
  if (!parent) return Error::from_errno(errno, "open directory " + printable(dir));
  TRY_ASSIGN(Found found, find_at(parent.get(), name.c_str()));
  return Node{found.attributes, dir.empty() ? name : dir + "/" + name};
}

Status DryTarget::list(const TargetDirPtr& dir, const std::function<Status(const TargetEntry&)>& each) {
  Names names;
  {
    std::lock_guard lock(mutex_);
    auto found = changed_.find(id_of(dir));
    if (found != changed_.end()) names = found->second;
  }
  if (real_root_ && is_real(id_of(dir))) {
    Fd own(open_below(real_root_.get(), id_of(dir), O_RDONLY | O_DIRECTORY));
    if (!own) return Error::from_errno(errno, "open directory");
    TRY(each_name(own.get(), [&](const char* name) -> Status {
      if (names.count(name)) return ok();
      TRY_ASSIGN(Found found, find_at(own.get(), name));
      return each(TargetEntry{name, found.attributes});
    }));
  }
  for (const auto& [name, node] : names)
    if (node) TRY(each(TargetEntry{name, node->attributes}));
  return ok();
}

Status DryTarget::rename(const TargetDirPtr& from, const std::string& from_name, const TargetDirPtr& to,
                         const std::string& to_name) {
  TRY(vacant(to, to_name));
  Result<Node> node = find(id_of(from), from_name);
  // A file that this run would have made is not remembered by name.
  if (node.is(Code::not_found) && !is_real(id_of(from))) return ok();
  TRY_ASSIGN(Node moved, std::move(node));
  TRY(remove(from, from_name));
  put(id_of(to), to_name, std::move(moved));
  return ok();
}

Status DryTarget::remove_dir(const TargetDirPtr& dir, const std::string& name) {
  TRY_ASSIGN(Node node, find(id_of(dir), name));
  if (node.attributes.type != FileType::directory) return Error::from_errno(ENOTDIR, printable(name));
  bool empty = true;
  Status listed = list(std::make_shared<DryDir>(node.id), [&](const TargetEntry&) -> Status {
    empty = false;
    return Error(Code::cancelled, "one is enough");
  });
  if (!listed && listed.error().code() != Code::cancelled) return listed;
  if (!empty) return Error::from_errno(ENOTEMPTY, printable(name));
  return remove(dir, name);
}

Result<std::unique_ptr<File>> DryTarget::open(const TargetDirPtr& dir, const std::string& name) {
  Result<Node> node = find(id_of(dir), name);
  if (!node || !is_real(node->id))  // made by this run
    return std::unique_ptr<File>(std::make_unique<DryFile>(Attributes{}, Fd()));
  Fd fd(open_below(real_root_.get(), node->id, O_RDONLY | O_NONBLOCK));
  if (!fd) return Error::from_errno(errno, "open " + printable(name));
  return std::unique_ptr<File>(std::make_unique<DryFile>(node->attributes, std::move(fd)));
}

// How many bytes would be written: all of a new file; of an old one all from the first difference.
Result<CopyResult> DryTarget::copy(SourceTree&, File& from, File& to, uint64_t size, bool is_fresh) {
  if (is_fresh || to.fd() < 0 || from.fd() < 0) return CopyResult{size, 0};
  struct stat here, there;
  if (::fstat(from.fd(), &here) != 0 || ::fstat(to.fd(), &there) != 0) return Error::from_errno(errno, "stat");
  if (static_cast<uint64_t>(there.st_size) != size) return CopyResult{std::max<uint64_t>(size, 1), 0};
  uint64_t unit =
      std::max({kHoleUnit, static_cast<uint64_t>(here.st_blksize), static_cast<uint64_t>(there.st_blksize)});
  TRY_ASSIGN(Comparison found, compare_contents(from.fd(), to.fd(), size, unit));
  if (found.first_difference) return CopyResult{size - *found.first_difference, 0};
  // A hole that is to be made is nothing written.
  bool fills = found.hole_difference && found.source_has_data;
  return CopyResult{fills ? size - *found.hole_difference : 0, 0};
}

}  // namespace

Result<std::unique_ptr<TargetTree>> open_dry_target(const std::string& path) {
  Fd root(open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY));
  if (!root && errno != ENOENT) return Error::from_errno(errno, "open the target " + printable(path));
  return std::unique_ptr<TargetTree>(std::make_unique<DryTarget>(std::move(root)));
}

}  // namespace reel::mirror

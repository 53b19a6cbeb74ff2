// SPDX-License-Identifier: Apache-2.0
//
// The seams of the mirror, played by the world.
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "sim/world.h"

namespace reel::sim {
namespace {

using namespace reel::mirror;

const bool kTrace = std::getenv("REEL_SIM_TRACE") != nullptr;

class SimFile : public File {
 public:
  explicit SimFile(uint64_t ino_, Fid fid_ = {}) : ino(ino_), fid(fid_) {}
  const uint64_t ino;
  const Fid fid;
};

class SimSource : public SourceTree, public Readable {
 public:
  explicit SimSource(World& world) : world_(world) {}
  Fid root() const override { return world_.fs.fid(world_.source_root); }
  std::string mounting() const override {
    return std::to_string(world_.canary_same_mounting ? 1 : world_.source_mount);
  }
  bool has_fine_ctime() const override { return world_.fine_ctime || world_.canary_fine_ctime; }

  Result<Attributes> stat(const Fid& fid) override {
    TRY_ASSIGN(Node * node, look(fid));
    return world_.fs.attributes(*node);
  }
  Result<SourceEntry> lookup(const Fid& parent, const std::string& name) override {
    TRY_ASSIGN(Node * dir, look(parent));
    auto at = dir->entries.find(name);
    if (at == dir->entries.end()) return Error(Code::not_found, name);
    return SourceEntry{name, world_.fs.fid(at->second), world_.fs.attributes(*world_.fs.find(at->second))};
  }
  Status list(const Fid& fid, const std::function<Status(const SourceEntry&)>& each, const FidHint&) override {
    TRY_ASSIGN(Node * dir, look(fid));
    auto entries = dir->entries;
    for (const auto& [name, ino] : entries) {
      world_feet();
      // As getdents and then a look: what is there now under that name.
      Node* now = world_.fs.find(fid);
      if (!now) return ok();
      auto at = now->entries.find(name);
      if (at == now->entries.end()) continue;
      TRY(each({name, world_.fs.fid(at->second), world_.fs.attributes(*world_.fs.find(at->second))}));
    }
    return ok();
  }
  Result<std::string> read_link(const Fid& fid) override {
    TRY_ASSIGN(Node * node, look(fid));
    return node->data;
  }
  Result<std::vector<Xattr>> xattrs(const Fid& fid, File*) override {
    TRY_ASSIGN(Node * node, look(fid));
    std::vector<Xattr> found;
    for (const auto& [name, value] : node->xattrs) found.push_back({name, value});
    return found;
  }
  Result<Attributes> stat(File& file) override { return stat(static_cast<SimFile&>(file).fid); }
  Result<bool> being_written(File&) override { return false; }
  Result<std::unique_ptr<File>> open(const Fid& fid) override {
    TRY_ASSIGN(Node * node, look(fid));
    std::unique_ptr<File> file(new SimFile(node->ino, fid));
    TRY_ASSIGN(file->as_opened, stat(fid));
    return file;
  }
  Result<std::string> read(File& file) override {
    TRY_ASSIGN(Node * node, look(static_cast<SimFile&>(file).fid));
    std::string data = node->data;
    if (world_.after_read) world_.after_read();
    return data;
  }

 private:
  void world_feet() {
    if (world_.chance() < world_.faults.move_under_feet) world_.random_change();
  }
  Result<Node*> look(const Fid& fid) {
    world_feet();
    if (world_.chance() < world_.faults.source_error)
      return Error::from_errno(world_.pick(2) ? EIO : EACCES, "injected");
    Node* node = world_.fs.find(fid);
    if (!node) return Error::from_errno(ESTALE, to_string(fid));
    return node;
  }
  World& world_;
};

class SimDir : public TargetDir {
 public:
  explicit SimDir(uint64_t ino_) : ino(ino_) {}
  const uint64_t ino;
};

class SimTarget : public TargetTree {
 public:
  explicit SimTarget(World& world) : world_(world) {}

  std::string mounting() const override { return std::to_string(world_.target_mount); }
  Result<TargetDirPtr> root() override { return TargetDirPtr(std::make_shared<SimDir>(SimFs::kRoot)); }
  Result<TargetDirPtr> open_dir(const TargetDirPtr& parent, const std::string& name) override {
    TRY(trouble());
    TRY_ASSIGN(Node * node, at(parent, name));
    if (node->type != FileType::directory) return Error::from_errno(ENOTDIR, name);
    return TargetDirPtr(std::make_shared<SimDir>(node->ino));
  }
  Result<Attributes> stat(const TargetDirPtr& dir, const std::string& name) override {
    TRY(trouble());
    TRY_ASSIGN(Node * node, at(dir, name));
    return world_.target.attributes(*node);
  }
  Status list(const TargetDirPtr& dir, const std::function<Status(const TargetEntry&)>& each) override {
    TRY(trouble());
    Node* node = world_.target.find(number(dir));
    if (!node) return Error::from_errno(ENOENT, "directory");
    auto entries = node->entries;
    for (const auto& [name, ino] : entries) TRY(each({name, world_.target.attributes(*world_.target.find(ino))}));
    return ok();
  }
  Result<Attributes> make_dir(const TargetDirPtr& dir, const std::string& name) override {
    return make(dir, name, FileType::directory, 0700, "");
  }
  Result<Attributes> make_symlink(const TargetDirPtr& dir, const std::string& name, const std::string& text) override {
    return make(dir, name, FileType::symlink, 0777, text);
  }
  Result<Attributes> make_node(const TargetDirPtr& dir, const std::string& name, FileType type, uint64_t) override {
    return make(dir, name, type, 0600, "");
  }
  Status link(const TargetDirPtr& from, const std::string& from_name, const TargetDirPtr& to,
              const std::string& to_name) override {
    TRY(trouble());
    TRY_ASSIGN(Node * node, at(from, from_name));
    uint64_t ino = node->ino;
    uint64_t dir = number(to);
    return act("link", [=](SimFs& fs, bool) { return fs.link(ino, dir, to_name); });
  }
  Status rename(const TargetDirPtr& from, const std::string& from_name, const TargetDirPtr& to,
                const std::string& to_name) override {
    TRY(trouble());
    uint64_t a = number(from);
    uint64_t b = number(to);
    return act("rename", [=](SimFs& fs, bool) { return fs.rename(a, from_name, b, to_name, false); });
  }
  Status unlink(const TargetDirPtr& dir, const std::string& name) override {
    TRY(trouble());
    uint64_t ino = number(dir);
    return act("unlink", [=](SimFs& fs, bool) { return fs.unlink(ino, name); });
  }
  Status remove_dir(const TargetDirPtr& dir, const std::string& name) override {
    TRY(trouble());
    uint64_t ino = number(dir);
    return act("rmdir", [=](SimFs& fs, bool) { return fs.rmdir(ino, name); });
  }
  Result<std::unique_ptr<File>> create(const TargetDirPtr& dir, const std::string& name, uint32_t mode,
                                       const std::string&) override {
    TRY_ASSIGN(Attributes made, make(dir, name, FileType::regular, mode, ""));
    return std::unique_ptr<File>(new SimFile(made.ino));
  }
  Result<std::unique_ptr<File>> open(const TargetDirPtr& dir, const std::string& name) override {
    TRY(trouble());
    TRY_ASSIGN(Node * node, at(dir, name));
    return std::unique_ptr<File>(new SimFile(node->ino));
  }
  Result<CopyResult> copy(SourceTree& source, File& from, File& to, uint64_t, bool) override {
    TRY(trouble());
    TRY_ASSIGN(std::string data, dynamic_cast<Readable&>(source).read(from));
    uint64_t ino = static_cast<SimFile&>(to).ino;
    TRY(act("write", [=](SimFs& fs, bool lose_contents) {
      if (fs.find(ino)) fs.write(ino, lose_contents ? std::string() : data);
      return 0;
    }));
    return CopyResult{data.size(), 0};
  }
  bool has_contents(SourceTree& source, File& from, const TargetDirPtr& dir, const std::string& name,
                    const Instance& known) override {
    Result<Attributes> there = stat(dir, name);
    Result<std::string> data = dynamic_cast<Readable&>(source).read(from);
    if (!there || there->instance() != known || !data) return false;
    Result<Node*> node = at(dir, name);
    return node && ((*node)->data == *data || world_.canary_all_intact);
  }
  Status set_attributes(File* file, const TargetDirPtr& dir, const std::string& name,
                        const AttributeChange& change) override {
    TRY(trouble());
    uint64_t ino = file ? static_cast<SimFile*>(file)->ino : number(dir);
    if (!file && !name.empty()) {
      TRY_ASSIGN(Node * node, at(dir, name));
      ino = node->ino;
    }
    return act("set attributes", [=](SimFs& fs, bool) {
      Node* node = fs.find(ino);
      if (!node) return ENOENT;
      node->mode = change.attributes.mode;
      node->uid = change.attributes.uid;
      node->gid = change.attributes.gid;
      node->mtime = change.attributes.mtime;
      node->xattrs.clear();
      for (const Xattr& xattr : change.xattrs) node->xattrs[xattr.name] = xattr.value;
      return 0;
    });
  }
  Result<Attributes> stat(File& file) override {
    TRY(trouble());
    return world_.target.attributes(*world_.target.find(static_cast<SimFile&>(file).ino));
  }
  Status sync() override {
    world_.maybe_crash();
    if (world_.chance() < world_.faults.target_error) {
      world_.write_back_failed();
      return Error::from_errno(EIO, "injected");
    }
    world_.target_durable = world_.target;
    world_.since_sync.clear();
    world_.maybe_crash();
    return ok();
  }

 private:
  static uint64_t number(const TargetDirPtr& dir) { return static_cast<SimDir&>(*dir).ino; }
  Status trouble() {
    if (world_.chance() >= world_.faults.target_error) return ok();
    constexpr int kErrors[] = {EIO, ENOSPC, EACCES};
    return Error::from_errno(kErrors[world_.pick(3)], "injected");
  }
  Result<Node*> at(const TargetDirPtr& dir, const std::string& name) {
    Node* parent = world_.target.find(number(dir));
    if (!parent || !parent->entries.count(name)) return Error::from_errno(ENOENT, name);
    return world_.target.find(parent->entries[name]);
  }
  Result<Attributes> make(const TargetDirPtr& dir, const std::string& name, FileType type, uint32_t mode,
                          const std::string& data) {
    TRY(trouble());
    uint64_t parent = number(dir);
    TRY(act("create", [=](SimFs& fs, bool) {
      uint64_t ino = 0;
      int error = fs.create(parent, name, type, mode, &ino);
      if (error == 0) fs.find(ino)->data = data;
      return error;
    }));
    TRY_ASSIGN(Node * node, at(dir, name));
    if (kTrace)
      std::printf("    target makes %s/%s: %s\n", to_string(world_.target.fid(parent)).c_str(), name.c_str(),
                  to_string(world_.target.fid(node->ino)).c_str());
    return world_.target.attributes(*node);
  }
  // A change of the target: now, and again if the machine dies before the next sync.
  Status act(const char* what, std::function<int(SimFs&, bool)> change) {
    world_.maybe_crash();
    int error = change(world_.target, false);
    if (error) return Error::from_errno(error, what);
    world_.since_sync.emplace_back([change](SimFs& fs, bool lose) { change(fs, lose); });
    world_.maybe_crash();
    return ok();
  }
  World& world_;
};

class SimStore : public Store {
 public:
  explicit SimStore(World& world) : world_(world) {}
  Result<std::optional<std::string>> get(std::string_view key) override {
    auto at = world_.rows.find(std::string(key));
    if (at == world_.rows.end()) return std::optional<std::string>();
    return std::optional<std::string>(at->second);
  }
  Status scan(std::string_view prefix, std::string_view start,
              const std::function<bool(std::string_view, std::string_view)>& each) override {
    for (auto at = world_.rows.lower_bound(std::string(start));
         at != world_.rows.end() && at->first.starts_with(prefix); ++at)
      if (!each(at->first, at->second)) break;
    return ok();
  }
  Status write(const StoreBatch& batch, Durable durable) override {
    world_.maybe_crash();
    for (const auto& item : batch.items) {
      if (world_.canary_forget_intents && item.key[0] == 'I') continue;
      if (item.value)
        world_.rows[item.key] = *item.value;
      else
        world_.rows.erase(item.key);
    }
    world_.since_durable.push_back(batch);
    if (durable == Durable::yes) {
      world_.rows_durable = world_.rows;
      world_.since_durable.clear();
    }
    world_.maybe_crash();
    return ok();
  }

 private:
  World& world_;
};

class SimFeed : public Feed {
 public:
  explicit SimFeed(World& world) : world_(world), next_(world.streams.size()) {
    for (const World::Stream& stream : world.streams) names_.push_back(stream.name);
  }
  const std::vector<std::string>& streams() const override { return names_; }
  Result<bool> next(Record& record, size_t& at) override {
    if (!choose(at)) return false;
    const World::Stream& stream = world_.streams[at];
    const OwnedRecord& owned = stream.log[next_[at]++];
    if (world_.canary_drop_record && owned.record.type != RecordType::gap && next_[at] % 20 == 0)
      return next(record, at);
    record = owned.record;
    record.name = owned.name;
    record.source_name = owned.source_name;
    return true;
  }
  Status start_after(const log::Position& position) override {
    for (size_t i = 0; i < next_.size(); ++i) next_[i] = position.at(names_[i]);
    return ok();
  }
  log::Position last() override { return world_.log_end(); }

 private:
  // Any of the streams that have something.
  bool choose(size_t& at) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < next_.size(); ++i)
      if (next_[i] < world_.streams[i].durable) ready.push_back(i);
    if (ready.empty()) return false;
    at = ready[ready.size() > 1 ? world_.pick(ready.size()) : 0];
    return true;
  }

  World& world_;
  std::vector<std::string> names_;
  std::vector<size_t> next_;
};

}  // namespace

std::unique_ptr<SourceTree> sim_source(World& world) {
  return std::make_unique<SimSource>(world);
}
std::unique_ptr<TargetTree> sim_target(World& world) {
  return std::make_unique<SimTarget>(world);
}
std::unique_ptr<Store> sim_store(World& world) {
  return std::make_unique<SimStore>(world);
}
std::unique_ptr<Feed> sim_feed(World& world) {
  return std::make_unique<SimFeed>(world);
}

}  // namespace reel::sim

// SPDX-License-Identifier: Apache-2.0
//
// An Env in memory that behaves like a disk with a cache: what was not synced can be lost or torn
// by crash(), a call can be made to fail, and after kill() nothing works any more. Deterministic.
#pragma once

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/env.h"
#include "log_testing.h"

namespace reel::log {

class FaultEnv : public Env {
 public:
  struct Node {
    std::string bytes;    // what a running process sees
    std::string durable;  // what is on disk for certain
    bool locked = false;
  };
  using NodePtr = std::shared_ptr<Node>;

  explicit FaultEnv(uint64_t seed) : random_(seed) {}

  // The n-th call from now that changes something fails with this errno; an append is done by half.
  void fail_after(uint64_t calls, int sys_errno) {
    countdown_ = calls;
    fault_ = sys_errno;
  }
  // Every call fails until crash(): the process is dead, the destructors of its objects do nothing.
  void kill() { dead_ = true; }
  bool dead() const { return dead_; }
  // From now on a datasync says that it is done and does nothing (for tests of tests).
  void lie() { lying_ = true; }
  bool lying() const { return lying_; }
  // The process is started again; the machine has not been down, so all that was written is there.
  void revive() {
    dead_ = false;
    countdown_ = 0;
    for (auto& [path, node] : names_) node->locked = false;
  }

  // The machine lost power: of what was not synced any part may be there, pages in any order, and a
  // file's entry may be missing when its directory was not synced.
  void crash() {
    dead_ = false;
    countdown_ = 0;
    std::map<std::string, NodePtr> after;
    for (auto& [path, node] : disk_entries_)
      if (!names_.count(path) || random_.below(2) == 0) after[path] = node;
    for (auto& [path, node] : names_) {
      auto on_disk = disk_entries_.find(path);
      if (on_disk != disk_entries_.end() && on_disk->second == node)
        after[path] = node;
      else if (random_.below(2) == 0)
        after[path] = node;
    }
    names_ = after;
    disk_entries_ = after;
    for (auto& [path, node] : names_) {
      tear(*node);
      node->locked = false;
    }
  }

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Status rename(const std::string& from, const std::string& to) override {
    TRY(change("rename " + to));
    auto found = names_.find(from);
    if (found == names_.end()) return Error::from_errno(ENOENT, from);
    names_[to] = found->second;
    names_.erase(from);
    return ok();
  }
  Status unlink(const std::string& path) override {
    TRY(change("unlink " + path));
    if (names_.erase(path) == 0) return Error::from_errno(ENOENT, path);
    return ok();
  }
  Result<std::vector<std::string>> list_dir(const std::string& path) override {
    if (!dirs_.count(path)) return Error::from_errno(ENOENT, path);
    std::set<std::string> names;
    auto add = [&](const std::string& entry) {
      if (is_child(path, entry)) names.insert(entry.substr(path.size() + 1));
    };
    for (const auto& [entry, node] : names_) add(entry);
    for (const std::string& entry : dirs_) add(entry);
    return std::vector<std::string>(names.begin(), names.end());
  }
  Result<bool> mkdir(const std::string& path) override { return dirs_.insert(path).second; }
  Status sync_dir(const std::string& path) override {
    TRY(change("sync " + path));
    std::erase_if(disk_entries_, [&](const auto& entry) { return is_child(path, entry.first); });
    for (const auto& [entry, node] : names_)
      if (is_child(path, entry)) disk_entries_[entry] = node;
    return ok();
  }
  Result<std::unique_ptr<Lock>> lock(const std::string& path, bool wait) override;
  uint64_t realtime_ns() override { return ++clock_ * 1'000'000; }
  uint64_t monotonic_ns() override { return ++clock_ * 1'000'000; }

  // Every call that changes something goes through here.
  Status change(const std::string& what) {
    if (dead_) return Error(Code::io, what + ": the process is dead", EIO);
    if (countdown_ != 0 && --countdown_ == 0) return Error::from_errno(fault_, what);
    return ok();
  }

 private:
  static bool is_child(const std::string& dir, const std::string& entry) {
    return entry.size() > dir.size() + 1 && entry.starts_with(dir + "/") &&
           entry.find('/', dir.size() + 1) == std::string::npos;
  }
  void tear(Node& node) {
    static constexpr size_t kPage = 512;
    std::string result = node.durable;
    if (node.bytes != node.durable && random_.below(3) != 0) {
      result.resize(random_.below(2) == 0 ? node.bytes.size() : random_.below(node.bytes.size() + 1), '\0');
      for (size_t page = 0; page < result.size(); page += kPage) {
        if (random_.below(2) == 0 && page + kPage > node.durable.size()) continue;
        size_t size = std::min({kPage, result.size() - page, node.bytes.size() - std::min(page, node.bytes.size())});
        std::copy_n(node.bytes.begin() + static_cast<std::ptrdiff_t>(std::min(page, node.bytes.size())), size,
                    result.begin() + static_cast<std::ptrdiff_t>(page));
      }
      // Whatever else happened, what was durable is.
      if (node.bytes.starts_with(node.durable))
        result.replace(0, std::min(result.size(), node.durable.size()), node.durable);
      if (result.size() < node.durable.size()) result = node.durable;
    }
    node.bytes = node.durable = result;
  }

  Random random_;
  std::map<std::string, NodePtr> names_, disk_entries_;
  std::set<std::string> dirs_{"/"};
  uint64_t countdown_ = 0;
  int fault_ = 0;
  bool dead_ = false, lying_ = false;
  uint64_t clock_ = 1'700'000'000'000;
};

class FaultFile : public File {
 public:
  FaultFile(FaultEnv& env, FaultEnv::NodePtr node) : env_(env), node_(std::move(node)) {}
  Result<size_t> pread(void* to, size_t size, uint64_t offset) override {
    if (offset >= node_->bytes.size()) return size_t{0};
    size_t got = std::min<size_t>(size, node_->bytes.size() - offset);
    std::memcpy(to, node_->bytes.data() + offset, got);
    return got;
  }
  Status append(const void* data, size_t size) override {
    Status allowed = env_.change("append");
    node_->bytes.append(static_cast<const char*>(data), allowed                                    ? size
                                                        : allowed.error().text().ends_with("dead") ? 0
                                                                                                   : size / 2);
    return allowed;
  }
  Result<uint64_t> size() override { return static_cast<uint64_t>(node_->bytes.size()); }
  Status truncate(uint64_t size) override {
    TRY(env_.change("truncate"));
    node_->bytes.resize(size);
    return ok();
  }
  Status datasync() override {
    TRY(env_.change("datasync"));
    if (!env_.lying()) node_->durable = node_->bytes;
    return ok();
  }
  Status sync() override { return datasync(); }

 private:
  FaultEnv& env_;
  FaultEnv::NodePtr node_;
};

class FaultLock : public Lock {
 public:
  explicit FaultLock(FaultEnv::NodePtr node) : node_(std::move(node)) { node_->locked = true; }
  ~FaultLock() override { node_->locked = false; }

 private:
  FaultEnv::NodePtr node_;
};

inline Result<std::unique_ptr<File>> FaultEnv::open(const std::string& path, OpenMode mode) {
  auto found = names_.find(path);
  if (mode == OpenMode::create) {
    TRY(change("create " + path));
    if (found != names_.end()) return Error::from_errno(EEXIST, path);
    found = names_.emplace(path, std::make_shared<Node>()).first;
  }
  if (found == names_.end()) return Error::from_errno(ENOENT, path);
  return std::unique_ptr<File>(std::make_unique<FaultFile>(*this, found->second));
}

inline Result<std::unique_ptr<Lock>> FaultEnv::lock(const std::string& path, bool) {
  NodePtr& node = names_[path];
  if (!node) node = std::make_shared<Node>();
  if (node->locked) return Error(Code::busy, path);
  return std::unique_ptr<Lock>(std::make_unique<FaultLock>(node));
}

}  // namespace reel::log

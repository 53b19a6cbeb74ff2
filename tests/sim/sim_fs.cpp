// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_fs.h"

#include <cerrno>

namespace reel::sim {

SimFs::SimFs() {
  Node& root = nodes_[kRoot];
  root.ino = root.parent = kRoot;
  root.type = FileType::directory;
  root.mode = 0755;
  root.nlink = 2;
}

Node* SimFs::find(uint64_t ino) {
  auto at = nodes_.find(ino);
  return at == nodes_.end() ? nullptr : &at->second;
}
const Node* SimFs::find(uint64_t ino) const {
  return const_cast<SimFs*>(this)->find(ino);
}
Fid SimFs::fid(uint64_t ino) const {
  return {ino, nodes_.at(ino).generation, 0};
}
Node* SimFs::find(const Fid& fid) {
  Node* node = find(fid.seq);
  return node && node->generation == fid.oid ? node : nullptr;
}

bool SimFs::is_below(uint64_t ino, uint64_t dir) const {
  for (; ino != kRoot; ino = nodes_.at(ino).parent)
    if (ino == dir) return true;
  return dir == kRoot;
}

Attributes SimFs::attributes(const Node& node) const {
  Attributes attributes;
  attributes.type = node.type;
  attributes.mode = node.mode;
  attributes.uid = node.uid;
  attributes.gid = node.gid;
  attributes.size = node.data.size();
  attributes.nlink = node.nlink;
  attributes.mtime = node.mtime;
  attributes.ctime = node.ctime;
  attributes.ino = node.ino;
  attributes.born = {node.generation, 0};
  return attributes;
}

Time SimFs::now() {
  return {now_s, ++ticks_};
}
void SimFs::changed(uint64_t ino) {
  nodes_.at(ino).ctime = now();
}
void SimFs::dir_changed(uint64_t dir) {
  nodes_.at(dir).mtime = nodes_.at(dir).ctime = now();
}

int SimFs::create(uint64_t dir, const std::string& name, FileType type, uint32_t mode, uint64_t* ino) {
  Node* parent = find(dir);
  if (!parent || parent->type != FileType::directory) return ENOENT;
  if (parent->entries.count(name)) return EEXIST;
  uint64_t number = generations_.empty() ? next_ino_++ : generations_.begin()->first;
  uint32_t generation = 1;
  if (!generations_.empty()) {
    generation = generations_.begin()->second + 1;
    generations_.erase(generations_.begin());
  }
  Node& node = nodes_[number];
  node.ino = number;
  node.generation = generation;
  node.type = type;
  node.mode = mode;
  node.nlink = type == FileType::directory ? 2 : 1;
  node.parent = dir;
  node.mtime = node.ctime = now();
  parent->entries[name] = number;
  dir_changed(dir);
  *ino = number;
  return 0;
}

int SimFs::link(uint64_t ino, uint64_t dir, const std::string& name) {
  Node* node = find(ino);
  Node* parent = find(dir);
  if (!node || !parent) return ENOENT;
  if (node->type == FileType::directory) return EPERM;
  if (parent->entries.count(name)) return EEXIST;
  parent->entries[name] = ino;
  ++node->nlink;
  changed(ino);
  dir_changed(dir);
  return 0;
}

void SimFs::drop_link(uint64_t ino) {
  Node& node = nodes_.at(ino);
  if (node.type == FileType::directory)
    node.nlink = 0;
  else
    --node.nlink;
  if (node.nlink > 0) return changed(ino);
  generations_[ino] = node.generation;
  nodes_.erase(ino);
}

int SimFs::unlink(uint64_t dir, const std::string& name) {
  Node* parent = find(dir);
  if (!parent || !parent->entries.count(name)) return ENOENT;
  uint64_t ino = parent->entries[name];
  if (nodes_.at(ino).type == FileType::directory) return EISDIR;
  parent->entries.erase(name);
  drop_link(ino);
  dir_changed(dir);
  return 0;
}

int SimFs::rmdir(uint64_t dir, const std::string& name) {
  Node* parent = find(dir);
  if (!parent || !parent->entries.count(name)) return ENOENT;
  uint64_t ino = parent->entries[name];
  if (nodes_.at(ino).type != FileType::directory) return ENOTDIR;
  if (!nodes_.at(ino).entries.empty()) return ENOTEMPTY;
  parent->entries.erase(name);
  drop_link(ino);
  dir_changed(dir);
  return 0;
}

int SimFs::rename(uint64_t from, const std::string& from_name, uint64_t to, const std::string& to_name, bool replace) {
  Node* source = find(from);
  Node* target = find(to);
  if (!source || !target || !source->entries.count(from_name)) return ENOENT;
  uint64_t ino = source->entries[from_name];
  Node& node = nodes_.at(ino);
  bool is_dir = node.type == FileType::directory;
  if (is_dir && is_below(to, ino)) return EINVAL;
  auto there = target->entries.find(to_name);
  if (there != target->entries.end()) {
    if (!replace) return EEXIST;
    if (there->second == ino) return 0;
    const Node& victim = nodes_.at(there->second);
    if ((victim.type == FileType::directory) != is_dir) return is_dir ? ENOTDIR : EISDIR;
    if (is_dir && !victim.entries.empty()) return ENOTEMPTY;
    uint64_t gone = there->second;
    target->entries.erase(there);
    drop_link(gone);
  }
  find(from)->entries.erase(from_name);
  find(to)->entries[to_name] = ino;
  nodes_.at(ino).parent = to;
  changed(ino);
  dir_changed(from);
  dir_changed(to);
  return 0;
}

int SimFs::exchange(uint64_t a, const std::string& a_name, uint64_t b, const std::string& b_name) {
  Node* first = find(a);
  Node* second = find(b);
  if (!first || !second || !first->entries.count(a_name) || !second->entries.count(b_name)) return ENOENT;
  uint64_t one = first->entries[a_name];
  uint64_t two = second->entries[b_name];
  if (one == two) return 0;
  if (nodes_.at(one).type == FileType::directory && is_below(b, one)) return EINVAL;
  if (nodes_.at(two).type == FileType::directory && is_below(a, two)) return EINVAL;
  first->entries[a_name] = two;
  second->entries[b_name] = one;
  nodes_.at(two).parent = a;
  nodes_.at(one).parent = b;
  changed(one);
  changed(two);
  dir_changed(a);
  dir_changed(b);
  return 0;
}

void SimFs::write(uint64_t ino, const std::string& data) {
  Node& node = nodes_.at(ino);
  node.data = data;
  node.mtime = now();
  node.written_s = now_s;
  changed(ino);
}

void SimFs::lose_writes(int64_t from_s, const std::function<bool()>& lost) {
  for (auto& [ino, node] : nodes_)
    if (node.type == FileType::regular && node.written_s >= from_s && !node.data.empty() && lost())
      node.data.back() ^= 1;
}

std::string compare(const SimFs& source, uint64_t source_root, const SimFs& target, uint64_t target_root,
                    const mirror::ExcludeFn& exclude, bool extras_left_out, std::string* path) {
  struct Pair {
    uint64_t a, b;
    std::string path;
  };
  std::vector<Pair> todo{{source_root, target_root, ""}};
  std::map<uint64_t, uint64_t> there, back;
  auto differs = [&](const std::string& at, const char* what) {
    if (path) *path = at;
    return "/" + at + ": " + what;
  };
  while (!todo.empty()) {
    Pair pair = todo.back();
    todo.pop_back();
    const Node& a = *source.find(pair.a);
    const Node& b = *target.find(pair.b);
    if (a.type != b.type) return differs(pair.path, "type");
    if (!there.emplace(pair.a, pair.b).second && there[pair.a] != pair.b) return differs(pair.path, "hard links");
    if (!back.emplace(pair.b, pair.a).second && back[pair.b] != pair.a) return differs(pair.path, "hard links");
    if (a.mode != b.mode) return differs(pair.path, "mode");
    if (a.uid != b.uid || a.gid != b.gid) return differs(pair.path, "owner");
    if (a.mtime != b.mtime) return differs(pair.path, "mtime");
    if (a.data != b.data) return differs(pair.path, "contents");
    if (a.xattrs != b.xattrs) return differs(pair.path, "xattrs");
    std::string prefix = pair.path.empty() ? "" : pair.path + "/";
    auto left_out = [&](const std::string& name, uint64_t ino) {
      return exclude && exclude(prefix + name, source.find(ino)->type == FileType::directory);
    };
    for (const auto& [name, ino] : a.entries) {
      if (left_out(name, ino)) continue;
      auto other = b.entries.find(name);
      if (other == b.entries.end()) return differs(prefix + name, "missing");
      todo.push_back({ino, other->second, prefix + name});
    }
    for (const auto& [name, ino] : b.entries) {
      if (pair.path.empty() && name == ".reel") continue;
      auto wanted = a.entries.find(name);
      if (wanted != a.entries.end() && !left_out(name, wanted->second)) continue;
      // What somebody put there under a name that the filter leaves out is not the mirror's to
      // touch.
      bool theirs = extras_left_out && exclude && exclude(prefix + name, target.find(ino)->type == FileType::directory);
      if (!theirs) return differs(prefix + name, "extra");
    }
  }
  return "";
}

}  // namespace reel::sim

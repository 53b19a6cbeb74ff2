// SPDX-License-Identifier: Apache-2.0
//
// Names: resolving, inferring, ordering.
#include "replay/plan/things/names.h"

#include <errno.h>
#include <fcntl.h>

#include <utility>

namespace reel::replay {
namespace {

constexpr int kMostLinks = 40;  // the kernel's own limit

bool is_machine_top(std::string_view name) {
  return name == "proc" || name == "sys" || name == "dev";
}

std::string below(const std::string& directory, const std::string& name) {
  return directory.empty() || directory == "." ? name : directory + "/" + name;
}

}  // namespace

bool missing(const trace::Event& event) {
  return event.failed() && event.result != -EEXIST && event.result != -ENOTEMPTY && event.result != -EISDIR &&
         event.result != -EADDRINUSE;
}

bool follows(const trace::Event& event) {
  switch (event.op) {
    case trace::Op::readlink:
      return false;
    case trace::Op::open:
      return (event.flags & O_NOFOLLOW) == 0 && (event.flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
    default:
      return (event.flags & AT_SYMLINK_NOFOLLOW) == 0;
  }
}

Names::Names(Plan& plan, Needs& needs) : plan_(plan), needs_(needs), nodes_(2) {
  plan_.dirs.emplace_back();  // 0: none
  Node& top = nodes_[1];
  top.known = top.top = true;
  top.kind = FileKind::directory;
  instances_.push_back({true, 0, "."});
  top.instance = 1;
  plan_.instances = 2;
}

void Names::map(const std::string& old_prefix, uint32_t root) {
  Node& node = nodes_[resolve(old_prefix, false)];
  node.known = node.top = true;
  node.machine = false;
  node.root = root;
  node.kind = FileKind::directory;
  node.instance = static_cast<uint32_t>(instances_.size());
  instances_.push_back({true, root, "."});
  plan_.instances = static_cast<uint32_t>(instances_.size());
}

void Names::initial(const trace::FileState& state, const std::string& path, const std::string& link_text) {
  NodeId id = resolve(path, false);
  if (id == 0 || nodes_[id].machine || nodes_[id].top) return;
  // What follows from results alone is inferred here too, by those calls that show it.
  bool plain = state.kind == FileKind::file || state.kind == FileKind::directory;
  if (state.known == trace::Known::inferred && plain) return;
  Node& node = nodes_[id];
  bool implied = node.known && node.initial != 0 && node.kind == state.kind;
  if (node.known && !implied) return;
  if (state.kind == FileKind::absent) {
    node.known = true;
    return;
  }
  exists(id, state.kind == FileKind::directory);
  node.kind = state.kind;
  node.link = link_text;
  if (state.nlink > 1 && state.kind != FileKind::directory && !state.object.is_zero()) {
    uint32_t& file = linked_[state.object];
    if (file == 0) file = ++files_;
    node.file = file;
  }
  Initial& initial = plan_.initial[node.initial - 1];
  initial.kind = state.kind;
  initial.link_text = link_text;
  initial.mode = state.mode;
  initial.uid = state.uid;
  initial.gid = state.gid;
  initial.size = state.size;
  initial.allocated = state.allocated;
  initial.rdev = state.rdev;
  initial.object = state.object;
  initial.content = state.content;
  initial.known = state.known;
}

NodeId Names::child(NodeId parent, std::string_view name) {
  Node& above = nodes_[parent];
  auto at = above.children.find(name);
  if (at != above.children.end()) return at->second;
  auto id = static_cast<NodeId>(nodes_.size());
  Node& made = nodes_.emplace_back();
  made.parent = parent;
  made.name = name;
  made.machine = above.machine || (parent == 1 && is_machine_top(name));
  // Shared memory is a file system like others.
  if (made.machine && name == "shm" && above.name == "dev" && above.parent == 1) made.machine = false;
  // What is in a directory that the trace made is what the trace put there.
  if (above.known && above.kind == FileKind::directory && above.instance != 0 && !instances_[above.instance].initial)
    made.known = true;
  above.children.emplace(name, id);
  return id;
}

NodeId Names::walk(NodeId at, std::string_view path, bool follow, int& links, std::vector<NodeId>* through) {
  size_t begin = 0;
  while (begin < path.size()) {
    size_t end = path.find('/', begin);
    if (end == std::string_view::npos) end = path.size();
    std::string_view part = path.substr(begin, end - begin);
    begin = end;
    while (begin < path.size() && path[begin] == '/') ++begin;
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (through) through->push_back(at);
      // Where there is no directory ".." leads nowhere; the name below it says so when it is played. But who is in a
      // directory that was removed still gets out of it.
      bool directory = nodes_[at].known && nodes_[at].kind == FileKind::directory;
      bool nowhere = missing_ && !directory;
      at = nowhere ? child(at, part) : nodes_[at].parent == 0 ? at : nodes_[at].parent;
      continue;
    }
    NodeId next = child(at, part);
    bool last = begin >= path.size();
    if (nodes_[next].known && nodes_[next].kind == FileKind::symlink && (!last || follow)) {
      if (++links > kMostLinks) return 0;
      if (through) through->push_back(next);
      const std::string text = nodes_[next].link;
      next = walk(text.starts_with('/') ? 1 : at, text, true, links, through);
      if (next == 0) return 0;
    }
    at = next;
  }
  return at;
}

NodeId Names::resolve(std::string_view path, bool follow, std::vector<NodeId>* through, bool missing) {
  int links = 0;
  missing_ = missing;
  return walk(1, path, follow, links, through);
}

std::string Names::path_of(NodeId id, uint32_t& root) const {
  std::string path;
  while (!nodes_[id].top && nodes_[id].parent != 0) {
    if (!path.empty()) path.insert(0, "/");
    path.insert(0, nodes_[id].name);
    id = nodes_[id].parent;
  }
  root = nodes_[id].root;
  return path.empty() ? "." : path;
}

// The directory that is here; it gets a number when it has none.
uint32_t Names::instance_at(NodeId id) {
  Node& node = nodes_[id];
  if (node.instance != 0 || node.kind != FileKind::directory) return node.instance;
  node.instance = static_cast<uint32_t>(instances_.size());
  Instance made;
  if (node.initial != 0) made = {true, plan_.initial[node.initial - 1].root, plan_.initial[node.initial - 1].path};
  instances_.push_back(made);
  plan_.instances = static_cast<uint32_t>(instances_.size());
  return node.instance;
}

uint32_t Names::as_dir(NodeId id) {
  uint32_t instance = instance_at(id);
  Node& node = nodes_[id];
  if (node.dir != 0 && node.dir_epoch == epoch_ && plan_.dirs[node.dir].instance == instance) return node.dir;
  Dir dir;
  dir.instance = instance;
  dir.path = path_of(id, dir.root);
  auto [at, added] = dirs_.try_emplace({instance, std::to_string(dir.root) + ":" + dir.path},
                                       static_cast<uint32_t>(plan_.dirs.size()));
  if (added) plan_.dirs.push_back(std::move(dir));
  node.dir = at->second;
  node.dir_epoch = epoch_;
  return node.dir;
}

uint32_t Names::dir_of(NodeId id) {
  return as_dir(nodes_[id].top ? id : nodes_[id].parent);
}

uint32_t Names::name_of(NodeId id) {
  return intern(nodes_[id].top ? "." : nodes_[id].name);
}

uint32_t Names::instance_of(NodeId id) const {
  return nodes_[id].instance;
}

uint32_t Names::intern(const std::string& name) {
  auto [at, added] = interned_.try_emplace(name, static_cast<uint32_t>(plan_.names.size()));
  if (added) plan_.names.push_back(name);
  return at->second;
}

void Names::needs_above(NodeId id) {
  for (NodeId above = nodes_[id].parent; above != 0; above = nodes_[above].parent)
    nodes_[above].cell.require_change(needs_.because(Why::name));
}

void Names::use(NodeId id, Need me) {
  if (polling_) return;
  nodes_[id].cell.use(me, needs_.because(Why::name));
  needs_above(id);
}

void Names::exists(NodeId id, bool directory) {
  Node& node = nodes_[id];
  if (node.top) return;
  if (node.machine) {
    // Not made for its own sake, but /dev is there for /dev/shm.
    if (!directory || node.known) return;
    node.known = true;
    node.kind = FileKind::directory;
    Instance here{true, 0, ""};
    here.origin = path_of(id, here.root);
    node.instance = static_cast<uint32_t>(instances_.size());
    instances_.push_back(here);
    plan_.instances = static_cast<uint32_t>(instances_.size());
    return;
  }
  if (node.parent != 0) exists(node.parent, true);
  if (node.known) {
    // A file by inference, and now it turns out to be a directory.
    if (!directory || node.kind != FileKind::file || node.initial == 0) return;
    Initial& initial = plan_.initial[node.initial - 1];
    if (initial.known != trace::Known::inferred) return;
    initial.kind = node.kind = FileKind::directory;
    return;
  }
  node.known = true;
  node.kind = directory ? FileKind::directory : FileKind::file;
  const Instance& above = instances_[instance_at(node.parent)];
  if (!above.initial) return;
  Initial& initial = plan_.initial.emplace_back();
  initial.root = above.root;
  initial.path = below(above.origin, node.name);
  initial.kind = node.kind;
  node.initial = static_cast<uint32_t>(plan_.initial.size());
}

void Names::found_no_file_above(NodeId id) {
  for (NodeId above = nodes_[id].parent; above != 0; above = nodes_[above].parent)
    if (nodes_[above].known && nodes_[above].kind == FileKind::file) exists(above, true);
}

void Names::settle_below(NodeId id) {
  nodes_[id].listing.settle(needs_.because(Why::name));
  for (auto& [name, inner] : nodes_[id].children) {
    nodes_[inner].cell.settle(needs_.because(Why::name));
    settle_below(inner);
  }
}

void Names::changed(NodeId id, Need me, FileKind now, std::string_view link_text) {
  Node& node = nodes_[id];
  exists(node.parent, true);
  settle_below(id);
  needs_above(id);
  node.cell.change(me, needs_.because(Why::name));
  if (node.parent != 0) nodes_[node.parent].listing.change(me, needs_.because(Why::name));
  if (!node.children.empty()) ++epoch_;
  node.children.clear();
  node.known = true;
  node.kind = now;
  node.link = link_text;
  node.initial = node.instance = node.file = 0;
  if (now == FileKind::directory) instance_at(id);
}

void Names::linked(NodeId from, NodeId to) {
  if (nodes_[from].file == 0) nodes_[from].file = ++files_;
  nodes_[to].file = nodes_[from].file;
}

// What was at `from` is at `to`.
void Names::move(NodeId from, NodeId to) {
  Node &source = nodes_[from], &target = nodes_[to];
  std::swap(source.kind, target.kind);
  std::swap(source.link, target.link);
  std::swap(source.instance, target.instance);
  std::swap(source.initial, target.initial);
  std::swap(source.file, target.file);
  std::swap(source.children, target.children);
  for (auto& [name, inner] : source.children) nodes_[inner].parent = from;
  for (auto& [name, inner] : target.children) nodes_[inner].parent = to;
}

void Names::renamed(NodeId from, NodeId to, Need me, bool exchange) {
  Node &source = nodes_[from], &target = nodes_[to];
  for (NodeId id : {from, to}) {
    exists(nodes_[id].parent, true);
    settle_below(id);
    needs_above(id);
    nodes_[id].cell.change(me, needs_.because(Why::name));
    if (nodes_[id].parent != 0) nodes_[nodes_[id].parent].listing.change(me, needs_.because(Why::name));
  }
  if (from == to) return;
  if (!source.children.empty() || !target.children.empty() || source.kind == FileKind::directory) ++epoch_;
  move(from, to);
  source.known = target.known = true;
  if (exchange) return;
  source.kind = FileKind::absent;
  source.link.clear();
  source.initial = source.instance = source.file = 0;
  source.children.clear();
}

void Names::listed(NodeId id, Need me) {
  nodes_[id].listing.list(me, needs_.because(Why::name));
}

bool Names::is_below(NodeId id, NodeId above) const {
  for (id = nodes_[id].parent; id != 0; id = nodes_[id].parent)
    if (id == above) return true;
  return false;
}

// What is no directory has nothing below it. A file by inference may still turn out to be one.
bool Names::may_hold_names(NodeId id) const {
  const Node& node = nodes_[id];
  if (!node.known || node.kind == FileKind::directory) return true;
  return node.kind == FileKind::file && node.initial != 0 &&
         plan_.initial[node.initial - 1].known == trace::Known::inferred;
}

NodeId Names::hole_above(NodeId id) const {
  NodeId hole = 0;
  for (; id != 0 && !nodes_[id].top; id = nodes_[id].parent) {
    bool absent = nodes_[id].known && nodes_[id].kind == FileKind::absent;
    if (absent || !may_hold_names(nodes_[id].parent)) hole = id;
  }
  return hole;
}

void Names::is_link(NodeId id, uint64_t bytes) {
  Node& node = nodes_[id];
  if (node.initial == 0 || node.kind == FileKind::symlink) return;
  Initial& initial = plan_.initial[node.initial - 1];
  if (initial.known != trace::Known::inferred) return;
  initial.kind = node.kind = FileKind::symlink;
  initial.link_text = node.link = std::string(bytes, 'x');
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
#include "sim/world.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace reel::sim {
namespace {

constexpr size_t kQueueMax = 400;

}  // namespace

World::World(uint64_t seed) : random(seed) {
  uint64_t out = 0;
  fs.create(SimFs::kRoot, "src", FileType::directory, 0755, &source_root);
  fs.create(SimFs::kRoot, "out", FileType::directory, 0755, &out);
  uint64_t own = 0;
  uint64_t park = 0;
  target.create(SimFs::kRoot, ".reel", FileType::directory, 0700, &own);
  target.create(own, "park", FileType::directory, 0700, &park);
  target_durable = target;
}

void World::push(OwnedRecord record) {
  if (std::getenv("REEL_SIM_TRACE"))
    std::printf("    record %u target %s %s/%s from %s %s/%s\n", static_cast<unsigned>(record.record.type),
                to_string(record.record.target).c_str(), to_string(record.record.parent).c_str(), record.name.c_str(),
                to_string(record.record.source).c_str(), to_string(record.record.source_parent).c_str(),
                record.source_name.c_str());
  // The kernel merges an event into an unread one that looks the same.
  for (const OwnedRecord& old : queue) {
    const Record& a = old.record;
    const Record& b = record.record;
    if (a.type == b.type && a.target == b.target && a.parent == b.parent && a.source == b.source &&
        a.source_parent == b.source_parent && old.name == record.name && old.source_name == record.source_name)
      return;
  }
  record.record.time = pack_time(static_cast<uint64_t>(now_s), 0);
  queue.push_back(std::move(record));
  if (queue.size() > kQueueMax) {
    queue.clear();
    gap("overflow");
  }
}

void World::gap(const char* why, uint16_t flags) {
  if (std::getenv("REEL_SIM_TRACE")) std::printf("    record GAP %s\n", why);
  OwnedRecord record;
  record.record.type = RecordType::gap;
  record.record.flags |= flags;
  record.record.time = pack_time(static_cast<uint64_t>(now_s), 0);
  record.name = why;
  queue.push_back(std::move(record));
}

void World::emit(RecordType type, uint64_t object, uint64_t dir, const std::string& name) {
  OwnedRecord record;
  record.record.type = type;
  if (fs.find(object)) record.record.target = fs.fid(object);
  if (fs.find(dir)) record.record.parent = fs.fid(dir);
  record.name = name;
  push(std::move(record));
}

void World::emit_rename(uint64_t object, uint64_t from, const std::string& from_name, uint64_t to,
                        const std::string& to_name) {
  OwnedRecord record;
  record.record.type = RecordType::renme;
  record.record.source = fs.fid(object);
  record.record.source_parent = fs.fid(from);
  record.record.parent = fs.fid(to);
  record.name = to_name;
  record.source_name = from_name;
  push(std::move(record));
}

void World::drain() {
  for (; !queue.empty(); queue.pop_front()) {
    Stream& stream = streams[streams.size() > 1 ? pick(streams.size()) : 0];
    stream.log.push_back(std::move(queue.front()));
    stream.log.back().record.index = stream.log.size();
  }
}

void World::commit_log() {
  for (Stream& stream : streams) stream.durable = stream.log.size();
}

log::Position World::log_end() const {
  log::Position end;
  for (const Stream& stream : streams) end.set(stream.name, stream.log.size());
  return end;
}

void World::split_log(size_t count) {
  streams.clear();
  for (size_t i = 0; i < count; ++i) streams.push_back({"mdt" + std::to_string(i), {}, 0});
}

std::vector<uint64_t> World::all(FileType type) const {
  std::vector<uint64_t> found;
  std::vector<uint64_t> dirs{SimFs::kRoot};
  while (!dirs.empty()) {
    uint64_t dir = dirs.back();
    dirs.pop_back();
    if (type == FileType::directory && dir != SimFs::kRoot) found.push_back(dir);
    for (const auto& [name, ino] : fs.find(dir)->entries) {
      const Node& node = *fs.find(ino);
      if (node.type == FileType::directory)
        dirs.push_back(ino);
      else if (type != FileType::directory)
        found.push_back(ino);
    }
  }
  return found;
}

uint64_t World::random_dir() {
  std::vector<uint64_t> dirs = all(FileType::directory);
  return chance() < 0.25 ? source_root : dirs[pick(dirs.size())];
}
uint64_t World::random_node(FileType type) {
  std::vector<uint64_t> nodes = all(type);
  return nodes.empty() ? 0 : nodes[pick(nodes.size())];
}

void World::random_change() {
  fs.now_s = now_s;
  switch (pick(10)) {
    case 0:
    case 1:
    case 2:
      return create_something();
    case 3:
    case 4:
      return remove_something();
    case 5:
    case 6:
    case 7:
      return move_something();
    default:
      return change_something();
  }
}

void World::create_something() {
  uint64_t dir = random_dir();
  std::string name = random_name();
  uint64_t kind = pick(8);
  uint64_t ino = 0;
  if (kind == 0) {
    uint64_t file = random_node(FileType::regular);
    if (file && fs.link(file, dir, name) == 0) emit(RecordType::creat, file, dir, name);
    return;
  }
  FileType type = kind < 4 ? FileType::directory : kind == 4 ? FileType::symlink : FileType::regular;
  if (fs.create(dir, name, type, type == FileType::symlink ? 0777 : 0644, &ino) != 0) return;
  if (type == FileType::symlink) fs.find(ino)->data = "to" + random_name();
  emit(type == FileType::directory ? RecordType::mkdir : RecordType::creat, ino, dir, name);
  if (type != FileType::regular) return;
  if (chance() < 0.7) {
    fs.write(ino, "data" + std::to_string(pick(1000)));
    emit(RecordType::close, ino, dir, name);
  }
}

void World::remove_something() {
  uint64_t dir = random_dir();
  auto& entries = fs.find(dir)->entries;
  if (entries.empty()) return;
  auto at = entries.begin();
  std::advance(at, static_cast<long>(pick(entries.size())));
  std::string name = at->first;
  uint64_t ino = at->second;
  if (ino == source_root) return;
  Fid fid = fs.fid(ino);
  bool is_dir = fs.find(ino)->type == FileType::directory;
  if ((is_dir ? fs.rmdir(dir, name) : fs.unlink(dir, name)) != 0) return;
  OwnedRecord record;
  record.record.type = is_dir ? RecordType::rmdir : RecordType::unlnk;
  record.record.target = fid;
  record.record.parent = fs.fid(dir);
  record.name = name;
  push(std::move(record));
}

void World::move_something() {
  uint64_t from = random_dir();
  auto& entries = fs.find(from)->entries;
  if (entries.empty()) return;
  auto at = entries.begin();
  std::advance(at, static_cast<long>(pick(entries.size())));
  std::string from_name = at->first;
  uint64_t ino = at->second;
  uint64_t to = random_dir();
  std::string to_name = random_name();
  if (chance() < 0.2) {
    auto there = fs.find(to)->entries.find(to_name);
    if (there == fs.find(to)->entries.end() || there->second == ino) return;
    uint64_t other = there->second;
    if (fs.exchange(from, from_name, to, to_name) != 0) return;
    emit_rename(ino, from, from_name, to, to_name);
    emit_rename(other, to, to_name, from, from_name);
    return;
  }
  auto there = fs.find(to)->entries.find(to_name);
  bool no_op = there != fs.find(to)->entries.end() && there->second == ino;
  if (fs.rename(from, from_name, to, to_name, true) == 0 && !no_op) emit_rename(ino, from, from_name, to, to_name);
}

void World::change_something() {
  bool dir = chance() < 0.3;
  uint64_t ino = dir ? random_node(FileType::directory) : random_node(FileType::regular);
  if (!ino) return;
  Node& node = *fs.find(ino);
  RecordType type = RecordType::sattr;
  uint64_t kind = pick(6);
  if (kind == 0) node.mode = static_cast<uint32_t>(pick(010000));
  if (kind == 1) node.uid = static_cast<uint32_t>(pick(5));
  if (kind == 2) node.xattrs["user." + random_name()] = std::to_string(pick(100));
  if (kind == 3) node.xattrs.clear();
  if (kind == 4) node.mtime = {static_cast<int64_t>(pick(50)), 0};
  if (kind == 5 && node.type == FileType::regular) {
    Time before = node.mtime;
    fs.write(ino, "data" + std::to_string(pick(1000)));
    if (chance() < 0.3) node.mtime = before;  // as touch -r does
    type = RecordType::write;
  }
  fs.touch(ino);
  emit(type, ino, dir ? ino : node.parent, "");
}

// Rules on a name wherever it is, on directories of that name, on a path from the top, on a path's
// end.
void World::pick_filter() {
  uint64_t kind = pick(6);
  std::string name = random_name();
  std::string path = random_name() + "/" + name;
  filter_text = std::to_string(kind) + path;
  if (kind > 3) {
    exclude = {};
    filter_text.clear();
    return;
  }
  exclude = [=](const std::string& at, bool is_dir) {
    bool same_name = at.substr(at.rfind('/') + 1) == name;
    if (kind == 0) return same_name;
    if (kind == 1) return same_name && is_dir;
    return kind == 2 ? at == path : at == path || at.ends_with("/" + path);
  };
}

void World::tamper() {
  std::vector<uint64_t> dirs{SimFs::kRoot};
  std::vector<std::pair<uint64_t, std::string>> names;
  for (size_t i = 0; i < dirs.size(); ++i)
    for (const auto& [name, ino] : target.find(dirs[i])->entries) {
      if (i == 0 && name == ".reel") continue;
      names.emplace_back(dirs[i], name);
      if (target.find(ino)->type == FileType::directory) dirs.push_back(ino);
    }
  uint64_t to = dirs[pick(dirs.size())];
  uint64_t ino = 0;
  if (names.empty() || pick(4) == 0) {
    target.create(to, random_name(), pick(2) ? FileType::directory : FileType::regular, 0600, &ino);
    return;
  }
  const auto& [dir, name] = names[pick(names.size())];
  ino = target.find(dir)->entries[name];
  bool is_dir = target.find(ino)->type == FileType::directory;
  switch (pick(5)) {
    case 0:
      is_dir ? target.rmdir(dir, name) : target.unlink(dir, name);
      return;
    case 1:
      target.rename(dir, name, to, random_name(), true);
      return;
    case 2:
      target.find(ino)->mode ^= 1;
      return;
    case 3:
      target.link(ino, to, random_name());
      return;
    default:
      if (target.find(ino)->type == FileType::regular) target.write(ino, "somebody's");
      return;
  }
}

void World::maybe_crash() {
  if (faults.crash > 0 && chance() < faults.crash) throw Crash{};
}

void World::process_died() {
  if (chance() < 0.3) holder_died();
  drain();
}

void World::holder_died() {
  if (pick(2)) {
    lose_writes();
    ++source_mount;
  }
  lose_events();
  gap("holder gone", kFlagUnwatched);
}

void World::lose_writes() {
  fs.lose_writes(now_s - kWrittenBackSeconds + 1, [this] { return chance() < 0.5; });
}

// Among them, where ctime moves once a tick, those of changes that came within the tick of a file's ctime.
void World::lose_events() {
  queue.clear();
  if (fine_ctime) return;
  for (uint64_t ino : all(FileType::regular)) {
    Node& node = *fs.find(ino);
    if (node.type != FileType::regular || node.ctime.seconds <= now_s - kReadSeconds || pick(3)) continue;
    if (pick(2) && !node.data.empty())
      node.data.back() ^= 2;
    else
      node.mode ^= 1;
  }
}

void World::write_back_failed() {
  size_t kept = since_sync.empty() ? 0 : pick(since_sync.size() + 1);
  bool lose_contents = chance() < 0.5;
  target = target_durable;
  for (size_t i = 0; i < kept; ++i) since_sync[i](target, lose_contents && chance() < 0.5);
  target_durable = target;
  since_sync.clear();
}

void World::machine_died() {
  write_back_failed();
  lose_writes();
  size_t written = since_durable.empty() ? 0 : pick(since_durable.size() + 1);
  rows = rows_durable;
  for (size_t i = 0; i < written; ++i)
    for (const auto& item : since_durable[i].items) {
      if (item.value)
        rows[item.key] = *item.value;
      else
        rows.erase(item.key);
    }
  rows_durable = rows;
  since_durable.clear();
  lose_events();
  for (Stream& stream : streams) stream.log.resize(stream.durable + pick(stream.log.size() - stream.durable + 1));
  boot += "+";
  source_mount = 1;
  // A stream may begin again at an index that it had before: each has to say so.
  for (Stream& stream : streams) {
    OwnedRecord record;
    record.record.type = RecordType::gap;
    record.record.flags |= kFlagUnwatched;
    record.record.time = pack_time(static_cast<uint64_t>(now_s), 0);
    record.name = "reboot";
    stream.log.push_back(std::move(record));
    stream.log.back().record.index = stream.log.size();
  }
  commit_log();
}

}  // namespace reel::sim

// SPDX-License-Identifier: Apache-2.0
#include "sim/lustre_world.h"

#include <sstream>
#include <stdexcept>

namespace reel::sim {
namespace {

constexpr uint16_t kSetMode = 0x14, kSetOwner = 0xe4, kSetSize = 0xe, kSetTimes = 0x7, kSetCtime = 0x4;
constexpr uint16_t kClosedWrite = 0x42;

void must(int error, const std::string& what) {
  if (error) throw std::runtime_error(what + ": errno " + std::to_string(error));
}

}  // namespace

LustreWorld::LustreWorld(uint64_t seed, size_t mdts) : world(seed) {
  world.split_log(mdts);
}

void LustreWorld::run(const std::string& commands) {
  std::istringstream lines(commands);
  for (std::string command; std::getline(lines, command, ';');) {
    std::istringstream in(command);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (!words.empty()) execute(words);
    world.commit_log();
  }
}

LustreWorld::Place LustreWorld::place(const std::string& path) {
  Place at{world.source_root, "", world.source_root};
  if (path == ".") return at;
  for (size_t begin = 0; begin < path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    at.dir = at.ino;
    at.name = path.substr(begin, end - begin);
    Node* dir = world.fs.find(at.dir);
    if (!dir) throw std::runtime_error(path + ": no such directory");
    auto found = dir->entries.find(at.name);
    at.ino = found == dir->entries.end() ? 0 : found->second;
    begin = end + 1;
  }
  return at;
}

size_t LustreWorld::mdt_of(uint64_t ino) {
  auto at = mdts_.find(ino);
  return at == mdts_.end() ? 0 : at->second;
}

LustreWorld::Before LustreWorld::before(uint64_t ino) {
  Node* node = ino ? world.fs.find(ino) : nullptr;
  if (!node) return {};
  return {world.fs.fid(ino), mdt_of(ino), node->type == FileType::directory ? 1 : node->nlink};
}

void LustreWorld::append(size_t mdt, OwnedRecord record) {
  World::Stream& stream = world.streams[mdt % world.streams.size()];
  record.record.index = stream.log.size() + 1;
  stream.log.push_back(std::move(record));
}

void LustreWorld::log_names(RecordType type, size_t mdt, const Fid& target, uint64_t dir, const std::string& name,
                            uint16_t flags) {
  OwnedRecord owned;
  owned.record.type = type;
  owned.record.flags = kFlagVersion | flags;
  owned.record.target = target;
  owned.record.parent = world.fs.fid(dir);
  owned.name = name;
  append(mdt, std::move(owned));
}

// Of an object itself: the parent is stale data of another request, and there is no name.
void LustreWorld::log_object(RecordType type, uint64_t ino, uint16_t flags) {
  OwnedRecord owned;
  owned.record.type = type;
  owned.record.flags = kFlagVersion | flags;
  owned.record.target = world.fs.fid(ino);
  owned.record.parent = {0xbad, 0xbad, 0};
  append(mdt_of(ino), std::move(owned));
}

void LustreWorld::make(const Place& place, FileType type, RecordType record, const std::string& data) {
  uint64_t ino = 0;
  must(world.fs.create(place.dir, place.name, type, type == FileType::directory ? 0755 : 0644, &ino), place.name);
  world.fs.find(ino)->data = data;
  // A directory may live on any MDT, what is in it lives where it does.
  mdts_[ino] = type == FileType::directory ? world.pick(world.streams.size()) : mdt_of(place.dir);
  log_names(record, mdts_[ino], world.fs.fid(ino), place.dir, place.name);
  if (record == RecordType::creat) log_object(RecordType::close, ino, kClosedWrite);
}

void LustreWorld::remove(const Place& place, bool is_dir) {
  Before gone = before(place.ino);
  must(is_dir ? world.fs.rmdir(place.dir, place.name) : world.fs.unlink(place.dir, place.name), "rm " + place.name);
  log_names(is_dir ? RecordType::rmdir : RecordType::unlnk, gone.mdt, gone.fid, place.dir, place.name,
            gone.nlink == 1 ? kFlagLast : 0);
}

void LustreWorld::rename(const Place& from, const Place& to) {
  Before replaced = before(to.ino);
  OwnedRecord owned;
  owned.record.type = RecordType::renme;
  owned.record.flags = kFlagRename | (replaced.nlink == 1 ? kFlagLast : 0);
  owned.record.target = replaced.fid;
  owned.record.parent = world.fs.fid(to.dir);
  owned.name = to.name;
  owned.record.source = world.fs.fid(from.ino);
  owned.record.source_parent = world.fs.fid(from.dir);
  owned.source_name = from.name;
  must(world.fs.rename(from.dir, from.name, to.dir, to.name, true), "mv " + from.name);
  append(to.ino ? replaced.mdt : mdt_of(to.dir), std::move(owned));
}

// All further links of an object lead to another one; no record tells.
void LustreWorld::relink(uint64_t from, uint64_t to) {
  std::vector<uint64_t> dirs{world.source_root};
  for (size_t i = 0; i < dirs.size(); ++i) {
    auto entries = world.fs.find(dirs[i])->entries;
    for (const auto& [name, ino] : entries) {
      if (world.fs.find(ino)->type == FileType::directory) dirs.push_back(ino);
      if (ino != from) continue;
      Node& dir = *world.fs.find(dirs[i]);
      Time mtime = dir.mtime;
      must(world.fs.unlink(dirs[i], name), "migrate");
      must(world.fs.link(to, dirs[i], name), "migrate");
      dir.mtime = mtime;
    }
  }
}

// One record, with the two parents exchanged; the object has a new FID afterwards.
void LustreWorld::migrate(const Place& from, const Place& to) {
  OwnedRecord owned;
  owned.record.type = RecordType::migrt;
  owned.record.flags = kFlagRename;
  owned.record.source = world.fs.fid(from.ino);
  owned.record.parent = world.fs.fid(from.dir);
  owned.record.source_parent = world.fs.fid(to.dir);
  owned.name = to.name;
  owned.source_name = from.name;
  Node old = *world.fs.find(from.ino);
  // Directories: the MDT that they go to; others: the one that they leave.
  size_t new_mdt = mdt_of(from.ino) + 1;
  size_t mdt = old.type == FileType::directory ? new_mdt : mdt_of(from.ino);
  bool in_place = to.name == from.name && to.dir == from.dir;
  uint64_t ino = 0;
  must(world.fs.create(to.dir, in_place ? "\x01" : to.name, old.type, old.mode, &ino), "migrate");
  for (const auto& [name, child] : old.entries) must(world.fs.rename(from.ino, name, ino, name, false), "migrate");
  must(old.type == FileType::directory ? world.fs.rmdir(from.dir, from.name) : world.fs.unlink(from.dir, from.name),
       "migrate");
  if (in_place) must(world.fs.rename(to.dir, "\x01", to.dir, to.name, false), "migrate");
  relink(from.ino, ino);
  Node& made = *world.fs.find(ino);
  made.data = old.data;
  made.xattrs = old.xattrs;
  made.uid = old.uid;
  made.mtime = old.mtime;
  mdts_[ino] = new_mdt;
  owned.record.target = world.fs.fid(ino);
  append(mdt, std::move(owned));
}

bool LustreWorld::execute_on_names(const std::string& verb, const std::vector<std::string>& words) {
  Place at = place(words[1]);
  std::string text = words.size() > 2 ? words[2] : "";
  if (verb == "mkdir")
    make(at, FileType::directory, RecordType::mkdir, "");
  else if (verb == "create")
    make(at, FileType::regular, RecordType::creat, text);
  else if (verb == "symlink")
    make(at, FileType::symlink, RecordType::slink, text);
  else if (verb == "mkfifo")
    make(at, FileType::fifo, RecordType::mknod, "");
  else if (verb == "rm")
    remove(at, false);
  else if (verb == "rmdir")
    remove(at, true);
  else if (verb == "mv")
    rename(at, place(text));
  else if (verb == "migrate")
    migrate(at, at);
  else if (verb == "mvmigrate")
    migrate(at, place(text));
  else
    return false;
  return true;
}

void LustreWorld::execute(const std::vector<std::string>& words) {
  const std::string& verb = words[0];
  if (words.size() < 2) throw std::runtime_error("what to " + verb + "?");
  bool mode_first = verb == "chmod" || verb == "chown";
  if (!mode_first && execute_on_names(verb, words)) return;
  Place at = place(words[mode_first ? 2 : 1]);
  if (!at.ino) throw std::runtime_error(verb + ": nothing at " + words[1]);
  Node& node = *world.fs.find(at.ino);
  RecordType type = RecordType::sattr;
  uint16_t flags = 0;
  if (verb == "ln") {
    Place to = place(words[2]);
    must(world.fs.link(at.ino, to.dir, to.name), "ln");
    return log_names(RecordType::hlink, mdt_of(to.dir), world.fs.fid(at.ino), to.dir, to.name);
  }
  if (verb == "write") {
    world.fs.write(at.ino, words[2]);
    type = RecordType::close;
    flags = kClosedWrite;
  } else if (verb == "truncate") {
    world.fs.write(at.ino, "");
    type = RecordType::trunc;
    flags = kSetSize;
  } else if (verb == "chmod") {
    node.mode = static_cast<uint32_t>(std::stoul(words[1], nullptr, 8));
    flags = kSetMode;
  } else if (verb == "chown") {
    node.uid = static_cast<uint32_t>(std::stoul(words[1]));
    flags = kSetOwner;
  } else if (verb == "utime") {
    node.mtime = {std::stoll(words[2]), static_cast<uint32_t>(std::stoul(words[3]))};
    type = RecordType::mtime;
    flags = kSetTimes;
  } else if (verb == "hiddenacl") {
    log_object(RecordType::gxatr, at.ino, 0);
    node.xattrs["system.posix_acl_access"] = words[2];
    return world.fs.touch(at.ino);
  } else if (verb == "setx" || verb == "setfacl") {
    bool acl = verb == "setfacl";
    node.xattrs[acl ? "system.posix_acl_access" : words[2]] = acl ? words[2] : words.size() > 3 ? words[3] : "";
    type = acl ? RecordType::ctime : RecordType::xattr;
    flags = acl ? kSetCtime : 0;
  } else if (verb == "rmx") {
    node.xattrs.erase(words[2]);
    type = RecordType::xattr;
  } else {
    throw std::runtime_error("unknown command " + verb);
  }
  world.fs.touch(at.ino);
  log_object(type, at.ino, flags);
}

}  // namespace reel::sim

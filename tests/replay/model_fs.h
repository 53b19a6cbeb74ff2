// SPDX-License-Identifier: Apache-2.0
//
// A file system of names and sizes in memory, to record made-up programs on and to play plans on.
// It knows nothing of the planner: paths are resolved here once more.
#pragma once

#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace reel::replay {

class ModelFs {
 public:
  enum class Kind { file, directory, symlink };
  struct Inode {
    Kind kind = Kind::file;
    uint64_t size = 0;
    int links = 0;
    int64_t parent = 1;  // of directories
    std::string text;
    std::map<std::string, int> entries;
  };
  // Where a name is: the inode of its directory (or -errno) and the last component.
  struct Place {
    int64_t dir = 0;
    std::string name;
  };

  ModelFs() : inodes_(2) { inodes_[1].kind = Kind::directory; }

  Inode& inode(int64_t number) { return inodes_[static_cast<size_t>(number)]; }

  // The place of a path; the last component's symlinks followed when `follow`.
  Place find(const std::string& path, bool follow, int64_t at = 1, int depth = 0) {
    if (depth > 40) return {-ELOOP, ""};
    std::vector<std::string> parts;
    for (size_t begin = 0; begin < path.size();) {
      size_t end = std::min(path.find('/', begin), path.size());
      if (end > begin && path.substr(begin, end - begin) != ".") parts.push_back(path.substr(begin, end - begin));
      begin = end + 1;
    }
    if (!path.empty() && path[0] == '/') at = 1;
    if (parts.empty()) return {at, "."};
    for (size_t i = 0; i < parts.size(); ++i) {
      bool last = i + 1 == parts.size();
      if (inode(at).kind != Kind::directory) return {-ENOTDIR, ""};
      if (parts[i] == "..") {
        at = inode(at).parent;
        continue;
      }
      auto entry = inode(at).entries.find(parts[i]);
      bool link = entry != inode(at).entries.end() && inode(entry->second).kind == Kind::symlink;
      if (link && (!last || follow)) {
        Place target = find(inode(entry->second).text, true, at, depth + 1);
        if (target.dir < 0 || last) return target;
        at = look(target);
      } else if (last) {
        return {at, parts[i]};
      } else {
        at = entry == inode(at).entries.end() ? -ENOENT : entry->second;
      }
      if (at < 0) return {at, ""};
    }
    return {at, "."};
  }

  // The inode there, or -errno.
  int64_t look(const Place& place) {
    if (place.dir < 0) return place.dir;
    if (place.name == ".") return place.dir;
    if (inode(place.dir).kind != Kind::directory) return -ENOTDIR;
    auto entry = inode(place.dir).entries.find(place.name);
    return entry == inode(place.dir).entries.end() ? -ENOENT : entry->second;
  }

  int64_t open(const Place& place, int flags, int64_t& opened) {
    opened = look(place);
    if (opened == -ENOENT && place.dir >= 0 && (flags & O_CREAT) != 0) {
      opened = add(place, Kind::file, "");
      return opened;
    }
    if (opened < 0) return opened;
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return -EEXIST;
    if (inode(opened).kind == Kind::symlink) return -ELOOP;
    if (inode(opened).kind == Kind::directory && (flags & O_ACCMODE) != O_RDONLY) return -EISDIR;
    if ((flags & O_TRUNC) != 0 && inode(opened).kind == Kind::file) inode(opened).size = 0;
    return opened;
  }
  int64_t make(const Place& place, Kind kind, const std::string& text) {
    int64_t there = look(place);
    if (there >= 0) return -EEXIST;
    if (there != -ENOENT || place.dir < 0) return there;
    add(place, kind, text);
    return 0;
  }
  int64_t unlink(const Place& place) {
    int64_t there = look(place);
    if (there < 0) return there;
    if (inode(there).kind == Kind::directory) return -EISDIR;
    drop(place);
    return 0;
  }
  int64_t rmdir(const Place& place) {
    int64_t there = look(place);
    if (there < 0) return there;
    if (inode(there).kind != Kind::directory) return -ENOTDIR;
    if (place.name == ".") return -EBUSY;
    if (!inode(there).entries.empty()) return -ENOTEMPTY;
    drop(place);
    return 0;
  }
  int64_t rename(const Place& from, const Place& to) {
    int64_t moved = look(from);
    if (moved < 0) return moved;
    if (to.dir < 0) return to.dir;
    if (from.name == "." || to.name == ".") return -EBUSY;
    int64_t there = look(to);
    if (inode(moved).kind == Kind::directory && is_below(to.dir, moved)) return -EINVAL;
    if (there == moved) return 0;
    if (there >= 0) {
      bool directory = inode(moved).kind == Kind::directory;
      if (directory && inode(there).kind != Kind::directory) return -ENOTDIR;
      if (!directory && inode(there).kind == Kind::directory) return -EISDIR;
      if (directory && !inode(there).entries.empty()) return -ENOTEMPTY;
      drop(to);
    }
    inode(from.dir).entries.erase(from.name);
    inode(to.dir).entries[to.name] = static_cast<int>(moved);
    inode(moved).parent = to.dir;
    return 0;
  }
  int64_t link(const Place& from, const Place& to) {
    int64_t there = look(from);
    if (there < 0) return there;
    if (to.dir < 0) return to.dir;
    if (look(to) >= 0) return -EEXIST;
    if (inode(there).kind == Kind::directory) return -EPERM;
    ++inode(there).links;
    inode(to.dir).entries[to.name] = static_cast<int>(there);
    return 0;
  }
  int64_t read(int64_t number, uint64_t offset, uint64_t length) {
    uint64_t size = inode(number).size;
    return offset >= size ? 0 : static_cast<int64_t>(std::min(length, size - offset));
  }
  int64_t write(int64_t number, uint64_t offset, uint64_t length) {
    inode(number).size = std::max(inode(number).size, offset + length);
    return static_cast<int64_t>(length);
  }

  // All names with what they are, as lines.
  void tree(std::vector<std::string>& lines, const std::string& prefix = "", int64_t at = 1) {
    for (auto& [name, number] : inode(at).entries) {
      Inode& there = inode(number);
      lines.push_back(prefix + "/" + name + " " + std::to_string(static_cast<int>(there.kind)) + " " +
                      std::to_string(there.size) + " " + there.text);
      if (there.kind == Kind::directory) tree(lines, prefix + "/" + name, number);
    }
  }

 private:
  int64_t add(const Place& place, Kind kind, const std::string& text) {
    auto number = static_cast<int>(inodes_.size());
    Inode& made = inodes_.emplace_back();
    made.kind = kind;
    made.text = text;
    made.links = 1;
    made.parent = place.dir;
    inode(place.dir).entries[place.name] = number;
    return number;
  }
  void drop(const Place& place) {
    --inode(look(place)).links;
    inode(place.dir).entries.erase(place.name);
  }
  bool is_below(int64_t at, int64_t top) {
    if (at == top) return true;
    for (auto& [name, number] : inode(top).entries)
      if (inode(number).kind == Kind::directory && is_below(at, number)) return true;
    return false;
  }

  std::vector<Inode> inodes_;
};

}  // namespace reel::replay

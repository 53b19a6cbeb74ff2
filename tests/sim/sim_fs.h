// SPDX-License-Identifier: Apache-2.0
//
// A file system in memory: inodes with generations (numbers are reused, as on ext4), directories,
// hard links, attributes. Both sides of the simulation are made of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "mirror/plan/survey.h"

namespace reel::sim {

using mirror::Attributes;
using mirror::FileType;
using mirror::Time;

struct Node {
  uint64_t ino = 0;
  uint32_t generation = 0;
  FileType type = FileType::regular;
  uint32_t mode = 0, uid = 0, gid = 0, nlink = 0;
  Time mtime, ctime;
  std::string data;       // contents, or the text of a symlink
  int64_t written_s = 0;  // when contents were last written
  std::map<std::string, std::string> xattrs;
  std::map<std::string, uint64_t> entries;
  uint64_t parent = 0;  // of a directory
};

class SimFs {
 public:
  SimFs();

  static constexpr uint64_t kRoot = 2;
  Node* find(uint64_t ino);
  const Node* find(uint64_t ino) const;
  Fid fid(uint64_t ino) const;
  Node* find(const Fid& fid);  // null when gone
  bool is_below(uint64_t ino, uint64_t dir) const;
  Attributes attributes(const Node& node) const;

  // Each returns 0 or an errno.
  int create(uint64_t dir, const std::string& name, FileType type, uint32_t mode, uint64_t* ino);
  int link(uint64_t ino, uint64_t dir, const std::string& name);
  int unlink(uint64_t dir, const std::string& name);
  int rmdir(uint64_t dir, const std::string& name);
  int rename(uint64_t from, const std::string& from_name, uint64_t to, const std::string& to_name, bool replace);
  int exchange(uint64_t a, const std::string& a_name, uint64_t b, const std::string& b_name);
  void write(uint64_t ino, const std::string& data);
  void touch(uint64_t ino) { changed(ino); }  // ctime
  Time now();
  // A crash: of files whose contents were written from here on, some have others, and all else as it was.
  void lose_writes(int64_t from_s, const std::function<bool()>& lost);

  int64_t now_s = 1000;  // what a clock says

 private:
  void changed(uint64_t ino);
  void dir_changed(uint64_t dir);
  void drop_link(uint64_t ino);

  std::map<uint64_t, Node> nodes_;
  std::map<uint64_t, uint32_t> generations_;  // of freed numbers
  uint64_t next_ino_ = 10;
  uint32_t ticks_ = 0;
};

// "" when equal, else what differs first; `path` gets its path. Leaves out ".reel" at the target's root, and of
// the source what `exclude` (may be empty) says; with `extras_left_out` also what there is more on the target.
std::string compare(const SimFs& source, uint64_t source_root, const SimFs& target, uint64_t target_root,
                    const mirror::ExcludeFn& exclude, bool extras_left_out, std::string* path);

}  // namespace reel::sim

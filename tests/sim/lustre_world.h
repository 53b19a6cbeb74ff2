// SPDX-License-Identifier: Apache-2.0
//
// A Lustre in small: commands of a user change the simulated file system, and leave the records that
// the MDTs would write (types, which MDT, what is left out: FINDINGS and part C of the study), with
// one stream for each MDT and nothing in order between them.
#pragma once

#include <string>
#include <vector>

#include "sim/world.h"

namespace reel::sim {

class LustreWorld {
 public:
  LustreWorld(uint64_t seed, size_t mdts);

  // Commands with ';' or newlines between them; paths are relative to the source:
  //   mkdir P · create P TEXT · write P TEXT · truncate P · rm P · rmdir P · mv A B · ln A B · symlink P TEXT ·
  //   mkfifo P · chmod MODE P · chown UID P · utime P SECONDS NANOSECONDS · setx P NAME VALUE · rmx P NAME ·
  //   setfacl P VALUE (only a CTIME) · hiddenacl P VALUE (hidden by a GXATR that comes before it) ·
  //   migrate P (a new FID, also at its other links) · mvmigrate A B (a rename that is logged as MIGRT)
  void run(const std::string& commands);

  World world;

 private:
  struct Place {
    uint64_t dir = 0;
    std::string name;
    uint64_t ino = 0;  // 0: nothing is there
  };
  struct Before {
    Fid fid;
    size_t mdt = 0;
    uint32_t nlink = 0;
  };

  void execute(const std::vector<std::string>& words);
  bool execute_on_names(const std::string& verb, const std::vector<std::string>& words);
  void make(const Place& place, FileType type, RecordType record, const std::string& data);
  void remove(const Place& place, bool is_dir);
  void rename(const Place& from, const Place& to);
  void migrate(const Place& from, const Place& to);
  void relink(uint64_t from, uint64_t to);
  Place place(const std::string& path);
  Before before(uint64_t ino);
  size_t mdt_of(uint64_t ino);
  void log_names(RecordType type, size_t mdt, const Fid& target, uint64_t dir, const std::string& name,
                 uint16_t flags = 0);
  void log_object(RecordType type, uint64_t ino, uint16_t flags);
  void append(size_t mdt, OwnedRecord record);

  std::map<uint64_t, size_t> mdts_;  // where an inode lives
};

}  // namespace reel::sim

// SPDX-License-Identifier: Apache-2.0
//
// Does to the model what a recorded workload did to a real Lustre, and holds every record that the model writes against
// the recorded one.
//
// Most workloads have no list of their steps, so the operations are taken from the records: a record that the model
// has not written yet names the operation to do next; all other records have to come of operations that were done.
// So a record too many, too few, on another MDT, or in another order there shows, and so does every difference in type,
// flags, extensions, names and FIDs (a FID of the model must always be paired with the same recorded one).
//
// Taken from the recording, since it is policy, or what a client or a program decided: the MDT of a new directory and
// of an entry of a striped one; the order in which a migration takes entries; when a client gives up a cached handle,
// with which flags it had been opened, and whose job a record is; when an MDT forgot an inode (which is seen by a time
// record that would have been suppressed). Not compared: times, indexes, what follows the NUL of a text, and the parent
// of records that have none of their own (whatever the server's buffer held: A.4 of the study); and what is done to
// `.lustre` itself, which the model does not have.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "model_mdt/model_fs.h"

namespace reel::model {

struct Recorded {
  unsigned mdt = 0;
  Record record;  // a view into the raw bytes
};

class RecordedReplay {
 public:
  // `raws`: of each MDT what read(2) gave; they outlive it.
  RecordedReplay(const std::vector<std::string>& raws, unsigned mdts);

  // Does all of it. Empty: all is as recorded.
  std::string run();
  size_t compared() const { return compared_; }
  // It ended at a migration that the server left half done (full_2mdt/a_tour): the model makes no such directories.
  bool half_migrated() const { return half_migrated_; }

 private:
  void take_policies();
  std::string step(size_t at);
  bool is_written(const Recorded& r) const;
  std::string take(const Recorded& r);
  std::string differs(const Record& wanted, const Record& made);
  Record next_made(unsigned mdt) const;

  std::string apply(size_t at);
  std::string apply_to_names(size_t at, const std::string& path);
  std::string apply_to_object(size_t at);
  int create(size_t at, const std::string& path);
  int rename(const Record& record, const std::string& to);
  std::string migrate(const Recorded& r);
  const Recorded* migration_by(size_t at) const;
  int open(size_t at);
  void open_before_it_goes(size_t at, const Fid& going);
  int hsm(size_t at, const std::string& path);
  int release(size_t at, const std::string& path);
  int write_and_close(const Record& closed);
  int close(const Record& record);
  int close_hidden(const Record& record, std::vector<Handle>& open);
  int truncate(size_t at, const std::string& path);
  int set_time(size_t at, const std::string& path);
  void act_as(const Record& record);

  // The next record of this object on the same MDT.
  const Record* next_of(size_t at) const;
  bool is_parent(const Record& wanted, const Record& made);
  bool pair(const Fid& recorded, const Fid& model);
  std::string path_of(const Fid& model) const;
  std::string path_of_recorded(const Fid& recorded) const;
  std::optional<std::string> path(const Fid& parent, std::string_view name) const;

  ModelFs fs_;
  const std::vector<Recorded> records_;
  std::vector<size_t> taken_;  // of each MDT: records of the model that were compared
  std::map<Fid, Fid> there_, back_;
  std::map<Fid, std::vector<Handle>> handles_;  // by recorded FID
  std::map<std::pair<Fid, std::string>, unsigned> placed_;
  std::set<Fid> striped_;
  bool opens_are_logged_ = false, half_migrated_ = false;
  size_t compared_ = 0;
};

}  // namespace reel::model

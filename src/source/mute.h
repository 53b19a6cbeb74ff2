// SPDX-License-Identifier: Apache-2.0
//
// Keeps a file that is written all the time from costing its writer an event per write. A file that
// was modified in two batches running gets an ignore mark for MODIFY ("muted"); from then on its
// writes are free. lift() removes all such marks and then records a WRITE for each file that had one.
// Exact without looking at a time stamp: the data of a write that the mark swallowed were in place
// before the kernel looked at the mark, so before lift(), so before the WRITE that lift() records; a
// write that ends later makes an event again. lift() is called each second and by every barrier.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "reel/record.h"
#include "source/events.h"
#include "source/session.h"

namespace reel::source {

class Mute {
 public:
  Mute(int group, Session& session, std::string directory)
      : group_(group), session_(session), directory_(std::move(directory)) {}

  // A foreign event of the batch that is being read.
  void saw(const Event& event);
  // Between batches.
  void end_batch();

  bool any() const { return !session_.muted().empty(); }
  // Makes every muted file audible. Adds a WRITE for each; when these records are flushed, call
  // forget(). False when the kernel did not do it: then nothing is known of the files' state.
  bool lift(uint64_t time, std::vector<Record>& records);
  void forget() { session_.clear_muted(); }

 private:
  void mute(const Event& event);

  int group_;
  Session& session_;
  std::string directory_;  // on the file system, to open files by handle
  Fd mount_;               // `directory_`, open only within a batch: it would be in the way of umount
  std::unordered_set<Fid> modified_, modified_before_;  // in this batch and in the one before
  std::unordered_set<Fid> muted_;                       // by this process since the last lift()
};

}  // namespace reel::source

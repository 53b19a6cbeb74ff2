// SPDX-License-Identifier: Apache-2.0
//
// Writes that the source lost and the mirror has. A file system that comes back from a crash, or
// was unmounted by force, may have kept a file's size and times and lost contents that were written
// a while before (in place: ext4 and xfs alike), while the mirror had copied them out of the page
// cache. No time tells. So in the scan that follows, files which were changed late enough are
// compared by contents.
//
// That can only have happened when the page cache went. It goes with its file system, which no mounting
// outlives, and numbers of mountings are not given twice in one boot. So while the source is seen through
// the mounting through which all copies were read that the index takes for equal, every write that they hold is
// in the page cache or on the disk, whatever became of reel in between. Then only what happens to be untold by
// ctime is left to look at: where it moves once a tick, a change of the same tick as the copy whose event died with
// the queue.
#pragma once

#include "index/index.h"

namespace reel::mirror {

// One thread. What is put into the index becomes durable with the batch that it belongs to.
class LostWrites {
 public:
  // What was written longer ago than this (seconds) is on disk: the kernel begins to write after 30
  // s (vm.dirty_expire_centisecs), a slow disk under a large memory may take many minutes.
  static constexpr int64_t kWrittenBackSeconds = 3600;
  // Events that came longer than this before the last record are in the log, too: the queue is read in order, many
  // times a second.
  static constexpr int64_t kReadSeconds = 60;

  struct Limits {
    int64_t written_back_s = kWrittenBackSeconds, read_s = kReadSeconds;
  };

  LostWrites(Index& index, Limits limits) : index_(index), limits_(limits) {}

  // What the index says. `boot`: this run of the machine. Errors: the index's.
  Status load(const SourceTree& source, const std::string& boot);
  // Nothing was copied before.
  void begin();
  // All changes up to this time (realtime seconds) are known, those after it need not be.
  void reached(int64_t now_s);
  // A log says that the source was not watched all the time since `last_s` (without: since what was reached).
  void unwatched(std::optional<int64_t> last_s);
  // A start without a log.
  void started_without_log();
  // A scan has looked at everything since.
  void looked();

  // Files with a ctime from here on (realtime seconds) are not equal because ctime is; INT64_MAX:
  // all are.
  int64_t from_s() const { return from_s_; }
  // From here on not even their attributes are.
  int64_t untold_from_s() const { return untold_from_s_; }

 private:
  void suspect(int64_t from_s, int64_t untold_from_s);

  Index& index_;
  const Limits limits_;
  std::string here_;             // boot and mounting
  bool is_known_ = false;        // the mounting
  bool is_same_ = false;         // as that of all copies
  bool has_fine_ctime_ = false;  // no change is untold
  int64_t reached_s_ = 0;
  int64_t from_s_ = INT64_MAX, untold_from_s_ = INT64_MAX;
};

}  // namespace reel::mirror

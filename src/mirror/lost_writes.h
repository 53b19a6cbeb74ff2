// SPDX-License-Identifier: Apache-2.0
//
// Writes that the source lost and the mirror has. A file system that comes back from a crash, or
// was unmounted by force, may have kept a file's size and times and lost contents that were written
// a while before (in place: ext4 and xfs alike), while the mirror had copied them out of the page
// cache. No time tells. So in the scan that follows, files which were changed late enough are
// compared by contents.
#pragma once

#include "index/index.h"

namespace reel::mirror {

// One thread. What is put into the index becomes durable with the batch that it belongs to.
class LostWrites {
 public:
  // What was written longer ago than this (seconds) is on disk: the kernel begins to write after 30
  // s (vm.dirty_expire_centisecs), a slow disk under a large memory may take many minutes.
  static constexpr int64_t kWrittenBackSeconds = 3600;

  LostWrites(Index& index, int64_t written_back_s) : index_(index), written_back_s_(written_back_s) {}

  // What the index says. Errors: the index's.
  Status load();
  // All changes up to this time (realtime seconds) are known, those after it need not be.
  void reached(int64_t now_s);
  // The source may have crashed after `last_s`; without, after what was reached.
  void suspect(std::optional<int64_t> last_s);
  // A scan has looked at everything since.
  void looked();

  // Files with a ctime from here on (realtime seconds) are not equal because ctime is; INT64_MAX:
  // all are.
  int64_t from_s() const { return from_s_; }

 private:
  Index& index_;
  const int64_t written_back_s_;
  int64_t reached_s_ = 0;
  int64_t from_s_ = INT64_MAX;
};

}  // namespace reel::mirror

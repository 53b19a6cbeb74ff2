// SPDX-License-Identifier: Apache-2.0
//
// Room 2: what may differ -> what does differ. Reads the live source by FID and compares with the
// index. Every fact is read after the records of the batch were, so whatever changes later has a
// record in a later batch: the survey need not be a snapshot, only never too old.
#pragma once

#include <atomic>
#include <unordered_map>
#include <unordered_set>

#include "base/parallel.h"
#include "mirror/plan/fold.h"

namespace reel::mirror {

// One directory entry where source and index disagree. A zero FID means nothing is there.
struct Change {
  EntryKey key;
  Fid old_fid, new_fid;
  FileType new_type = FileType::regular;
  bool is_new = false;  // the index does not know new_fid
};

struct Trouble {
  std::string retry_key;
  int sys_errno = 0;
  std::string text;
};

struct Survey {
  std::vector<Change> changes;                           // a new directory comes before what is in it
  std::unordered_map<Fid, uint8_t, FidHash> objects;     // known objects to bring up to date: kDirty bits
  std::unordered_set<Fid, FidHash> alive;                // lost their last known name but still live somewhere
  std::vector<Fid> scans;                                // still to be scanned, in a later batch
  std::vector<Fid> scanned;                              // scans that are done with this batch
  std::vector<Fid> unread;                               // could not be read: each is a trouble, too
  std::vector<Trouble> troubles;                         // could not be looked at
  std::unordered_set<EntryKey, EntryKeyHash> looked_at;  // beside those of the DirtySet
  uint64_t lookups = 0;                                  // questions about one name or one object
};

struct SurveyLimits {
  // No further directory is read once scans have added this many changes and objects; one that is being
  // read may add up to `most`: cut off it would have to be read again from its beginning.
  size_t changes = 16384;
  size_t most = 50000;
  std::atomic<uint64_t>* entries_seen = nullptr;  // counts up while directories are read; may be null
  int64_t suspect_from_s = INT64_MAX;             // LostWrites::from_s
  int64_t untold_from_s = INT64_MAX;              // LostWrites::untold_from_s
  // Whether the target's copy of a suspected file has its contents still. Called in the pool. Empty: not known.
  std::function<bool(const Object&)> is_intact;
  size_t comparisons = 65536;  // no further directory is read after so many
};

// True when the entry is to be left out of the mirror.
using ExcludeFn = std::function<bool(const std::string& path, bool is_directory)>;

// `scans`: directories to read in this batch (as far as the limit allows; the rest comes back in
// Survey::scans). Errors: only of the index; what cannot be read on the source is a Trouble.
Result<Survey> survey(const DirtySet& dirty, const std::vector<Fid>& scans, const Index& index, SourceTree& source,
                      Pool& pool, const ExcludeFn& exclude, const SurveyLimits& limits);

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// Room 1: records -> what may differ. Pure; touches no OS. Records do not say what to do, they say
// where to look: directory entries (parent FID, name) and objects (FID).
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "index/index.h"
#include "reel/record.h"

namespace reel::mirror {

inline constexpr uint8_t kDirtyAttributes = 1;
inline constexpr uint8_t kDirtyData = 2;
// Scans only: no record vouches for what changed, so contents are compared even when size and
// mtime look the same.
inline constexpr uint8_t kDirtyDoubt = 4;
// Another object may be at its names by now, at those too that no record tells.
inline constexpr uint8_t kDirtyNames = 8;

struct DirtySet {
  std::unordered_set<EntryKey, EntryKeyHash> entries;
  std::unordered_map<Fid, uint8_t, FidHash> objects;
  std::vector<Fid> gaps;  // directories under which anything may have changed; zero FID: everywhere
  // Set: before one of the gaps the source may have crashed, after this time (packed; 0: before the set's
  // first record).
  std::optional<uint64_t> unwatched_since;
  uint64_t records = 0;    // folded into this set
  uint64_t last_time = 0;  // of the last record folded, packed as in Record

  bool empty() const { return entries.empty() && objects.empty() && gaps.empty(); }
  size_t size() const { return entries.size() + objects.size(); }
};

void fold(const Record& record, DirtySet& dirty);

}  // namespace reel::mirror

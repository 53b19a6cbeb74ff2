// SPDX-License-Identifier: Apache-2.0
//
// Room 3: a pure function from (index, survey) to operations, in an order in which each is valid
// when it runs:
//   moves    one at a time: straight to the new place where that is free, else into the park;
//            what lost its place but still lives is parked
//   unlinks, then rmdirs (deepest first): now every place that is to be taken is free
//   mkdirs   parents first
//   places   out of the park
//   creates  files, symlinks, nodes, with contents and attributes
//   links    further names
//   syncs    objects that were there before
//   dirs     attributes of every directory that was touched; last, because all of the above changes
//            directory times
#pragma once

#include "mirror/plan/survey.h"

namespace reel::mirror {

struct Op {
  Fid fid;
  FileType type = FileType::regular;
  EntryKey from;        // moves, unlinks, rmdirs, places
  EntryKey to;          // moves, places, mkdirs, creates, links
  uint8_t bits = 0;     // syncs, dirs: kDirty bits; moves into the park: kDirtyDoubt when it is owed a scan
  bool vacant = false;  // creates: the index had nothing at `to` before the batch, so it has nothing there now
};

struct Plan {
  std::vector<Op> moves, unlinks, rmdirs, mkdirs, places, creates, links, syncs, dirs;
  // Entries that contradict each other (the source moved on while it was surveyed): look again.
  std::vector<EntryKey> again;

  size_t deletions() const { return unlinks.size() + rmdirs.size(); }
  size_t size() const {
    return moves.size() + unlinks.size() + rmdirs.size() + mkdirs.size() + places.size() + creates.size() +
           links.size() + syncs.size() + dirs.size();
  }
};

// The name of an object in the park.
std::string park_name(const Fid& fid);

Result<Plan> make_plan(const Survey& survey, const Index& index);

}  // namespace reel::mirror

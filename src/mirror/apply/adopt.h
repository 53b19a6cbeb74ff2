// SPDX-License-Identifier: Apache-2.0
//
// Takes over a target that holds something already (an rsync copy, say): what matches the source by
// path, type and hard links is entered into the index with contents and attributes unknown, so that
// the scan which follows compares instead of copying. What does not match is removed.
#pragma once

#include "mirror/apply/apply.h"
#include "mirror/plan/target_dirs.h"

namespace reel::mirror {

struct AdoptOptions {
  ExcludeFn exclude;
  DoneFn done;                       // told of each name that is removed
  uint64_t max_delete = UINT64_MAX;  // more that the source has not: too_many, and nothing is removed
};

// Changes the index and writes it in pieces; safe to be interrupted and run again. Gives the number of
// objects that were removed because the source has none of that name or kind.
Result<uint64_t> adopt_target(Index& index, SourceTree& source, TargetTree& target, const AdoptOptions& options);

}  // namespace reel::mirror

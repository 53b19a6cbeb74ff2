// SPDX-License-Identifier: Apache-2.0
//
// Takes over a target that holds something already (an rsync copy, say): what matches the source by
// path, type and hard links is entered into the index with contents and attributes unknown, so that
// the scan which follows compares instead of copying. What does not match is removed.
#pragma once

#include "mirror/survey.h"
#include "mirror/target_dirs.h"

namespace reel::mirror {

// Changes the index and writes it in pieces; safe to be interrupted and run again.
Status adopt_target(Index& index, SourceTree& source, TargetTree& target, const ExcludeFn& exclude);

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// Differences that somebody found on the target without the index (reel verify) -> an intent, as if a
// batch that touched just these entries had been interrupted: relearn() then looks at them on the
// target, removes what is nobody's and has the rest made anew.
#pragma once

#include "mirror/mend/recover.h"
#include "mirror/plan/survey.h"

namespace reel::mirror {

// `paths`: relative to the target's root, "" the root itself. What `exclude` leaves out is not touched.
Result<Intent> intent_of_paths(const std::vector<std::string>& paths, const Index& index, TargetTree& target,
                               const Fid& root, const ExcludeFn& exclude);

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// Calls that failed for a reason that is not in the trace. Where they are played they might do what they did not.
#pragma once

#include "reel/trace.h"
#include "replay/plan/plan.h"

namespace reel::replay {

// timing: it was interrupted, or would have had to wait. refused: its machine did not let it. none: it did not fail, or
// fails again for the same reason.
Skip skip_of_failure(const trace::Event& event);

}  // namespace reel::replay

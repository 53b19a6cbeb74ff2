// SPDX-License-Identifier: Apache-2.0
//
// Whether all waiting of a program is known, tested by a run in which its threads were held up.
#pragma once

#include <vector>

#include "reel/trace.h"
#include "trace/throttle/series.h"

namespace reel::report {

// How much of the time for which other threads stopped while one was held is explained by the waiting that the calls
// show and `found` (whose threads are `plain`'s) says: 1 all, or nobody stopped; 0 nothing. A thread stopped where it
// was between two calls for longer than in the plain run, by half a hold and more. Played in thought without its holds
// the throttled run has no such stops where they are explained. Errors: as make_plan's.
Result<double> explained(const trace::Trace& plain, trace::Trace throttled, std::vector<trace::Series> found);

}  // namespace reel::report

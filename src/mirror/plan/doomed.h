// SPDX-License-Identifier: Apache-2.0
//
// How much of what a plan takes out of the tree has left the source for good, for --max-delete: a
// directory that is gone is parked first and removed bit by bit, and when that begins it is too late
// to ask.
#pragma once

#include "mirror/plan/plan.h"

namespace reel::mirror {

// Objects that the plan parks, and what the index has below them, as far as they do not live on the
// source any more. Stops counting above `enough`.
Result<uint64_t> count_doomed(const Plan& plan, const Index& index, SourceTree& source, uint64_t enough);

}  // namespace reel::mirror

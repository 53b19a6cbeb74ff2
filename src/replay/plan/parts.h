// SPDX-License-Identifier: Apache-2.0
//
// Which of several processes plays which threads of a plan.
#pragma once

#include <cstdint>
#include <vector>

#include "replay/plan/plan.h"

namespace reel::replay {

// By Thread::number - 1: the process, below `processes`. Threads that one makes, or that share a descriptor, stay
// together. Ranks of MPI are dealt out in blocks in their order, as launchers do it: as many processes as there were
// ranks play one each. Without ranks, those that belong together are dealt out likewise, in the order in which they
// begin; who has no rank where others do goes to process 0.
std::vector<uint32_t> parts_of(const trace::Trace& trace, const Plan& plan, uint32_t processes);

}  // namespace reel::replay

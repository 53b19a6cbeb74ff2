// SPDX-License-Identifier: Apache-2.0
//
// The initial state: makes what a trace's program found, with contents of the same kind.
#pragma once

#include <string>
#include <vector>

#include "reel/result.h"
#include "replay/plan/plan.h"

namespace reel::replay {

struct Prepared {
  uint64_t directories = 0, files = 0, links = 0, others = 0;
  uint64_t bytes = 0;                 // written
  std::vector<std::string> troubles;  // what could not be made, and why
};

// True when there is nothing in the directory, or no such directory.
Result<bool> is_empty(const std::string& directory);
// Makes `plan.initial` below the tops (World::open's), which are made themselves when missing. What
// cannot be made (a device without root) is a trouble, not an error. Errors: io, permission.
Result<Prepared> prepare(const Plan& plan, const std::vector<std::string>& tops);
// Removes all that is in the directory.
Status empty_out(const std::string& directory);

}  // namespace reel::replay

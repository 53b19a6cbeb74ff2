// SPDX-License-Identifier: Apache-2.0
//
// The second half of `reel verify --repair`: gives what differs back to the mirror it belongs to.
#pragma once

#include <string>
#include <vector>

#include "mirror/plan/survey.h"
#include "reel/result.h"

namespace reel::cli {

struct RepairPlace {
  std::string source, target;  // real paths
  std::string state_dir;
  mirror::ExcludeFn exclude;  // for a mirror that does not run; a running one has its own
  unsigned jobs = 0;
};

// Through the reel that runs on the state or, when none does, in this process. Returns when all is
// settled; gives the exit code of what could not be done (42: objects in trouble), 0 when all could.
Result<int> repair(const RepairPlace& place, const std::vector<std::string>& paths);

}  // namespace reel::cli

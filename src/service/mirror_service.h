// SPDX-License-Identifier: Apache-2.0
//
// `reel mirror`: joins a source, its log and one engine per target, until it is told to stop.
#pragma once

#include <functional>

#include "service/state/mirror.h"

namespace reel::service {

struct MirrorEnd {
  Result<MirrorReport> report;  // the last one, or the error that ended it
  // Threads are left that are deep in a system call. All that matters is on disk; the process must
  // end with _exit().
  bool abandoned = false;
};

// Runs until everything is done (once) or `stop` says so (asked often).
MirrorEnd run_mirror(const MirrorOptions& options, const std::function<Stop()>& stop);

}  // namespace reel::service

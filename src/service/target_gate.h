// SPDX-License-Identifier: Apache-2.0
//
// The way to a target: opened only when TARGET/.reel/id says that it is the one meant, so that
// nothing is written under an unmounted mount point or into somebody else's mirror. The target is
// opened anew whenever there is work and closed when there is none: an idle reel does not keep a
// file system from being unmounted.
#pragma once

#include "mirror/posix_target.h"
#include "service/state.h"

namespace reel::service {

enum class Adopt { no, yes };

struct PreparedTarget {
  TargetState state;
  bool adopted = false;  // there was something in it: it is compared, not taken for new
  bool fresh = false;    // first time with this state
};

// Decides what TARGET is and, when it is new, marks it as this mirror's.
// Errors: not_found (known, but not there now: unmounted), conflict (not empty, or another's mirror),
// invalid (same as or nested with the source), io, permission.
Result<PreparedTarget> prepare_target(State& state, const std::string& source, const std::string& target,
                                      Adopt adopt);

// Opens a prepared target. Errors: not_found (the marker is not there), conflict (another marker), io.
Result<std::unique_ptr<mirror::PosixTarget>> open_target(const TargetState& target,
                                                         const mirror::PosixTarget::Options& options);

}  // namespace reel::service

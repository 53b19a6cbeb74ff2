// SPDX-License-Identifier: Apache-2.0
//
// The way to a target: opened only when TARGET/.reel/id says that it is the one meant, so that
// nothing is written under an unmounted mount point or into somebody else's mirror. The target is
// opened anew whenever there is work and closed when there is none: an idle reel does not keep a
// file system from being unmounted.
#pragma once

#include "service/state/mirror.h"
#include "service/state/state.h"
#include "tree/posix/posix_target.h"

namespace reel::service {

// What may become of a target that this state does not have.
struct GateRules {
  Adopt adopt = Adopt::no;
  bool look_only = false;   // dry run: decide, but make and mark nothing
  bool known_only = false;  // conflict when it is not this mirror's already
};

struct PreparedTarget {
  TargetState state;     // id empty: new, and nothing was written
  bool adopted = false;  // there was something in it: it is compared, not taken for new
  bool fresh = false;    // first time with this state
};

// Whether source, target and state may lie where they do. Errors: invalid (the same, or one inside the
// other), io, permission.
Status check_places(const std::string& source, const std::string& target, const std::string& state_dir);

// Decides what TARGET is and, when it is new, marks it as this mirror's. `state` is null when there is
// none yet and none may be made (a dry run); `state_dir` says where it lies or would.
// Errors: not_found (known, but not there now: unmounted), conflict (not empty, or another's mirror),
// those of check_places().
Result<PreparedTarget> prepare_target(State* state, const std::string& state_dir, const std::string& source,
                                      const std::string& target, const GateRules& rules);

// Opens a prepared target. Errors: not_found (the marker is not there), conflict (another marker), io.
Result<std::unique_ptr<mirror::PosixTarget>> open_target(const TargetState& target,
                                                         const mirror::PosixTarget::Options& options);

}  // namespace reel::service

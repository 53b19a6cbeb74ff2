// SPDX-License-Identifier: Apache-2.0
//
// The holder: a process of a few pages that keeps the fanotify group and the session's memfd open
// while no reel reads them, so that a reel that died or was stopped can be followed by one that goes
// on without loss. It listens on STATE_DIR/hold.sock (0600, and only its own user and root are
// served), hands both descriptors to whoever attaches, and ends
//   - hold_seconds after the last reel has gone,
//   - when told to,
//   - when its socket has been removed from the state directory,
//   - when the file system cannot be watched any more (unmounted).
// It has no work of its own and never touches the events.
#pragma once

#include <string>

#include "base/fd.h"
#include "reel/result.h"
#include "source/fanotify_group.h"

namespace reel::source {

struct Holding {
  Fd connection;  // open as long as this process reads: that is how the holder knows
  Fd group;
  Fd memfd;
};

// Asks the holder of this state directory. Errors: not_found (there is none), busy (another process
// is attached), conflict (not one of ours), io.
Result<Holding> attach_holder(const std::string& state_dir, int hold_seconds);

// Starts a holder for these descriptors and attaches to it; gives the connection. A socket that lies
// there is replaced.
Result<Fd> start_holder(const std::string& state_dir, int hold_seconds, int group, int memfd, const FileSystem& fs);

// Tells the holder to end, and waits until it has (but not for long).
void dismiss_holder(Fd connection);

}  // namespace reel::source

// SPDX-License-Identifier: Apache-2.0
//
// The target of a dry run: says of every change that it was made, and makes none. What lies on the
// real target is read (it decides what has to be done); what was changed since is remembered as far as
// it can be asked for again: directories, and names that are no longer what they are on the disk. So
// memory grows with what would be moved or removed, not with what would be copied.
#pragma once

#include <memory>
#include <string>

#include "tree/tree.h"

namespace reel::mirror {

// `path` need not exist: then it is taken for an empty directory.
Result<std::unique_ptr<TargetTree>> open_dry_target(const std::string& path);

}  // namespace reel::mirror

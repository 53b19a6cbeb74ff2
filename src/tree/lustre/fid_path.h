// SPDX-License-Identifier: Apache-2.0
//
// From a FID back to names: all paths of an object below the root of a source.
#pragma once

#include <string>
#include <vector>

#include "tree/posix/posix_source.h"

namespace reel::mirror {

// Relative to the root, "" for the root itself; sorted. A directory is found at once; for anything
// else no file system keeps the way back, and the tree is searched until all its names are found.
// not_found: no such object, or none of its names is below the root. Takes the source's locator.
Result<std::vector<std::string>> find_paths(PosixSource& source, const Fid& fid);

}  // namespace reel::mirror

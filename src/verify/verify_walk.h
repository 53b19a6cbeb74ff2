// SPDX-License-Identifier: Apache-2.0
//
// The order in which verify goes through two trees: many threads, the deepest known directory first,
// so that what is waiting is at most the listings along a few paths.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace reel::mirror {

// From the root "" down: `list` fills in the names in a directory, `visit` is given some of them and
// adds the paths of those that are to be descended into. Both are called from `jobs` threads (0: one
// for each processor). Returns when nothing is left.
void walk_pairs(unsigned jobs,
                const std::function<void(const std::string& path, std::vector<std::string>& names)>& list,
                const std::function<void(const std::string& path, const std::vector<std::string>& names,
                                         std::vector<std::string>& below)>& visit);

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// Names of a Lustre's parts. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace reel::source::lustre {

// Of what is mounted: "10.0.0.1@tcp:/lustre/sub" is "lustre"; "" when it is no Lustre.
std::string fsname_of(const std::string& mounted);
// The MDTs among the names in /dev, by index: "changelog-lustre-MDT000a" is {10, "lustre-MDT000a"}.
std::map<unsigned, std::string> mdts_of(const std::string& fsname, const std::vector<std::string>& nodes);

}  // namespace reel::source::lustre

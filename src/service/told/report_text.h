// SPDX-License-Identifier: Apache-2.0
//
// A MirrorReport as JSON for programs and as text for people. `reel status` always gets the JSON
// (from the running reel, or from the file that the last one left) and renders it.
#pragma once

#include "service/state/mirror.h"

namespace reel::service {

// One object with a newline. Paths that are not UTF-8 have U+FFFD where a byte is none.
std::string report_json(const MirrorReport& report);
// Errors: corrupt.
Result<std::string> status_text(const std::string& json);
// "1.5 GiB"
std::string bytes_text(uint64_t bytes);
// What --stats prints at the end.
std::string stats_text(const MirrorReport& report);

}  // namespace reel::service

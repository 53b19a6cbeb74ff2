// SPDX-License-Identifier: Apache-2.0
//
// Recorded changelogs of a Lustre: DIR/mdt0.raw, mdt1.raw, ... hold what read(2) on the changelog
// device of each MDT gave. Each becomes a stream of the log ("mdt0", ...).
#pragma once

#include <string>
#include <vector>

#include "log/log.h"
#include "reel/result.h"

namespace reel::source {

// The streams of a recording, by number. Errors: not_found (there is none), io.
Result<std::vector<std::string>> recorded_streams(const std::string& dir);

// Appends what the stream does not have yet, and makes it durable. Where records are missing, cannot
// be read or begin again, a GAP takes their place; gives what was found wrong, one text each.
Result<std::vector<std::string>> take_recording(const std::string& dir, const std::string& stream, log::Writer& writer);

}  // namespace reel::source

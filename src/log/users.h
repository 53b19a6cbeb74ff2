// SPDX-License-Identifier: Apache-2.0
//
// What the rest of the log needs to know of the users of a stream.
#pragma once

#include <cstdint>
#include <string>

#include "base/env.h"
#include "reel/result.h"

namespace reel::log {

// The highest index any user, present or past, has cleared; 0 without users.
Result<uint64_t> highest_cleared(Env& env, const std::string& dir, const std::string& stream);
// Deletes the segments that every user has cleared; none when there is no user.
Status purge_cleared(Env& env, const std::string& dir, const std::string& stream);

}  // namespace reel::log

// SPDX-License-Identifier: Apache-2.0
//
// One trace from those of several processes of one parallel program.
#pragma once

#include <string>
#include <vector>

#include "base/env.h"
#include "reel/result.h"

namespace reel::trace {

struct Merged {
  uint64_t events = 0;
  std::vector<std::string> incomplete;  // what the merged trace does not have, in words
};

// Writes the trace `out` (it must hold none) from `logs`; they are read whole into memory. Docs: docs/trace-format.md,
// "Merged". Errors: exists, not_found, corrupt, io, no_space.
Result<Merged> merge(Env& env, const std::string& out, const std::vector<std::string>& logs);

}  // namespace reel::trace

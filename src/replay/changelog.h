// SPDX-License-Identifier: Apache-2.0
//
// A changelog as a workload: its records become the calls that make the same changes, one thread
// for each stream, so that it can be planned and played like a trace.
#pragma once

#include <cstdint>
#include <string>

#include "base/env.h"
#include "reel/result.h"
#include "reel/trace.h"

namespace reel::replay {

// `dir`: a log, or a mirror's state directory. `size`: bytes that are written to a file where the
// record does not say how many. Names whose directory no record has told of lie below a directory
// called by its FID; Lustre's root is "/". GAPs, damage and records that stand for no call become
// losses. Errors: not_found (no log), those of reading it.
Result<trace::Trace> trace_of_changelog(Env& env, const std::string& dir, uint64_t size);

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// A replay's own trace, in the format of its recording: the same threads, names and numbers of
// descriptors, with the times and results of the replay.
#pragma once

#include <string>

#include "base/env.h"
#include "reel/result.h"
#include "replay/plan/plan.h"
#include "replay/play/player.h"

namespace reel::replay {

// Writes the log `dir`, which must not hold a trace yet. Calls that were not made again are in it
// as recorded, with the time they were given. Errors: exists; those of trace::Writer.
Status write_retrace(Env& env, const std::string& dir, const LogKey* key, const trace::Trace& trace, const Plan& plan,
                     const Played& played);

// Compares two traces thread by thread: calls and results.
struct RetraceDifferences {
  uint64_t calls = 0, different = 0, missing = 0;
  std::string first;  // empty: none
};
std::string text_of(const RetraceDifferences& differences);
RetraceDifferences compare_traces(const trace::Trace& original, const trace::Trace& retrace);

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// The output of `strace -f -ttt -T -y` as a trace.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reel/trace.h"

namespace reel::trace {

struct StraceOptions {
  std::string cwd;  // of the first process, where no line tells it; empty: not known
};

struct StraceImported {
  uint64_t calls = 0;                 // of strace's that are in the trace
  std::vector<std::string> problems;  // "line 7: why": what was not understood, and is not in it
};

// Writes a trace of what `text` tells. What it does not tell (users, the umask, which names were one file) is not made
// up; what cannot be understood is a problem, and a loss in the trace. Errors: corrupt (no line of it is a call with
// the time of -ttt), and the writer's.
Result<StraceImported> import_strace(Writer& writer, std::string_view text, const StraceOptions& options);

}  // namespace reel::trace

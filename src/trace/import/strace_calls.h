// SPDX-License-Identifier: Apache-2.0
//
// A call of strace's output as the system call that it was: numbers in the places of its arguments,
// and what they pointed at. Pure.
#pragma once

#include <string>

#include "trace/collect/syscalls/syscalls.h"
#include "trace/import/strace_lines.h"

namespace reel::trace {

enum class StraceTaken : uint8_t {
  yes,
  ignored,  // a system call that traces have no room for
  no,       // an argument that would be needed is not there, or has no known meaning
};

// Whether a call of this name is one that traces have room for.
bool is_recorded_in_strace(const std::string& name);

// `why` says which argument, when the answer is `no`. The shape of `fetched` is set unless it is `ignored`.
StraceTaken fetch_from_strace(const StraceCall& call, FetchedCall& fetched, std::string& why);

// What a descriptor among the arguments leads to: of the directory that `path` (or with `second`, `path2`) is
// relative to, else of the first argument. nullptr: strace did not say.
const std::string* strace_leads(const StraceCall& call, const CallShape& shape, bool second = false);

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// The lines of `strace -f -ttt -T` as calls: halves that were interrupted are joined, each call knows
// its thread. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "trace/import/strace_text.h"

namespace reel::trace {

// A call, or with an empty name the end of a thread.
struct StraceCall {
  std::string name;
  std::vector<StraceField> arguments;
  int32_t tid = 0;
  size_t enter_line = 0, exit_line = 0;  // from 1
  uint64_t enter_ns = 0, duration_ns = 0;
  bool has_duration = false;
  bool returned = true;  // false: `= ?`, it never did
  int64_t result = 0;    // or -errno, of the kernel's own errors too
  StraceValue result_value;
  int status = 0;  // of an end: exit status, or with `by_signal` the signal
  bool by_signal = false;

  bool is_end() const { return name.empty(); }
  bool failed() const { return result < 0 && result >= -4095; }
};

// A line that was not understood.
struct StraceProblem {
  size_t line = 0;
  std::string why;
};

struct StraceLines {
  std::vector<StraceProblem> problems;  // by line
  size_t lines = 0;                     // that say something
};

// `take` is given each call, in the order in which they ended.
StraceLines parse_strace_lines(std::string_view text, const std::function<void(StraceCall&&)>& take);

}  // namespace reel::trace

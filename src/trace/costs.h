// SPDX-License-Identifier: Apache-2.0
//
// What the recorder itself did between two calls of a thread, by the facts cost_ns, cost_ns.before.OP and
// cost_ns.after.OP of a trace (docs/trace-format.md).
#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "reel/trace_op.h"

namespace reel::trace {

class Costs {
 public:
  Costs() = default;
  explicit Costs(const std::map<std::string, std::string>& facts);

  // Nanoseconds of a gap that began with the exit of `left` (none: the thread's beginning) and ended with the entry of
  // `entered`.
  uint64_t between(Op left, Op entered) const;

 private:
  uint64_t any_ = 0;
  std::unordered_map<Op, uint64_t> before_, after_;
};

}  // namespace reel::trace

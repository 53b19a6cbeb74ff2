// SPDX-License-Identifier: Apache-2.0
//
// What recording a call costs, measured: before the command begins, calls are made with nothing between them, and
// recorded. What lies between them in the recording is the recorder's own doing. They do not get into the trace; the
// facts cost_ns and cost_ns.after.OP (docs/trace-format.md) do.
#pragma once

#include <map>
#include <vector>

#include "reel/trace.h"
#include "trace/collect/raw.h"

namespace reel::trace {

// Makes the calls, in the child between fork and exec: it must be recorded already. errno is spoiled.
void make_calibration_calls();

class Calibration {
 public:
  // True when the event is one of those calls, or one between them of their thread: it is none of the trace's.
  bool takes(uint32_t thread, const Raw& raw);
  // After the last of them, once: writes what was measured.
  Status write(Writer& writer);
  bool is_done() const { return done_; }
  uint64_t cost_ns() const { return cost_ns_; }  // 0 until it is known

 private:
  uint32_t thread_ = 0;  // that makes them; 0: none is seen to
  bool done_ = false;
  Op last_ = Op::none;
  uint64_t last_exit_ns_ = 0;
  uint64_t cost_ns_ = 0;
  std::map<Op, std::vector<uint64_t>> gaps_;  // by the op before
};

// The recorder's own time at calls, by op: how long on average before the call's entry and behind its exit.
class OwnTimes {
 public:
  void add(Op op, uint64_t before_ns, uint64_t after_ns, uint64_t calls = 1);
  Status write(Writer& writer) const;

 private:
  struct Sum {
    uint64_t calls = 0, before_ns = 0, after_ns = 0;
  };
  std::map<Op, Sum> sums_;
};

}  // namespace reel::trace

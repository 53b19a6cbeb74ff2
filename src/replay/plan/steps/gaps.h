// SPDX-License-Identifier: Apache-2.0
//
// The time before each step: since when its thread had nothing to wait for, and how much of it was computing.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "replay/plan/things/walk.h"
#include "trace/costs.h"

namespace reel::replay {

class Gaps {
 public:
  explicit Gaps(Walk& walk);

  // The thread begins then.
  void begin(uint32_t thread, uint64_t ns);
  // Part of the gap under way (Op::compute).
  void compute(const trace::Event& event);
  // The step is the next call of its thread: where the gap before it shows that it waited for another thread of its
  // process to end (no call does: libraries wait for a word in memory), it needs that.
  void join(At& at);
  // The gap ends with the step, whose needs have been found. `pending`: those of them that are the thread's, not the
  // call's.
  void end(At& at, const std::vector<Need>& pending);

 private:
  struct Gap {
    uint64_t last_exit = 0;
    trace::Op last_op = trace::Op::none;
    uint64_t wall = 0, cpu = 0;  // of the computing so far
    uint64_t queued = 0;         // and of waiting for a processor, as far as it is known
    bool queued_known = true;
    uint64_t spun_until = 0;    // it gave way again and again until then (0: not), and
    uint64_t computed = 0;      // computed so long since,
    uint64_t queued_since = 0;  // or wanted to
  };

  struct End {
    Need by;
    uint64_t ns = 0;
  };

  Walk& walk_;
  trace::Costs costs_;                      // of the recorder
  std::vector<Gap> gaps_;                   // by thread
  std::unordered_map<uint32_t, End> ends_;  // by process: its last thread to end so far
};

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Where the threads of a replay tell each other how far they are. In memory that is this process's, or shared by
// several that play one plan.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "replay/plan/plan.h"
#include "replay/play/progress.h"

namespace reel::replay {

// What became of one step. Nanoseconds by a clock that never steps.
struct Sample {
  uint64_t enter_ns = 0, exit_ns = 0;  // 0: it was not reached
  int64_t result = 0;
  bool early = false;  // a poll that was not made: what it waited for was there
};

// A group of the plan while it is played.
struct Meeting {
  Progress arrived;
  std::atomic<uint64_t> last_ns{0};  // when the last one arrived

  void arrive(uint64_t now, uint32_t how_many) {
    uint64_t latest = last_ns.load();
    while (latest < now && !last_ns.compare_exchange_weak(latest, now)) {
    }
    arrived.add(how_many);
  }
};

class Board {
 public:
  static size_t room(const Plan& plan);  // bytes
  // `memory`: aligned as for any type, all zeros when the first of its boards is made.
  Board(const Plan& plan, void* memory);

  // By Thread::number.
  Progress& progress(uint32_t thread) { return progress_[thread]; }
  Sample* samples(uint32_t thread) { return samples_[thread - 1]; }
  // By place in Plan::groups + 1.
  Meeting& meeting(uint32_t place) { return meetings_[place]; }
  std::atomic<bool>& stop() { return *stop_; }

  uint64_t steps_done() const;
  void wake_everybody();

 private:
  std::atomic<bool>* stop_;
  Progress* progress_;
  Meeting* meetings_;
  std::vector<Sample*> samples_;
  size_t threads_, groups_;
};

}  // namespace reel::replay

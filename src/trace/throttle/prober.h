// SPDX-License-Identifier: Apache-2.0
//
// Holds up one thread after the other while a program runs, for a moment each, at places that change: one run asks all
// threads (//TRACE, Mesnier et al., FAST '07, has a run for each). Belongs to the thread that collects.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "trace/collect/live_thread.h"
#include "trace/wire.h"

namespace reel::trace {

// How to throttle; from a recording of the same program without: plan_probes() in findings.h.
struct Probes {
  uint64_t hold_ns = 0;    // of each
  uint64_t settle_ns = 0;  // between two
  uint32_t places = 1;     // the longest of the threads' loops, in calls
  uint32_t first = 0;      // where the turns begin: earlier runs have asked so many places of each thread
  uint32_t only = 0;       // this thread, by its number; 0: all in turn
};

class Prober {
 public:
  explicit Prober(const Probes& probes) : probes_(probes) {}
  // To be called every few milliseconds. `now`: monotonic nanoseconds.
  void step(wire::Control& control, const std::vector<LiveThread>& threads, uint64_t now);

 private:
  void ask(wire::Control& control, const std::vector<LiveThread>& threads, uint64_t now);

  Probes probes_;
  bool asked_ = false;
  uint64_t since_ = 0;  // the last asking, or the end of the last hold
  uint64_t asked_holds_ = 0;
  std::unordered_map<int32_t, uint64_t> taken_;  // when it was asked before
  std::unordered_map<int32_t, uint32_t> times_;  // how often
};

}  // namespace reel::trace

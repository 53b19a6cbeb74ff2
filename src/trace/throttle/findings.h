// SPDX-License-Identifier: Apache-2.0
//
// Dependencies that no call shows, found by holding threads up (Mesnier et al., //TRACE, FAST '07: who stops while a
// thread is held waits for it). A hold is finite, and the places of a loop are asked in different turns of it, so one
// run is enough; what holds in the asked turns is taken to hold in all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "reel/trace.h"
#include "trace/throttle/calls.h"
#include "trace/throttle/loop.h"
#include "trace/throttle/series.h"

namespace reel::trace {

struct Findings {
  std::vector<Series> series;
  size_t holds = 0;
  size_t places = 0, asked = 0;  // of all loops' calls: how many there are, how many were held up often enough
};

// Compares a program's plain run, which must outlive it, with throttled ones. Not for several threads at once.
class Discovery {
 public:
  explicit Discovery(const Trace& plain);
  // invalid: the program did not do the same as in the plain run.
  Status add(const Trace& throttled);
  Findings findings() const;

 private:
  struct ThreadLoop {
    std::string thread;
    Loop loop;
  };
  struct Place {
    size_t loop;    // of loops_
    uint64_t call;  // of its thread
  };
  // A thread, held before its call `held`, kept another from its call `stopped`; or from none.
  struct Observation {
    uint64_t held;
    std::optional<uint64_t> stopped;
  };
  using ByPlace = std::map<uint64_t, std::vector<Observation>>;  // place in the loop of who is held

  std::optional<size_t> loop_at(const std::string& thread, uint64_t call) const;
  void observe(const Trace& throttled, const Event& hold, Place held, const std::string& thread,
               const std::vector<uint32_t>& calls);
  static std::optional<int64_t> agreed(const Loop& mine, const Loop& others, const std::vector<Observation>& seen);
  void conclude(const ThreadLoop& from, const ThreadLoop& to, const ByPlace& seen, std::vector<Series>& series) const;

  const Trace& plain_;
  std::map<std::string, ThreadCalls> threads_;
  std::vector<ThreadLoop> loops_;
  size_t holds_ = 0;
  std::map<std::pair<size_t, uint64_t>, size_t> asked_;        // by loop and place
  std::map<std::pair<size_t, size_t>, ByPlace> observations_;  // by the loops of who is held and who may wait
};

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// What throttling found (trace/throttle): a call waits for another thread's, and no call shows it.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "replay/plan/things/walk.h"

namespace reel::replay {

class Found {
 public:
  // Nothing without PlanOptions::causal.
  explicit Found(Walk& walk);

  // The step is the next call of its thread: it waits for those that were found. Sets At::found.
  void await(At& at);
  // Adds to Plan::doubts what could not be kept.
  void tell_doubts() const;

 private:
  using CallId = std::pair<uint32_t, uint64_t>;  // thread, and which of its calls

  Walk& walk_;
  std::vector<uint64_t> calls_;                    // by thread: how many so far
  std::map<CallId, std::vector<CallId>> awaited_;  // by who waits
  std::map<CallId, Need> sources_;                 // the steps of those that are waited for
  uint64_t late_ = 0;
};

}  // namespace reel::replay

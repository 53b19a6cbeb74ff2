// SPDX-License-Identifier: Apache-2.0
//
// Threads that slept until another woke them: locks, conditions, barriers and semaphores in memory, and joins.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "replay/plan/things/walk.h"

namespace reel::replay {

class Futexes {
 public:
  explicit Futexes(Walk& walk) : walk_(walk) {}

  // The step wakes others when it begins: it is an arrival.
  void wake(At& at);
  // The step goes on when it is woken.
  void wait(At& at);

 private:
  Walk& walk_;
  std::map<std::pair<uint32_t, uint64_t>, Need> wakes_;  // by thread and number
};

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Steps that wait in memory for other threads: locks, semaphores, barriers, and sleeps that another ended (which is
// whose is trace/in_memory).
#pragma once

#include <cstdint>
#include <unordered_map>

#include "replay/plan/things/walk.h"
#include "trace/in_memory.h"

namespace reel::replay {

class Memory {
 public:
  explicit Memory(Walk& walk);

  // The event's arrival is a step of its own: it is at a barrier.
  bool is_apart(uint32_t event) const { return matched_.meeting.count(event) != 0; }
  // The step lets others go on as it begins.
  void arrive(At& at);
  // The step is one that waits.
  void wait(At& at);
  // Adds to Plan::doubts what could not be kept.
  void tell_doubts() const;

 private:
  void await_meeting(At& at, uint32_t number);

  Walk& walk_;
  trace::InMemory matched_;
  uint32_t first_group_;                         // of its meetings, in Plan::groups
  std::unordered_map<uint32_t, Need> arrivals_;  // event -> the step that it arrives or gives way with
};

}  // namespace reel::replay

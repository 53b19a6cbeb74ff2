// SPDX-License-Identifier: Apache-2.0
//
// Steps of MPI's calls: a message is received after it was sent, a meeting is left when those have
// come whom it waits for (docs/replay.md, "Parallel programs").
#pragma once

#include <cstdint>
#include <unordered_map>

#include "replay/plan/things/walk.h"
#include "trace/messages.h"

namespace reel::replay {

class Meetings {
 public:
  // Without PlanOptions::causal nobody waits: the steps are left out.
  explicit Meetings(Walk& walk);

  // The event's arrival is a step of its own: what others wait for is that the call has begun, for it may itself wait
  // for them.
  bool is_apart(uint32_t event) const;
  // The step is an arrival.
  void arrive(At& at);
  // Any other step of MPI's.
  void plan(At& at);
  // Adds to Plan::doubts what could not be kept.
  void tell_doubts() const;

 private:
  void await_group(At& at, uint32_t number);
  void await_message(At& at, uint32_t sent);
  // The other began what it does while this call waited, as it seems.
  bool came_meanwhile(const At& at, uint32_t other) const;
  void await_taker(At& at, const trace::Messages::Group& group);
  void await_receiver(At& at, uint32_t sent, bool always);
  void await_done(At& at);

  Walk& walk_;
  trace::Messages messages_;
  std::unordered_map<uint32_t, Need> arrivals_;  // event of a message -> the step that its arrival is
  uint64_t late_ = 0;                            // the other end had not begun by then, by the trace's clocks
};

}  // namespace reel::replay

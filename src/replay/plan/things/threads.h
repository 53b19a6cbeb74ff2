// SPDX-License-Identifier: Apache-2.0
//
// The threads of a trace while the plan walks it: how far each is, and whose call took effect next.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <tuple>
#include <vector>

#include "reel/trace.h"
#include "replay/plan/order/needs.h"

namespace reel::replay {

struct Thread {
  std::vector<uint32_t> events;  // indexes into Trace::events, in the order of their exits
  size_t next = 0;
  bool made = false;          // somebody makes it
  bool begun = false;         // its first step may be taken
  bool arrived = false;       // the first of its next call's two steps is there
  bool queued = false;        // its next call is in the queue
  std::vector<Need> pending;  // hard needs of its next step
  uint64_t taken = 0;         // times that the queue has given it out
};

class Threads {
 public:
  explicit Threads(const trace::Trace& trace);

  // By number: from 1 up to, and without, size().
  Thread& operator[](uint32_t number) { return threads_[number]; }
  const Thread& operator[](uint32_t number) const { return threads_[number]; }
  size_t size() const { return threads_.size(); }

  // Its next call took effect then.
  void push(uint32_t number, uint64_t when);
  // Whose call took effect next; 0: there is none.
  uint32_t first();
  // The queue holds no other thread's call.
  bool is_alone() const { return queue_.size() == 1; }
  // The call is taken, also when another was first.
  void take(uint32_t number);

 private:
  using Key = std::tuple<uint64_t, uint32_t, uint64_t>;  // when its next call took effect, thread, its `taken`

  std::vector<Thread> threads_;
  std::priority_queue<Key, std::vector<Key>, std::greater<>> queue_;
};

// A call that makes a process or a thread.
bool makes_thread(const trace::Event& event);

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// The descriptors of a trace while the plan walks it. A number in a process's table becomes a slot of the replay, one
// for each time that the number was given out; each slot remembers who used it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "replay/plan/order/order.h"
#include "replay/plan/things/files.h"
#include "replay/plan/things/flows.h"
#include "replay/plan/things/walk.h"

namespace reel::replay {

// What a descriptor leads to; copies share it.
struct Description {
  Skip skip = Skip::none;
  NodeId node = 0;
  bool directory = false;
  bool append = false;
  Fid object;
  uint32_t initial = 0;  // place in Plan::initial + 1
  Ends ends;
  Sequence position;
};

// What a number of a process's table means.
struct Entry {
  SlotId slot = 0;
  uint32_t generation = 0;
  bool close_on_exec = false;
};

struct Process {
  std::map<int32_t, Entry> table;
  uint32_t umask = 022;
  uint32_t vfork_parent = 0;  // the thread that waits for its exec or end; 0: none
  Need ended;
};

class Descriptors {
 public:
  Descriptors(Walk& walk, Files& files) : walk_(walk), files_(files) {}

  // The number leads to `description` from the step on; what it led to before is closed by the call itself.
  SlotId give(At& at, trace::Descriptor fd, std::shared_ptr<Description> description, bool close_on_exec);
  // False: the step is not played. A number that was not open is slot 0, and is played: it fails.
  bool use(At& at, trace::Descriptor fd, SlotId& slot);
  // Its number is the caller's to remove. `effect`: the call itself does not close it.
  void close(At& at, SlotId slot, bool effect);
  // What an exec closes, or an exit.
  void close_all(At& at, bool close_on_exec_only);
  // A copy of the table, made by the step.
  void copy_table(At& at, const Process& from, Process& to);

  Description& description(SlotId slot) { return *slots_[slot].description; }
  std::shared_ptr<Description> shared(SlotId slot) { return slots_[slot].description; }
  // One more than the highest.
  uint32_t slots() const { return static_cast<uint32_t>(slots_.size()); }

 private:
  struct Slot {
    std::shared_ptr<Description> description;
    Cell stage;  // made, used, closed
  };
  SlotId add(At& at, std::shared_ptr<Description> description, Why why);

  Walk& walk_;
  Files& files_;
  std::vector<Slot> slots_{Slot{}};
};

}  // namespace reel::replay

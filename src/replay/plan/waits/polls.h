// SPDX-License-Identifier: Apache-2.0
//
// Where a thread looked again and again until another had made, or removed, what it waited for.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "reel/trace.h"
#include "replay/plan/things/walk.h"

namespace reel::replay {

// The calls that found nothing new and the sleeps between them -> the call that did. Indexes into Trace::events.
// A poll is a call by a name that failed with ENOENT or EEXIST and that its thread, with nothing but sleep and
// computing between, made again until the result was another.
std::unordered_map<uint32_t, uint32_t> find_polls(const trace::Trace& trace);

// The steps that are polls, while the plan walks the calls.
class Polls {
 public:
  // None without PlanOptions::causal.
  explicit Polls(Walk& walk);

  bool has(uint32_t event) const { return calls_.count(event) != 0; }
  // The step is one of them.
  void add(const At& at);
  // The step is what its thread's polls before it, if there are any, led to.
  void end(At& at);

 private:
  Walk& walk_;
  std::unordered_map<uint32_t, uint32_t> calls_;
  std::vector<std::vector<uint32_t>> under_way_;  // by thread: places of its steps that poll for a call to come
};

}  // namespace reel::replay

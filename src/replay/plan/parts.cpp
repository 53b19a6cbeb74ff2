// SPDX-License-Identifier: Apache-2.0
#include "replay/plan/parts.h"

#include <algorithm>
#include <map>
#include <optional>

namespace reel::replay {
namespace {

// Disjoint sets of threads; who stands for one is its first.
class Families {
 public:
  explicit Families(size_t threads) : parent_(threads) {
    for (uint32_t i = 0; i < threads; ++i) parent_[i] = i;
  }
  uint32_t of(uint32_t thread) {
    while (parent_[thread] != thread) thread = parent_[thread] = parent_[parent_[thread]];
    return thread;
  }
  void join(uint32_t a, uint32_t b) {
    a = of(a);
    b = of(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<uint32_t> parent_;
};

Families families_of(const Plan& plan) {
  Families families(plan.threads.size());
  std::vector<std::optional<uint32_t>> users(plan.slots);  // by slot: a thread that uses it
  for (uint32_t thread = 0; thread < plan.threads.size(); ++thread) {
    auto uses = [&](SlotId slot) {
      if (slot == 0) return;
      if (users[slot]) families.join(*users[slot], thread);
      users[slot] = thread;
    };
    for (const Step& step : plan.threads[thread]) {
      if (step.starts != 0) families.join(thread, step.starts - 1);
      for (SlotId slot : {step.slot, step.slot2, step.replaces}) uses(slot);
      for (uint32_t i = 0; i < step.effect_count; ++i) {
        uses(plan.effects[step.effects + i].from);
        uses(plan.effects[step.effects + i].to);
      }
    }
  }
  return families;
}

}  // namespace

std::vector<uint32_t> parts_of(const trace::Trace& trace, const Plan& plan, uint32_t processes) {
  Families families = families_of(plan);
  std::map<uint32_t, uint64_t> rank_of;  // family -> rank
  uint64_t ranks = 0;
  for (const trace::Event& event : trace.events) {
    if (event.op != trace::Op::mpi_init || event.thread == 0 || event.thread > plan.threads.size()) continue;
    uint64_t rank = static_cast<uint32_t>(event.flags);
    rank_of.try_emplace(families.of(event.thread - 1), rank);
    ranks = std::max(ranks, rank + 1);
  }
  if (ranks == 0) {
    for (uint32_t thread : plan.first) rank_of.try_emplace(families.of(thread - 1), rank_of.size());
    ranks = rank_of.size();
  }
  std::vector<uint32_t> parts(plan.threads.size());
  for (uint32_t thread = 0; thread < plan.threads.size(); ++thread) {
    auto rank = rank_of.find(families.of(thread));
    if (rank == rank_of.end()) continue;
    parts[thread] = static_cast<uint32_t>(rank->second * processes / ranks);
  }
  return parts;
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Steps that make, become and end processes and threads.
#include "replay/plan/steps/planner.h"

namespace reel::replay {

using trace::Event;
using trace::Op;

// A copy of the table, made by the step.
void Planner::begin_process(At& at, uint32_t from, uint32_t to) {
  ProcessState& child = processes_[to];
  ProcessState& parent = processes_[from];
  child.umask = parent.umask;
  for (const auto& [number, entry] : parent.table) {
    Entry copy = entry;
    std::shared_ptr<Description> shared = slots_[entry.slot].description;
    slots_[entry.slot].stage.use(at.me, needs_.because(Why::process));
    copy.slot = static_cast<SlotId>(slots_.size());
    slots_.emplace_back().description = shared;
    slots_.back().stage.change(at.me, needs_.because(Why::process));
    if (shared->skip == Skip::none) add_effect(plan_, at.step, {entry.slot, copy.slot});
    child.table[number] = copy;
  }
}

void Planner::make_thread(At& at) {
  at.step.skip = Skip::process;
  auto made = static_cast<uint32_t>(at.event.arg);
  if (at.event.failed() || made == 0 || made >= threads_.size() || !threads_[made].made) return;
  ThreadState& state = threads_[made];
  if (state.last_exit != 0 || made == at.event.thread) return;  // it has begun
  uint32_t process = trace_.threads[made - 1].process;
  if (process == made) begin_process(at, trace_.threads[at.event.thread - 1].process, made);
  if (at.event.op == Op::vfork) processes_[process].vfork_parent = at.event.thread;
  state.last_exit = at.event.enter_ns;
  needs_.inherit(at.me, made);
  if (state.events.empty()) return;
  at.step.starts = made;
  push(made);
}

// Who made the process by vfork goes on.
void Planner::release_parent(At& at) {
  if (at.process.vfork_parent == 0) return;
  threads_[at.process.vfork_parent].pending.push_back(at.me);
  at.process.vfork_parent = 0;
}

void Planner::plan_exec(At& at) {
  at.step.skip = Skip::process;
  look(at, at.event.path, true);
  if (at.event.failed()) return;
  auto& table = at.process.table;
  for (auto entry = table.begin(); entry != table.end();) {
    if (!entry->second.close_on_exec) {
      ++entry;
      continue;
    }
    close_slot(at, entry->second.slot, true);
    entry = table.erase(entry);
  }
  release_parent(at);
}

void Planner::plan_exit(At& at) {
  at.step.skip = Skip::process;
  for (auto& [number, entry] : at.process.table) close_slot(at, entry.slot, true);
  at.process.table.clear();
  at.process.ended = at.me;
  release_parent(at);
}

void Planner::plan_wait(At& at) {
  at.step.skip = Skip::process;
  if (at.event.failed() || at.event.result == 0) return;
  auto child = processes_.find(static_cast<uint32_t>(at.event.arg));
  if (child == processes_.end() || child->second.ended.count == 0) return;
  needs_.because(Why::process).add(child->second.ended);
  at.step.waits = true;
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// See process_steps.h.
#include "replay/plan/steps/process_steps.h"

#include <cstdlib>
#include <string>

namespace reel::replay {
namespace {

uint32_t octal(const std::string& text, uint32_t otherwise) {
  if (text.empty()) return otherwise;
  return static_cast<uint32_t>(std::strtoul(text.c_str(), nullptr, 8));
}

}  // namespace

ProcessSteps::ProcessSteps(Walk& walk, Threads& threads, Descriptors& descriptors, NameSteps& names)
    : walk_(walk), threads_(threads), descriptors_(descriptors), names_(names) {
  auto mask = walk.trace.facts.find("umask");
  for (const trace::Thread& thread : walk.trace.threads)
    processes_[thread.process].umask = octal(mask == walk.trace.facts.end() ? "" : mask->second, 022);
}

void ProcessSteps::begin_process(At& at, Process& from, uint32_t to) {
  Process& child = processes_[to];
  child.umask = from.umask;
  descriptors_.copy_table(at, from, child);
}

void ProcessSteps::begin_unseen(At& at) {
  const trace::Thread& thread = walk_.trace.threads[at.me.thread - 1];
  uint32_t parent = thread.parent;
  if (parent == 0 || parent >= threads_.size()) return;
  walk_.needs.because(Why::process).add({parent, static_cast<uint32_t>(walk_.plan.threads[parent - 1].size())});
  if (thread.process == at.me.thread) begin_process(at, process_of(parent), at.me.thread);
}

void ProcessSteps::make_thread(At& at) {
  at.step.skip = Skip::process;
  auto number = static_cast<uint32_t>(at.event.arg);
  if (at.event.failed() || number == 0 || number >= threads_.size() || number == at.event.thread) return;
  Thread& made = threads_[number];
  if (!made.made || made.begun) return;
  made.begun = true;
  uint32_t process = walk_.trace.threads[number - 1].process;
  if (process == number) begin_process(at, at.process, number);
  if (at.event.op == trace::Op::vfork) processes_[process].vfork_parent = at.event.thread;
  walk_.needs.inherit(at.me, number);
  if (!made.events.empty()) at.step.starts = number;
}

// Who made the process by vfork goes on.
void ProcessSteps::release_parent(At& at) {
  if (at.process.vfork_parent == 0) return;
  threads_[at.process.vfork_parent].pending.push_back(at.me);
  at.process.vfork_parent = 0;
}

void ProcessSteps::exec(At& at) {
  at.step.skip = Skip::process;
  names_.look(at, at.event.path, true);
  if (at.event.failed()) return;
  descriptors_.close_all(at, true);
  release_parent(at);
}

void ProcessSteps::exit(At& at) {
  at.step.skip = Skip::process;
  descriptors_.close_all(at, false);
  at.process.ended = at.me;
  release_parent(at);
}

void ProcessSteps::wait(At& at) {
  at.step.skip = Skip::process;
  if (at.event.failed() || at.event.result == 0) return;
  auto child = processes_.find(static_cast<uint32_t>(at.event.arg));
  if (child == processes_.end() || child->second.ended.count == 0) return;
  walk_.needs.because(Why::process).add(child->second.ended);
  at.step.waits = true;
}

}  // namespace reel::replay

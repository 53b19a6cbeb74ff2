// SPDX-License-Identifier: Apache-2.0
//
// The walk.
#include "replay/plan/steps/planner.h"

#include <sys/file.h>

#include <algorithm>
#include <utility>

#include "replay/plan/passing.h"
#include "replay/plan/steps/failures.h"
#include "trace/ops.h"
#include "trace/throttle/calls.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Family;
using trace::Op;

bool unlocks(const Event& event) {
  if (event.op == Op::flock) return (event.arg & LOCK_UN) != 0;
  return event.op == Op::range_lock && event.mode == F_UNLCK;
}

// When a call took effect.
uint64_t effect_ns(const Event& event) {
  switch (event.op) {
    case Op::close:
    case Op::close_range:
    case Op::fork:
    case Op::vfork:
    case Op::clone_thread:
    case Op::exit:
    case Op::exit_thread:
      return event.enter_ns;
    default:
      return unlocks(event) || trace::gives_way(event.op) ? event.enter_ns : event.exit_ns();
  }
}

}  // namespace

Planner::Planner(const trace::Trace& trace, const PlanOptions& options, Plan& plan)
    : walk_{trace, options, plan, Needs(trace.threads.size())},
      names_(plan, walk_.needs),
      files_(walk_),
      flows_(walk_),
      descriptors_(walk_, files_),
      threads_(trace),
      meetings_(walk_),
      found_(walk_),
      polls_(walk_),
      memory_(walk_),
      overlaps_(trace, names_, files_, threads_, meetings_),
      gaps_(walk_),
      name_steps_(walk_, names_, files_, flows_, descriptors_),
      descriptor_steps_(walk_, flows_, descriptors_),
      data_steps_(walk_, names_, files_, flows_, descriptors_),
      process_steps_(walk_, threads_, descriptors_, name_steps_) {}

// What was there at the start.
void Planner::begin_files() {
  const trace::Trace& trace = walk_.trace;
  const std::vector<std::string>& mapped = walk_.options.mapped;
  for (size_t i = 0; i < mapped.size(); ++i) names_.map(mapped[i], static_cast<uint32_t>(i + 1));
  // Symlinks first, the upper ones before those that are reached through them: all names are.
  std::vector<const trace::FileState*> states;
  for (const trace::FileState& state : trace.files) states.push_back(&state);
  std::stable_sort(states.begin(), states.end(), [&](const trace::FileState* a, const trace::FileState* b) {
    bool left = a->kind == FileKind::symlink, right = b->kind == FileKind::symlink;
    if (left != right || !left) return left && !right;
    return trace.string(a->path) < trace.string(b->path);
  });
  for (const trace::FileState* state : states) {
    names_.initial(*state, trace.string(state->path), trace.string(state->link_text));
    if (state->kind == FileKind::file && state->known == trace::Known::before)
      files_.set_size(state->object, state->size);
  }
}

void Planner::begin_threads() {
  Plan& plan = walk_.plan;
  uint64_t begin = ~0ull;
  for (uint32_t thread = 1; thread < threads_.size(); ++thread) {
    for (uint32_t index : threads_[thread].events) {
      const Event& event = walk_.trace.events[index];
      begin = std::min(begin, event.enter_ns);
      plan.end_ns = std::max(plan.end_ns, event.exit_ns());
    }
  }
  plan.begin_ns = begin == ~0ull ? 0 : begin;
  plan.threads.resize(walk_.trace.threads.size());
  for (uint32_t thread = 1; thread < threads_.size(); ++thread) {
    if (threads_[thread].made) continue;
    threads_[thread].begun = true;
    gaps_.begin(thread, plan.begin_ns);
    if (!threads_[thread].events.empty()) plan.first.push_back(thread);
    push(thread);
  }
}

bool Planner::is_apart(uint32_t event) const {
  return meetings_.is_apart(event) || memory_.is_apart(event);
}

// Its next call, if there is one.
void Planner::push(uint32_t number) {
  const Thread& thread = threads_[number];
  if (thread.next >= thread.events.size()) return;
  uint32_t index = thread.events[thread.next];
  const Event& event = walk_.trace.events[index];
  bool arrives = is_apart(index) && !thread.arrived;
  threads_.push(number, arrives ? event.enter_ns : effect_ns(event));
}

void Planner::run() {
  begin_files();
  begin_threads();
  while (uint32_t number = threads_.first()) {
    if (uint32_t earlier = overlaps_.overtaken(number)) number = earlier;
    threads_.take(number);
    Thread& thread = threads_[number];
    uint32_t index = thread.events[thread.next];
    thread.arrived = is_apart(index) && !thread.arrived;
    Op op = walk_.trace.events[index].op;
    take(number, index, thread.arrived || trace::gives_way(op) || (op == Op::mpi_arrive && walk_.options.causal));
    if (!thread.arrived) ++thread.next;
    push(number);
  }
  meetings_.tell_doubts();
  memory_.tell_doubts();
  found_.tell_doubts();
  drop_torn_streams();
  flows_.finish();
  walk_.plan.slots = descriptors_.slots();
  for (const auto& steps : walk_.plan.threads) walk_.plan.steps += steps.size();
}

void Planner::take(uint32_t number, uint32_t index, bool arrival) {
  Thread& thread = threads_[number];
  const Event& event = walk_.trace.events[index];
  if (event.op == Op::mpi_done) return;  // its mpi_wait knows
  if (event.op == Op::compute) return gaps_.compute(event);
  std::vector<Step>& steps = walk_.plan.threads[number - 1];
  Step step;
  step.event = index;
  step.arrival = arrival;
  At at{step, event, {number, static_cast<uint32_t>(steps.size() + 1)}, process_steps_.process_of(number)};
  walk_.needs.begin(number);
  const std::vector<Need> pending = std::exchange(thread.pending, {});
  for (const Need& need : pending) walk_.needs.because(Why::process).add(need);
  if (!thread.made && steps.empty()) process_steps_.begin_unseen(at);
  if (trace::is_call(event) && !thread.arrived) {
    found_.await(at);
    gaps_.join(at);
  }
  bool of_memory = trace::family_of(event.op) == Family::memory;
  if (step.arrival)
    of_memory ? memory_.arrive(at) : meetings_.arrive(at);
  else if (polls_.has(index))
    take_poll(at);
  else
    call(at);
  if (!polls_.has(index)) polls_.end(at);
  if (step.skip == Skip::none) step.skip = skip_of_failure(event);
  walk_.needs.finish(at.me.count);
  gaps_.end(at, pending);
  finish_step(at);
  steps.push_back(step);
  if (step.starts == 0) return;
  gaps_.begin(step.starts, event.enter_ns);
  push(step.starts);
}

// It is made only while what it waits for is not there; so nobody waits for it. One that makes something when it
// comes at another moment is not made at all.
void Planner::take_poll(At& at) {
  names_.set_polling(true);
  call(at);
  names_.set_polling(false);
  if (at.step.skip == Skip::none && trace::family_of(at.event.op) != Family::question) at.step.skip = Skip::waiting;
  polls_.add(at);
}

void Planner::finish_step(At& at) {
  at.step.needs = static_cast<uint32_t>(walk_.plan.needs.size());
  for (const Need& need : walk_.needs.found()) {
    walk_.plan.needs.push_back(need);
    walk_.plan.threads[need.thread - 1][need.count - 1].releases = true;
  }
  at.step.need_count = static_cast<uint32_t>(walk_.needs.found().size());
  uint64_t length = at.event.length;
  if (at.event.result > 0) length = std::max(length, static_cast<uint64_t>(at.event.result));
  RecordType type = trace::type_of(at.event.op);
  bool writes = type == RecordType::write || type == RecordType::send || type == RecordType::xattr;
  if (writes) walk_.plan.most_written = std::max(walk_.plan.most_written, length);
}

void Planner::call(At& at) {
  switch (trace::family_of(at.event.op)) {
    case Family::open:
      return name_steps_.open(at);
    case Family::make:
      return name_steps_.make(at);
    case Family::remove:
      return name_steps_.remove(at);
    case Family::move:
      return name_steps_.move(at);
    case Family::truncate:
      return name_steps_.truncate(at);
    case Family::question:
      return name_steps_.question(at);
    case Family::descriptor:
      return descriptor_steps_.plan(at);
    case Family::copy:
      return data_steps_.copy(at);
    case Family::lock:
      return data_steps_.lock(at);
    case Family::mapping:
      return data_steps_.map(at);
    case Family::transfer:
      return data_steps_.transfer(at);
    case Family::message:
      return meetings_.plan(at);
    case Family::memory:
      return memory_.wait(at);
    case Family::process:
    case Family::other:
      return call_without_file(at);
  }
}

// Processes and what belongs to them; the rest moves data.
void Planner::call_without_file(At& at) {
  switch (at.event.op) {
    case Op::sync:
      return;
    case Op::fork:
    case Op::vfork:
    case Op::clone_thread:
      return process_steps_.make_thread(at);
    case Op::exec:
      return process_steps_.exec(at);
    case Op::exit:
      return process_steps_.exit(at);
    case Op::exit_thread:
      at.step.skip = Skip::process;
      return;
    case Op::wait:
      return process_steps_.wait(at);
    case Op::held:
    case Op::poll:
      at.step.skip = Skip::waiting;
      return;
    case Op::umask:
      at.process.umask = static_cast<uint32_t>(at.event.mode) & 0777;
      at.step.skip = Skip::context;
      return;
    case Op::setid:
    case Op::io_setup:
    case Op::io_destroy:
    case Op::io_submit:
    case Op::io_getevents:
    case Op::uring_enter:
      at.step.skip = Skip::context;
      return;
    case Op::none:
    case Op::chroot:
    case Op::uring_other:
    case Op::compute:
      at.step.skip = Skip::unsupported;
      return;
    default:
      return data_steps_.transfer(at);
  }
}

// A pipe that somebody unseen read or wrote would be waited for in vain.
void Planner::drop_torn_streams() {
  for (auto& steps : walk_.plan.threads) {
    for (Step& step : steps) {
      if (!step.stream || step.skip != Skip::none) continue;
      for (SlotId slot : {step.slot, step.slot2}) {
        if (slot == 0) continue;
        const Ends& ends = descriptors_.description(slot).ends;
        if (ends.stream && ends.stream->is_torn()) step.skip = Skip::outside;
      }
    }
  }
}

Result<Plan> make_plan(const trace::Trace& trace, const PlanOptions& options) {
  if (trace.events.empty()) {
    return Error(Code::invalid, trace.counts.empty()
                                    ? "the trace has no calls"
                                    : "the trace has counters only, no calls: record it without --counters");
  }
  Plan plan;
  Planner(trace, options, plan).run();
  find_passing(trace, plan);
  return plan;
}

}  // namespace reel::replay

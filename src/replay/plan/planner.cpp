// SPDX-License-Identifier: Apache-2.0
//
// The walk: threads and processes, gaps, needs.
#include "replay/plan/planner.h"

#include <errno.h>
#include <sys/file.h>

#include <algorithm>

#include "replay/plan/passing.h"
#include "trace/ops.h"
#include "trace/throttle/calls.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Family;
using trace::Op;

constexpr uint64_t kPipeBytes = 65536;
// Off the CPU for less than this counts as noise.
constexpr uint64_t kNoise = 50'000;

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
      return unlocks(event) ? event.enter_ns : event.exit_ns();
  }
}

bool makes_thread(const Event& event) {
  return event.op == Op::fork || event.op == Op::vfork || event.op == Op::clone_thread;
}

uint32_t octal(const std::string& text, uint32_t otherwise) {
  if (text.empty()) return otherwise;
  return static_cast<uint32_t>(std::strtoul(text.c_str(), nullptr, 8));
}

}  // namespace

bool Stream::is_torn() const {
  return read > written || written > read + kPipeBytes;
}

void add_effect(Plan& plan, Step& step, Effect effect) {
  if (step.effect_count == 0) step.effects = static_cast<uint32_t>(plan.effects.size());
  plan.effects.push_back(effect);
  ++step.effect_count;
}

Planner::Planner(const trace::Trace& trace, const PlanOptions& options, Plan& plan)
    : trace_(trace),
      options_(options),
      plan_(plan),
      needs_(trace.threads.size()),
      names_(plan, needs_),
      threads_(trace.threads.size() + 1),
      slots_(1) {
  for (size_t i = 0; i < options.mapped.size(); ++i) names_.map(options.mapped[i], static_cast<uint32_t>(i + 1));
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
    if (state->kind == FileKind::file && !state->object.is_zero() && state->known == trace::Known::before)
      sizes_[state->object] = state->size;
  }
  plan.threads.resize(trace.threads.size());
}

void Planner::begin_threads() {
  uint64_t begin = ~0ull, end = 0;
  for (uint32_t i = 0; i < trace_.events.size(); ++i) {
    const Event& event = trace_.events[i];
    if (event.thread == 0 || event.thread >= threads_.size()) continue;
    threads_[event.thread].events.push_back(i);
    begin = std::min(begin, event.enter_ns);
    end = std::max(end, event.exit_ns());
    if (makes_thread(event) && event.arg > 0 && event.arg < threads_.size() && event.arg != event.thread &&
        !event.failed())
      threads_[event.arg].made = true;
  }
  plan_.begin_ns = begin == ~0ull ? 0 : begin;
  plan_.end_ns = end;
  costs_ = trace::Costs(trace_.facts);
  if (options_.causal) {
    begin_messages();
    begin_found();
    begin_connections();
    polls_ = find_polls(trace_);
  }
  auto mask = trace_.facts.find("umask");
  for (const trace::Thread& thread : trace_.threads)
    processes_[thread.process].umask = octal(mask == trace_.facts.end() ? "" : mask->second, 022);
}

void Planner::push(uint32_t thread) {
  ThreadState& state = threads_[thread];
  state.queued = state.next < state.events.size();
  if (!state.queued) return;
  uint32_t index = state.events[state.next];
  const Event& event = trace_.events[index];
  bool arrives = is_apart(index) && !state.arrived;
  queue_.push({arrives ? event.enter_ns : effect_ns(event), thread, state.taken});
}

void Planner::run() {
  begin_threads();
  for (uint32_t thread = 1; thread < threads_.size(); ++thread) {
    if (threads_[thread].made) continue;
    threads_[thread].last_exit = plan_.begin_ns;
    if (!threads_[thread].events.empty()) plan_.first.push_back(thread);
    push(thread);
  }
  while (!queue_.empty()) {
    Key key = queue_.top();
    queue_.pop();
    uint32_t thread = std::get<1>(key);
    if (std::get<2>(key) != threads_[thread].taken) continue;  // another's result showed that it was earlier
    if (uint32_t first = overtaken(thread)) {
      queue_.push(key);
      thread = first;
    }
    ThreadState& state = threads_[thread];
    ++state.taken;
    uint32_t index = state.events[state.next];
    state.arrived = is_apart(index) && !state.arrived;
    take(thread, index, state.arrived || trace_.events[index].op == Op::mpi_arrive);
    if (!state.arrived) ++state.next;
    push(thread);
  }
  finish_messages();
  drop_torn_streams();
  find_feeders();
  plan_.slots = static_cast<uint32_t>(slots_.size());
  for (const auto& steps : plan_.threads) plan_.steps += steps.size();
}

void Planner::take(uint32_t thread, uint32_t index, bool arrival) {
  ThreadState& state = threads_[thread];
  const Event& event = trace_.events[index];
  if (event.op == Op::mpi_done) return;  // its mpi_wait knows
  if (event.op == Op::compute) {
    state.compute_wall += event.duration_ns;
    state.compute_cpu += std::min(event.arg, event.duration_ns);
    return;
  }
  std::vector<Step>& steps = plan_.threads[thread - 1];
  Step step;
  step.event = index;
  step.arrival = arrival && options_.causal;
  At at{step, event, {thread, static_cast<uint32_t>(steps.size() + 1)}, process_of(thread)};
  needs_.begin(thread);
  needs_.because(Why::process);
  for (const Need& need : state.pending) needs_.add(need);
  // Nobody was seen making it: it has what the process that is said to have made it has now.
  uint32_t parent = trace_.threads[thread - 1].parent;
  if (!state.made && steps.empty() && parent != 0 && parent < threads_.size()) {
    needs_.add({parent, static_cast<uint32_t>(plan_.threads[parent - 1].size())});
    if (trace_.threads[thread - 1].process == thread) begin_process(at, trace_.threads[parent - 1].process, thread);
  }
  if (trace::is_call(event) && !state.arrived) await_found(at);
  if (step.arrival)
    arrive(at);
  else if (polls_.count(index) != 0)
    take_poll(at);
  else
    call(at);
  if (!state.polls.empty() && polls_.count(index) == 0) end_polls(at);
  if (event.result == -EINTR || event.result == -EAGAIN || (event.result <= -512 && event.result >= -530))
    step.skip = step.skip == Skip::none ? Skip::timing : step.skip;
  needs_.finish(at.me.count);
  pace(at);
  finish_step(at);
  steps.push_back(step);
}

// It is made only while what it waits for is not there; so nobody waits for it. One that makes something when it
// comes at another moment is not made at all.
void Planner::take_poll(At& at) {
  names_.set_polling(true);
  call(at);
  names_.set_polling(false);
  if (at.step.skip == Skip::none && trace::family_of(at.event.op) != Family::question) at.step.skip = Skip::waiting;
  threads_[at.event.thread].polls.push_back(at.me.count - 1);
}

void Planner::end_polls(At& at) {
  std::vector<Step>& steps = plan_.threads[at.event.thread - 1];
  std::vector<uint32_t>& polls = threads_[at.event.thread].polls;
  uint64_t looks = 0;
  for (uint32_t poll : polls) {
    steps[poll].until = at.me.count;
    if (trace_.events[steps[poll].event].op == at.event.op) ++looks;
  }
  uint64_t since = trace_.events[steps[polls.front()].event].enter_ns;
  at.step.tick_ns = (at.event.enter_ns - since) / std::max<uint64_t>(looks, 1);
  polls.clear();
}

// The gap before the step, and since when.
void Planner::pace(At& at) {
  ThreadState& state = threads_[at.event.thread];
  uint64_t enter = at.event.enter_ns, from = state.last_exit;
  uint64_t gap = enter > from ? enter - from : 0;
  uint64_t off = std::min(gap, state.compute_wall - state.compute_cpu);
  // Part of the gap was the recorder's doing, off the CPU or on it.
  uint64_t cost = costs_.between(state.last_op, at.event.op);
  off -= std::min(off, cost);
  // Off the CPU until another thread was so far: it waited for that.
  const std::vector<Need>& waited = state.pending.empty() ? needs_.found() : state.pending;
  if (!at.step.waits && (!state.pending.empty() || off > kNoise || at.found)) {
    for (const Need& need : waited) {
      uint64_t exit = plan_.recorded_ns(trace_, need);
      if (exit <= from || exit > enter) continue;
      from = exit;
      at.step.base = need;
    }
    gap = enter > from ? enter - from : 0;
    uint64_t cpu = state.compute_cpu - std::min(state.compute_cpu, cost);
    // Who waits for what no call shows may spin: that is no work to be done again.
    if (at.step.base.count != 0 && !at.found) at.step.before_ns = cpu - std::min(cpu, gap);
  }
  gap -= std::min(gap, cost);
  at.step.gap_ns = gap;
  at.step.cpu_ns = state.compute_wall == 0 ? ~0ull : at.step.base.count != 0 ? gap : gap - std::min(gap, off);
  // It spun before, and computed behind: at the same share of the CPU.
  if (at.found && at.step.base.count != 0 && state.compute_wall != 0)
    at.step.cpu_ns = static_cast<uint64_t>(static_cast<double>(gap) * static_cast<double>(state.compute_cpu) /
                                           static_cast<double>(state.compute_wall));
  state.pending.clear();
  state.compute_wall = state.compute_cpu = 0;
  state.last_exit = std::max(state.last_exit, at.step.arrival ? enter : at.event.exit_ns());
  state.last_op = at.event.op;
}

void Planner::finish_step(At& at) {
  at.step.needs = static_cast<uint32_t>(plan_.needs.size());
  for (const Need& need : needs_.found()) {
    plan_.needs.push_back(need);
    plan_.threads[need.thread - 1][need.count - 1].releases = true;
  }
  at.step.need_count = static_cast<uint32_t>(needs_.found().size());
  uint64_t length = at.event.length;
  if (at.event.result > 0) length = std::max(length, static_cast<uint64_t>(at.event.result));
  RecordType type = trace::type_of(at.event.op);
  bool writes = type == RecordType::write || type == RecordType::send || type == RecordType::xattr;
  if (writes) plan_.most_written = std::max(plan_.most_written, length);
}

void Planner::call(At& at) {
  switch (trace::family_of(at.event.op)) {
    case Family::open:
      return plan_open(at);
    case Family::make:
      return plan_make(at);
    case Family::remove:
      return plan_remove(at);
    case Family::move:
      return plan_move(at);
    case Family::truncate:
      return plan_truncate(at);
    case Family::question:
      return plan_question(at);
    case Family::descriptor:
      return plan_descriptors(at);
    case Family::copy:
      return plan_copy(at);
    case Family::lock:
      return plan_lock(at);
    case Family::mapping:
      return plan_mapping(at);
    case Family::transfer:
      return plan_data(at);
    case Family::message:
      return plan_message(at);
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
      return make_thread(at);
    case Op::exec:
      return plan_exec(at);
    case Op::exit:
      return plan_exit(at);
    case Op::exit_thread:
      at.step.skip = Skip::process;
      return;
    case Op::wait:
      return plan_wait(at);
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
      return plan_data(at);
  }
}

// A pipe that somebody unseen read or wrote would be waited for in vain.
void Planner::drop_torn_streams() {
  for (auto& steps : plan_.threads) {
    for (Step& step : steps) {
      if (!step.stream) continue;
      for (SlotId slot : {step.slot, step.slot2}) {
        const Description* end = description(slot);
        if (end && end->stream && end->stream->is_torn() && step.skip == Skip::none) step.skip = Skip::outside;
      }
    }
  }
}

const char* skip_text(Skip skip) {
  switch (skip) {
    case Skip::none:
      return "played";
    case Skip::process:
      return "processes and threads: started and waited for instead";
    case Skip::waiting:
      return "waiting without a file";
    case Skip::message:
      return "messages between ranks: who waited waits for the same one instead";
    case Skip::context:
      return "what later calls depend on: known ahead";
    case Skip::outside:
      return "descriptors that were open before the recording, or led to somebody who was not "
             "recorded";
    case Skip::machine:
      return "below /proc, /sys or /dev";
    case Skip::socket:
      return "sockets and other descriptors that are no files";
    case Skip::timing:
      return "interrupted, or not ready at that moment";
    case Skip::nowhere:
      return "names that lead nowhere";
    case Skip::unsupported:
      return "cannot be made again";
  }
  return "";
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

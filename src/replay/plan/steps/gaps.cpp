// SPDX-License-Identifier: Apache-2.0
//
// See gaps.h.
#include "replay/plan/steps/gaps.h"

#include <algorithm>

namespace reel::replay {
namespace {

// Off the CPU for less than this counts as noise.
constexpr uint64_t kNoise = 50'000;
// Who waited for another to end goes on after no more than this, and what it had no processor for.
constexpr uint64_t kWakes = 1'000'000;

}  // namespace

Gaps::Gaps(Walk& walk) : walk_(walk), costs_(walk.trace.facts), gaps_(walk.trace.threads.size() + 1) {}

void Gaps::begin(uint32_t thread, uint64_t ns) {
  gaps_[thread].last_exit = ns;
}

void Gaps::compute(const trace::Event& event) {
  Gap& gap = gaps_[event.thread];
  gap.wall += event.duration_ns;
  gap.cpu += std::min(event.arg, event.duration_ns);
  gap.queued += event.arg2;
  gap.queued_known = gap.queued_known && event.mode == 1;
  bool spun = event.flags == trace::kGaveWay;
  if (spun) gap.spun_until = event.exit_ns();
  gap.computed = spun ? 0 : gap.computed + event.arg;
  gap.queued_since = spun ? 0 : gap.queued_since + event.arg2;
}

void Gaps::join(At& at) {
  const Gap& gap = gaps_[at.event.thread];
  auto end = ends_.find(walk_.trace.threads[at.event.thread - 1].process);
  if (end == ends_.end() || gap.wall < gap.cpu + gap.queued + kNoise) return;
  uint64_t enter = at.event.enter_ns, ended = end->second.ns;
  // It was off the processors until then, and never since.
  if (ended <= gap.last_exit || ended > enter || enter - ended > gap.cpu + gap.queued + kWakes) return;
  walk_.needs.because(Why::process).add(end->second.by);
  at.joined = end->second.by;
}

void Gaps::end(At& at, const std::vector<Need>& pending) {
  Gap& state = gaps_[at.event.thread];
  uint64_t enter = at.event.enter_ns, from = state.last_exit;
  uint64_t gap = enter > from ? enter - from : 0;
  uint64_t off = std::min(gap, state.wall - state.cpu);
  // Part of the gap was the recorder's doing, off the CPU or on it.
  uint64_t cost = costs_.between(state.last_op, at.event.op);
  off -= std::min(off, cost);
  if (state.wall != 0 && state.queued_known) at.step.queued_ns = std::min(state.queued, off);
  uint64_t blocked = off - (at.step.queued_ns != ~0ull ? at.step.queued_ns : 0);
  // Off the CPU until another thread was so far: it waited for that.
  std::vector<Need> waited = pending.empty() ? walk_.needs.found() : pending;
  if (at.joined.count != 0) waited.push_back(at.joined);  // others may know it already, and need it no more
  if (!at.step.waits && (!pending.empty() || blocked > kNoise || at.found)) {
    for (const Need& need : waited) {
      uint64_t exit = walk_.plan.recorded_ns(walk_.trace, need);
      if (exit <= from || exit > enter) continue;
      from = exit;
      at.step.base = need;
    }
    gap = enter > from ? enter - from : 0;
    uint64_t cpu = state.cpu - std::min(state.cpu, cost);
    // Who waits for what no call shows may spin: that is no work to be done again.
    if (at.step.base.count != 0 && !at.found) at.step.before_ns = cpu - std::min(cpu, gap);
  }
  gap -= std::min(gap, cost);
  at.step.gap_ns = gap;
  at.step.cpu_ns = state.wall == 0 ? ~0ull : at.step.base.count != 0 ? gap : gap - std::min(gap, off);
  // It spun before, and computed behind: at the same share of the CPU.
  at.step.spins = at.found && at.step.base.count != 0 && blocked < state.wall / 10;
  if (at.found && at.step.base.count != 0 && state.wall != 0)
    at.step.cpu_ns = static_cast<uint64_t>(static_cast<double>(gap) * static_cast<double>(state.cpu) /
                                           static_cast<double>(state.wall));
  // Or it is known when it saw that it can go on. Processors that it had none of are no property of the program.
  if (at.step.spins && state.spun_until > from) {
    uint64_t since = enter - std::min(enter, state.spun_until);
    uint64_t work = since - std::min(since, state.queued_since + cost);
    at.step.sees = true;
    at.step.cpu_ns = state.computed == 0 ? work : std::min(state.computed, work);
    at.step.unseen_ns = gap - std::min(gap, work);
  }
  state.wall = state.cpu = state.queued = state.spun_until = state.computed = state.queued_since = 0;
  state.queued_known = true;
  state.last_exit = std::max(state.last_exit, at.step.arrival ? enter : at.event.exit_ns());
  state.last_op = at.event.op;
  if (at.event.op == trace::Op::exit_thread)
    ends_[walk_.trace.threads[at.event.thread - 1].process] = {at.me, at.event.exit_ns()};
}

}  // namespace reel::replay

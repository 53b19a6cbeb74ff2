// SPDX-License-Identifier: Apache-2.0
#include "trace/throttle/findings.h"

#include <algorithm>

namespace reel::trace {
namespace {

// Who waits does nothing for this part of a hold, up to its end, and that much longer than without it; who does not
// wait still makes calls in the last part. All else says nothing.
constexpr double kStopped = 0.5, kGoesOn = 0.25;
constexpr size_t kConfirmed = 2;  // observations that a dependency needs

// The first call of the thread that begins at this time or later.
size_t first_at(const Trace& trace, const std::vector<uint32_t>& calls, uint64_t time) {
  auto begins = [&](uint32_t call, uint64_t wanted) { return trace.events[call].enter_ns < wanted; };
  return static_cast<size_t>(std::lower_bound(calls.begin(), calls.end(), time, begins) - calls.begin());
}

int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

}  // namespace

Discovery::Discovery(const Trace& plain) : plain_(plain), threads_(calls_of(plain)) {
  for (const auto& [name, thread] : threads_)
    for (const Loop& loop : find_loops(plain, thread.calls)) loops_.push_back({name, loop});
}

std::optional<size_t> Discovery::loop_at(const std::string& thread, uint64_t call) const {
  for (size_t i = 0; i < loops_.size(); ++i)
    if (loops_[i].thread == thread && call >= loops_[i].loop.begin && call < loops_[i].loop.end()) return i;
  return std::nullopt;
}

Status Discovery::add(const Trace& throttled) {
  auto again = calls_of(throttled);
  TRY(same_calls(plain_, threads_, throttled, again));
  std::map<uint32_t, std::string> names;
  for (const auto& [name, thread] : again) names[thread.thread] = name;
  for (const Event& hold : throttled.events) {
    auto name = names.find(hold.thread);
    if (hold.op != Op::held || name == names.end()) continue;
    ++holds_;
    // Not at its end: times are rounded, and the call may seem to begin a moment before that.
    uint64_t call = first_at(throttled, again[name->second].calls, hold.enter_ns);
    std::optional<size_t> from = loop_at(name->second, call);
    if (!from) continue;
    ++asked_[{*from, (call - loops_[*from].loop.begin) % loops_[*from].loop.period}];
    for (const auto& [other, thread] : again)
      if (other != name->second) observe(throttled, hold, {*from, call}, other, thread.calls);
  }
  return ok();
}

void Discovery::observe(const Trace& throttled, const Event& hold, Place held, const std::string& thread,
                        const std::vector<uint32_t>& calls) {
  size_t next = first_at(throttled, calls, hold.exit_ns());
  // Not begun or over: it says nothing. Behind the last call of a loop it may still be held up.
  if (next == 0 || next >= calls.size()) return;
  std::optional<size_t> to = loop_at(thread, next - 1);
  if (!to) return;
  auto part = [&](double share) { return static_cast<uint64_t>(share * static_cast<double>(hold.duration_ns)); };
  uint64_t gap = gap_before(throttled, calls, next), usual = gap_before(plain_, threads_[thread].calls, next);
  uint64_t last = throttled.events[calls[next - 1]].exit_ns();
  const Loop& mine = loops_[held.loop].loop;
  std::vector<Observation>& seen = observations_[{held.loop, *to}][(held.call - mine.begin) % mine.period];
  if (last + part(kStopped) <= hold.exit_ns() && gap >= usual + part(kStopped))
    seen.push_back({held.call, next});
  else if (last + part(kGoesOn) > hold.exit_ns())
    seen.push_back({held.call, std::nullopt});
}

// What holding a place of a loop does: which call is kept back, in the other loop's turn 0, when all turns agree on it.
std::optional<int64_t> Discovery::agreed(const Loop& mine, const Loop& others, const std::vector<Observation>& seen) {
  std::map<int64_t, size_t> votes;
  for (const Observation& one : seen) {
    if (!one.stopped) continue;
    auto turn = static_cast<int64_t>((one.held - mine.begin) / mine.period);
    ++votes[static_cast<int64_t>(*one.stopped - others.begin) - turn * static_cast<int64_t>(others.period)];
  }
  for (const auto& [call, count] : votes)
    if (count >= kConfirmed && count * 5 >= seen.size() * 4) return call;
  return std::nullopt;
}

// A call waits for the last one of those whose being held keeps it back.
void Discovery::conclude(const ThreadLoop& from, const ThreadLoop& to, const ByPlace& seen,
                         std::vector<Series>& series) const {
  const Loop &mine = from.loop, &others = to.loop;
  auto mine_step = static_cast<int64_t>(mine.period), others_step = static_cast<int64_t>(others.period);
  std::map<int64_t, int64_t> last;  // call of the other's turn 0 -> our call, from our turn 0
  for (const auto& [place, observed] : seen) {
    std::optional<int64_t> stopped = agreed(mine, others, observed);
    if (!stopped) continue;
    int64_t turn = floor_div(*stopped, others_step);
    int64_t call = static_cast<int64_t>(place) - turn * mine_step;
    auto [at, is_new] = last.try_emplace(*stopped - turn * others_step, call);
    if (!is_new) at->second = std::max(at->second, call);
  }
  for (auto [to_call, from_call] : last) {
    // Turns that both have; the call behind a loop counts as one of its next turn.
    int64_t first = from_call >= 0 ? 0 : (-from_call + mine_step - 1) / mine_step;
    int64_t mine_turns = (static_cast<int64_t>(mine.turns) * mine_step - 1 - from_call) / mine_step + 1;
    int64_t others_turns = (static_cast<int64_t>(others.turns) * others_step - to_call) / others_step + 1;
    int64_t count = std::min(mine_turns, others_turns) - first;
    if (count <= 0) continue;
    auto at = [&](const Loop& loop, int64_t call, int64_t step) {
      return static_cast<uint64_t>(static_cast<int64_t>(loop.begin) + call + first * step);
    };
    series.push_back({threads_.at(from.thread).thread, threads_.at(to.thread).thread, at(mine, from_call, mine_step),
                      mine.period, at(others, to_call, others_step), others.period, static_cast<uint64_t>(count)});
  }
}

Findings Discovery::findings() const {
  Findings findings;
  findings.holds = holds_;
  for (const ThreadLoop& one : loops_) findings.places += one.loop.period;
  for (const auto& [place, times] : asked_) findings.asked += times >= kConfirmed ? 1 : 0;
  for (const auto& [pair, seen] : observations_)
    conclude(loops_[pair.first], loops_[pair.second], seen, findings.series);
  return findings;
}

}  // namespace reel::trace

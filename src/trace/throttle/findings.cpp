// SPDX-License-Identifier: Apache-2.0
#include "trace/throttle/findings.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <tuple>

#include "trace/throttle/calls.h"
#include "trace/throttle/loop.h"

namespace reel::trace {
namespace {

// Who waits does nothing for this part of a hold, up to its end, and that much longer than without it; who does not
// wait still makes calls in the last part. All else says nothing.
constexpr double kStopped = 0.5, kGoesOn = 0.25;
constexpr double kHold = 2.5;  // of most gaps between calls: who is to stop has come to where it stops early enough
constexpr uint64_t kShortestHold = 20'000'000, kLongestHold = 2'000'000'000;
constexpr uint64_t kTimesEach = 4;  // each place is to be asked so often
constexpr size_t kConfirmed = 2;    // observations that a dependency needs

// A thread as it was in both runs.
struct Pair {
  ThreadCalls plain, throttled;
  std::vector<uint32_t> held;  // events of the throttled run
  Loop loop;
};

// A thread, held before its call `held`, kept another from its call `stopped`; or from none.
struct Observation {
  uint64_t held;
  std::optional<uint64_t> stopped;
};

uint64_t gap_before(const Trace& trace, const std::vector<uint32_t>& calls, size_t call) {
  uint64_t from = trace.events[calls[call - 1]].exit_ns(), to = trace.events[calls[call]].enter_ns;
  return to > from ? to - from : 0;
}

// The first call of the thread that begins at this time or later.
size_t first_at(const Trace& trace, const std::vector<uint32_t>& calls, uint64_t time) {
  auto begins = [&](uint32_t call, uint64_t wanted) { return trace.events[call].enter_ns < wanted; };
  return static_cast<size_t>(std::lower_bound(calls.begin(), calls.end(), time, begins) - calls.begin());
}

class Comparison {
 public:
  Comparison(const Trace& plain, const Trace& throttled) : plain_(plain), throttled_(throttled) {}

  Status align() {
    auto left = calls_of(plain_), right = calls_of(throttled_);
    TRY(same_calls(plain_, left, throttled_, right));
    for (auto& [name, calls] : left) {
      Pair pair{std::move(calls), std::move(right[name]), {}, {}};
      pair.loop = find_loop(plain_, pair.plain.calls);
      pairs_.push_back(std::move(pair));
    }
    for (uint32_t i = 0; i < throttled_.events.size(); ++i) {
      if (throttled_.events[i].op != Op::held) continue;
      for (Pair& pair : pairs_)
        if (pair.throttled.thread == throttled_.events[i].thread) pair.held.push_back(i);
    }
    return ok();
  }

  Findings find() {
    Findings findings;
    for (size_t from = 0; from < pairs_.size(); ++from) {
      const Pair& pair = pairs_[from];
      findings.holds += pair.held.size();
      findings.places += pair.loop.period;
      std::vector<size_t> asked(pair.loop.period);
      for (uint32_t held : pair.held) {
        uint64_t call = first_at(throttled_, pair.throttled.calls, throttled_.events[held].exit_ns());
        if (!in_loop(pair.loop, call)) continue;
        ++asked[(call - pair.loop.begin) % pair.loop.period];
        for (size_t to = 0; to < pairs_.size(); ++to)
          if (to != from && pairs_[to].loop.turns != 0) observe(from, to, held, call);
      }
      findings.asked += static_cast<size_t>(
          std::count_if(asked.begin(), asked.end(), [](size_t times) { return times >= kConfirmed; }));
    }
    for (size_t from = 0; from < pairs_.size(); ++from)
      for (size_t to = 0; to < pairs_.size(); ++to) conclude(from, to, findings.series);
    return findings;
  }

 private:
  static bool in_loop(const Loop& loop, uint64_t call) {
    return loop.turns != 0 && call >= loop.begin && call < loop.end();
  }

  void observe(size_t from, size_t to, uint32_t held, uint64_t call) {
    const Pair& other = pairs_[to];
    const std::vector<uint32_t>& calls = other.throttled.calls;
    const Event& hold = throttled_.events[held];
    size_t next = first_at(throttled_, calls, hold.exit_ns());
    // Not begun or over: it says nothing. Behind the last call of a loop it may still be held up.
    if (next == 0 || next >= calls.size() || next <= other.loop.begin || next > other.loop.end()) return;
    auto part = [&](double share) { return static_cast<uint64_t>(share * static_cast<double>(hold.duration_ns)); };
    uint64_t gap = gap_before(throttled_, calls, next), usual = gap_before(plain_, other.plain.calls, next);
    uint64_t last = throttled_.events[calls[next - 1]].exit_ns();
    const Loop& mine = pairs_[from].loop;
    std::vector<Observation>& found = observations_[{from, to, (call - mine.begin) % mine.period}];
    if (last + part(kStopped) <= hold.exit_ns() && gap >= usual + part(kStopped))
      found.push_back({call, next});
    else if (last + part(kGoesOn) > hold.exit_ns())
      found.push_back({call, std::nullopt});
  }

  // What holding a place of the loop does: which call is kept back, in the loop's turn 0, when all turns agree on it.
  std::optional<int64_t> agreed(size_t from, size_t to, uint64_t place) const {
    const Loop &mine = pairs_[from].loop, &others = pairs_[to].loop;
    auto observed = observations_.find({from, to, place});
    if (observed == observations_.end()) return std::nullopt;
    std::map<int64_t, size_t> votes;
    for (const Observation& one : observed->second) {
      if (!one.stopped) continue;
      auto turn = static_cast<int64_t>((one.held - mine.begin) / mine.period);
      ++votes[static_cast<int64_t>(*one.stopped - others.begin) - turn * static_cast<int64_t>(others.period)];
    }
    for (const auto& [call, count] : votes)
      if (count >= kConfirmed && count * 5 >= observed->second.size() * 4) return call;
    return std::nullopt;
  }

  // A call waits for the last one of those whose being held keeps it back.
  void conclude(size_t from, size_t to, std::vector<Series>& series) const {
    const Loop &mine = pairs_[from].loop, &others = pairs_[to].loop;
    if (from == to || mine.turns == 0 || others.turns == 0) return;
    auto mine_step = static_cast<int64_t>(mine.period), others_step = static_cast<int64_t>(others.period);
    std::map<int64_t, int64_t> last;  // call of the other's turn 0 -> our call, from our turn 0
    for (uint64_t place = 0; place < mine.period; ++place) {
      std::optional<int64_t> stopped = agreed(from, to, place);
      if (!stopped) continue;
      int64_t turn = *stopped / others_step - (*stopped % others_step < 0 ? 1 : 0);
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
      series.push_back({pairs_[from].plain.thread, pairs_[to].plain.thread, at(mine, from_call, mine_step), mine.period,
                        at(others, to_call, others_step), others.period, static_cast<uint64_t>(count)});
    }
  }

  const Trace& plain_;
  const Trace& throttled_;
  std::vector<Pair> pairs_;
  std::map<std::tuple<size_t, size_t, uint64_t>, std::vector<Observation>> observations_;  // by from, to, place
};

}  // namespace

Result<Probes> plan_probes(const Trace& plain) {
  std::vector<uint64_t> gaps;
  Probes probes;
  uint64_t places = 0, loops = 0, begin = ~0ull, end = 0;
  for (const auto& [name, thread] : calls_of(plain)) {
    Loop loop = find_loop(plain, thread.calls);
    if (loop.turns == 0) continue;
    ++loops;
    places += loop.period;
    probes.places = std::max(probes.places, static_cast<uint32_t>(loop.period));
    for (size_t call = loop.begin + 1; call < loop.end(); ++call) gaps.push_back(gap_before(plain, thread.calls, call));
    begin = std::min(begin, plain.events[thread.calls[loop.begin]].enter_ns);
    end = std::max(end, plain.events[thread.calls[loop.end() - 1]].exit_ns());
  }
  if (loops < 2) return Error(Code::invalid, "fewer than two of the program's threads have a loop of calls");
  std::nth_element(gaps.begin(), gaps.begin() + static_cast<ptrdiff_t>(gaps.size() * 95 / 100), gaps.end());
  uint64_t long_gap = gaps[gaps.size() * 95 / 100];
  probes.hold_ns =
      std::clamp(static_cast<uint64_t>(kHold * static_cast<double>(long_gap)), kShortestHold, kLongestHold);
  probes.settle_ns = long_gap;
  // The program shall not take more than twice its time.
  uint64_t affordable = (end - begin) / probes.hold_ns;
  probes.most = std::min(places * kTimesEach, std::max<uint64_t>(affordable, 1));
  return probes;
}

Result<Findings> find_dependencies(const Trace& plain, const Trace& throttled) {
  Comparison comparison(plain, throttled);
  TRY(comparison.align());
  return comparison.find();
}

Status write_findings(Writer& writer, const Findings& findings) {
  for (size_t i = 0; i < findings.series.size(); ++i) {
    const Series& one = findings.series[i];
    std::string text;
    for (uint64_t number :
         {uint64_t{one.from_thread}, one.from, one.from_step, uint64_t{one.to_thread}, one.to, one.to_step, one.count})
      text += (text.empty() ? "" : " ") + std::to_string(number);
    TRY(writer.fact("found." + std::to_string(i), text));
  }
  TRY(writer.fact("found", std::to_string(findings.series.size())));
  return writer.commit();
}

std::vector<Series> found_series(const Trace& trace) {
  std::vector<Series> series;
  auto number = trace.facts.find("found");
  if (number == trace.facts.end()) return series;
  uint64_t count = std::strtoull(number->second.c_str(), nullptr, 10);
  for (uint64_t i = 0; i < count; ++i) {
    auto fact = trace.facts.find("found." + std::to_string(i));
    if (fact == trace.facts.end()) break;
    unsigned long long n[7];
    if (std::sscanf(fact->second.c_str(), "%llu %llu %llu %llu %llu %llu %llu", &n[0], &n[1], &n[2], &n[3], &n[4],
                    &n[5], &n[6]) != 7)
      break;
    uint64_t turns = std::min<uint64_t>(n[6], trace.events.size());  // a log may say anything
    series.push_back({static_cast<uint32_t>(n[0]), static_cast<uint32_t>(n[3]), n[1], n[2], n[4], n[5], turns});
  }
  return series;
}

}  // namespace reel::trace

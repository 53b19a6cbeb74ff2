// SPDX-License-Identifier: Apache-2.0
#include "trace/throttle/plan.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "trace/throttle/calls.h"
#include "trace/throttle/loop.h"

namespace reel::trace {
namespace {

constexpr double kHold = 2.5;  // of most gaps between calls: who is to stop has come to where it stops early enough
constexpr uint64_t kShortestHold = 20'000'000, kLongestHold = 2'000'000'000;
constexpr uint64_t kTimesEach = 6;  // each place is to be asked so often
constexpr uint64_t kLongLoop =
    20;  // a loop that takes this part of the program's time or more is to be asked all of it

struct Looping {
  uint64_t threads = 0, places = 0;
  uint64_t begin = ~0ull, end = 0;
  std::vector<uint64_t> gaps;
  std::vector<std::pair<uint64_t, uint64_t>> loops;  // how long each takes, how many places it has
};

Looping looping(const Trace& plain) {
  Looping all;
  for (const auto& [name, thread] : calls_of(plain)) {
    std::vector<Loop> loops = find_loops(plain, thread.calls);
    all.threads += loops.empty() ? 0 : 1;
    for (const Loop& loop : loops) {
      all.places = std::max<uint64_t>(all.places, loop.period);
      for (size_t call = loop.begin + 1; call < loop.end(); ++call)
        all.gaps.push_back(gap_before(plain, thread.calls, call));
      uint64_t begin = plain.events[thread.calls[loop.begin]].enter_ns;
      uint64_t end = plain.events[thread.calls[loop.end() - 1]].exit_ns();
      all.loops.emplace_back(end - begin, loop.period);
      all.begin = std::min(all.begin, begin);
      all.end = std::max(all.end, end);
    }
  }
  return all;
}

}  // namespace

Result<Probes> plan_probes(const Trace& plain, size_t holds_before) {
  Looping all = looping(plain);
  if (all.threads < 2) return Error(Code::invalid, "fewer than two of the program's threads have a loop of calls");
  auto most = all.gaps.begin() + static_cast<ptrdiff_t>(all.gaps.size() * 95 / 100);
  std::nth_element(all.gaps.begin(), most, all.gaps.end());
  Probes probes;
  probes.hold_ns = std::clamp(static_cast<uint64_t>(kHold * static_cast<double>(*most)), kShortestHold, kLongestHold);
  probes.places = static_cast<uint32_t>(all.places);
  probes.first = static_cast<uint32_t>(holds_before / all.threads);
  uint64_t between = ~0ull;
  for (auto [duration, places] : all.loops)
    if (duration >= (all.end - all.begin) / kLongLoop)
      between = std::min(between, duration / (places * kTimesEach * all.threads));
  // Never so short that the program takes more than twice its time.
  probes.settle_ns = std::max(probes.hold_ns, between);
  return probes;
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// See own_cost.h.
#include "replay/play/own_cost.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "replay/play/board.h"
#include "replay/play/caller.h"
#include "replay/play/pacing.h"

namespace reel::replay {
namespace {

constexpr int kRuns = 200, kCalls = 16;

template <class Call>
uint64_t quickest(Call call) {
  uint64_t least = ~0ull;
  for (int run = 0; run < kRuns; ++run) {
    uint64_t begin = now_ns();
    for (int i = 0; i < kCalls; ++i) call();
    least = std::min(least, now_ns() - begin);
  }
  return least / kCalls;
}

uint64_t measure(World& world) {
  trace::Trace trace;  // of a call that fails at once
  trace::Event seek;
  seek.op = trace::Op::lseek;
  trace.events.push_back(seek);
  Plan plan;
  Mappings mappings;
  Caller caller(trace, plan, world, mappings);
  Step step;
  Sample sample;
  std::atomic<bool> stop{false};
  uint64_t played = quickest([&] {
    spin_until(now_ns(), stop);  // a gap of nothing
    sample.enter_ns = now_ns();
    sample.result = caller.play(step);
    sample.exit_ns = now_ns();
  });
  uint64_t bare = quickest([&] { sample.result = ::lseek(-1, 0, SEEK_SET); });
  return played > bare ? played - bare : 0;
}

}  // namespace

// In a thread of its own, for a Caller takes the umask of the one it is made in.
uint64_t cost_of_playing(World& world) {
  uint64_t cost = 0;
  std::thread([&] { cost = measure(world); }).join();
  return cost;
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Plays a plan: one thread for each recorded thread, each step when the steps it needs are over
// and, by mode, when its time has come.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "reel/result.h"
#include "replay/plan/plan.h"
#include "replay/play/team.h"
#include "replay/play/world.h"

namespace reel::replay {

// When a step begins, once the steps that it needs are over.
enum class Pace : uint8_t {
  none,   // at once
  gaps,   // after as much computing as was recorded; waiting takes what it takes now
  timed,  // when it began in the recording, from the start
};

struct PlayOptions {
  Pace pace = Pace::none;
  double scale = 1;       // of gaps and times: 2 is half as fast
  uint64_t stall_s = 60;  // without any step for so long (beyond the recording's own longest pause): given up
};

struct Played {
  std::vector<std::vector<Sample>> threads;  // as Plan::threads
  uint64_t begin_ns = 0, end_ns = 0;
  bool stopped = false;  // by request
  std::string stalled;   // where it did not go on; empty: it did
};

// Threads that others of the team play are missing, but for its leader. `stop` becomes true: ends soon, calls that wait
// are interrupted (by SIGUSR2, whose handler this sets). SIGPIPE is ignored and the umask 0 from here on. Errors: io
// (no thread could be made).
Result<Played> play(const trace::Trace& trace, const Plan& plan, World& world, const PlayOptions& options, Team& team,
                    const std::atomic<bool>& stop);

}  // namespace reel::replay

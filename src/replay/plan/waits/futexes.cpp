// SPDX-License-Identifier: Apache-2.0
//
// See futexes.h.
#include "replay/plan/waits/futexes.h"

namespace reel::replay {

void Futexes::wake(At& at) {
  at.step.skip = Skip::waiting;
  wakes_[{at.event.thread, at.event.arg2}] = at.me;
}

void Futexes::wait(At& at) {
  at.step.skip = Skip::waiting;
  at.step.waits = true;
  auto by = static_cast<uint32_t>(at.event.arg);
  if (by == 0 || by > walk_.plan.threads.size()) return;
  walk_.needs.because(Why::futex);
  if (at.event.arg2 == 0)  // woken by its end, of which at least what came before is here
    return walk_.needs.add({by, static_cast<uint32_t>(walk_.plan.threads[by - 1].size())});
  if (auto wake = wakes_.find({by, at.event.arg2}); wake != wakes_.end()) walk_.needs.add(wake->second);
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// See found.h.
#include "replay/plan/waits/found.h"

#include "trace/throttle/series.h"

namespace reel::replay {

Found::Found(Walk& walk) : walk_(walk), calls_(walk.trace.threads.size() + 1) {
  if (!walk.options.causal) return;
  for (const trace::Series& series : trace::found_series(walk.trace)) {
    if (series.from_thread == 0 || series.from_thread >= calls_.size() || series.to_thread >= calls_.size()) continue;
    for (uint64_t i = 0; i < series.count; ++i) {
      CallId from{series.from_thread, series.from + i * series.from_step};
      awaited_[{series.to_thread, series.to + i * series.to_step}].push_back(from);
      sources_[from] = {};
    }
  }
}

void Found::await(At& at) {
  CallId me{at.event.thread, calls_[at.event.thread]++};
  if (auto waits = awaited_.find(me); waits != awaited_.end()) {
    walk_.needs.because(Why::found);
    for (const CallId& from : waits->second) {
      Need source = sources_.at(from);
      if (source.count == 0) {
        ++late_;
        continue;
      }
      walk_.needs.add({source.thread, source.count});
      at.found = true;
    }
  }
  if (auto source = sources_.find(me); source != sources_.end()) source->second = at.me;
}

void Found::tell_doubts() const {
  if (late_ == 0) return;
  walk_.plan.doubts.push_back(std::to_string(late_) +
                              " calls that throttling found to be waited for were not over by then: they are not "
                              "waited for");
}

}  // namespace reel::replay

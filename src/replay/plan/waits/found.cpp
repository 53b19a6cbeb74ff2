// SPDX-License-Identifier: Apache-2.0
//
// What throttling found (trace/throttle): a call waits for another thread's, and no call shows it.
#include "replay/plan/steps/planner.h"
#include "trace/throttle/series.h"

namespace reel::replay {

void Planner::begin_found() {
  for (const trace::Series& series : trace::found_series(trace_)) {
    if (series.from_thread == 0 || series.from_thread >= threads_.size() || series.to_thread >= threads_.size())
      continue;
    for (uint64_t i = 0; i < series.count; ++i) {
      CallId from{series.from_thread, series.from + i * series.from_step};
      found_[{series.to_thread, series.to + i * series.to_step}].push_back(from);
      sources_[from] = {};
    }
  }
}

// The next call of its thread; counts it.
void Planner::await_found(At& at) {
  CallId me{at.event.thread, threads_[at.event.thread].calls++};
  if (auto waits = found_.find(me); waits != found_.end()) {
    needs_.because(Why::found);
    for (const CallId& from : waits->second) {
      Need source = sources_.at(from);
      if (source.count == 0) {
        ++late_found_;
        continue;
      }
      needs_.add({source.thread, source.count});
      at.found = true;
    }
  }
  if (auto source = sources_.find(me); source != sources_.end()) source->second = at.me;
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// See threads.h.
#include "replay/plan/things/threads.h"

namespace reel::replay {

using trace::Event;
using trace::Op;

bool makes_thread(const Event& event) {
  return event.op == Op::fork || event.op == Op::vfork || event.op == Op::clone_thread;
}

Threads::Threads(const trace::Trace& trace) : threads_(trace.threads.size() + 1) {
  for (uint32_t i = 0; i < trace.events.size(); ++i) {
    const Event& event = trace.events[i];
    if (event.thread == 0 || event.thread >= threads_.size()) continue;
    threads_[event.thread].events.push_back(i);
    if (makes_thread(event) && event.arg > 0 && event.arg < threads_.size() && event.arg != event.thread &&
        !event.failed())
      threads_[event.arg].made = true;
  }
}

void Threads::push(uint32_t number, uint64_t when) {
  Thread& thread = threads_[number];
  thread.queued = true;
  queue_.push({when, number, thread.taken});
}

uint32_t Threads::first() {
  while (!queue_.empty()) {
    const auto& [when, number, taken] = queue_.top();
    if (taken == threads_[number].taken) return number;
    queue_.pop();  // another's result showed that it was earlier
  }
  return 0;
}

void Threads::take(uint32_t number) {
  Thread& thread = threads_[number];
  if (!queue_.empty() && std::get<1>(queue_.top()) == number) queue_.pop();
  ++thread.taken;
  thread.queued = false;
}

}  // namespace reel::replay

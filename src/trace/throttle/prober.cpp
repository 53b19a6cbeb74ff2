// SPDX-License-Identifier: Apache-2.0
#include "trace/throttle/prober.h"

namespace reel::trace {

void Prober::step(wire::Control& control, const std::vector<LiveThread>& threads, uint64_t now) {
  if (!asked_) {
    if (since_ == 0) since_ = now;
    if (now - since_ >= probes_.settle_ns) ask(control, threads, now);
    return;
  }
  if (__atomic_load_n(&control.holds, __ATOMIC_ACQUIRE) == asked_holds_) {
    // It makes no calls now, or has ended: somebody else's turn. Not when it is being held; but who is killed then
    // never says that it is over.
    int32_t tid = __atomic_load_n(&control.hold_tid, __ATOMIC_ACQUIRE);
    if (now - since_ < (tid != 0 ? 2 : 4) * probes_.hold_ns) return;
    if (tid != 0 && !__atomic_compare_exchange_n(&control.hold_tid, &tid, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
      return;
  }
  asked_ = false;
  since_ = now;
}

// Who was asked least, of those that have made calls since.
void Prober::ask(wire::Control& control, const std::vector<LiveThread>& threads, uint64_t now) {
  const LiveThread* next = nullptr;
  for (const LiveThread& thread : threads) {
    if (probes_.only != 0 && thread.number != probes_.only) continue;
    auto before = taken_.find(thread.tid);
    if (before != taken_.end() && before->second == thread.taken) continue;
    if (!next || times_[thread.tid] < times_[next->tid]) next = &thread;
  }
  if (!next) return;
  taken_[next->tid] = next->taken;
  control.hold_after = (probes_.first + times_[next->tid]++) % probes_.places;
  control.hold_ns = probes_.hold_ns;
  asked_holds_ = __atomic_load_n(&control.holds, __ATOMIC_ACQUIRE);
  __atomic_store_n(&control.hold_tid, next->tid, __ATOMIC_RELEASE);
  asked_ = true;
  since_ = now;
}

}  // namespace reel::trace

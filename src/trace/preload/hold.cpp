// SPDX-License-Identifier: Apache-2.0
//
// Holding a thread up before a call, to see who waits for it: trace/throttle.
#include <sys/syscall.h>
#include <time.h>

#include "trace/preload/process_state.h"
#include "trace/preload/shim.h"

namespace reel::trace::shim {

// Only this thread writes what it reads here until hold_tid is 0 again.
void hold() {
  wire::Control* control = process().control;
  if (control->hold_after > 0) {
    --control->hold_after;
    return;
  }
  struct timespec left;
  left.tv_sec = static_cast<time_t>(control->hold_ns / 1'000'000'000u);
  left.tv_nsec = static_cast<long>(control->hold_ns % 1'000'000'000u);
  __atomic_store_n(&control->hold_tid, 0, __ATOMIC_RELEASE);
  int error = errno;
  uint64_t enter = now();
  Call call(Op::held, enter, measure_gap(enter));
  while (kernel(SYS_nanosleep, reinterpret_cast<long>(&left), reinterpret_cast<long>(&left)) == -EINTR) {
  }
  call.done(0);
  __atomic_fetch_add(&control->holds, 1, __ATOMIC_RELEASE);
  errno = error;
}

}  // namespace reel::trace::shim

// SPDX-License-Identifier: Apache-2.0
//
// What libreel-record-mpi.so calls around each call of MPI (trace/mpi/door.h).
#include "trace/mpi/door.h"
#include "trace/preload/process_state.h"
#include "trace/preload/shim.h"

using namespace reel::trace;        // NOLINT: the whole file is about them
using namespace reel::trace::shim;  // NOLINT
using reel::trace::mpi::DoorEvent;
using reel::trace::mpi::Span;

namespace {

// The call of MPI that this thread is in, and the unsuccessful tests right before it.
struct MpiCall {
  uint64_t enter;  // ticks; 0: it is not recorded
  Gap gap;         // before it
  uint64_t tests_enter, tests_exit;
  uint64_t tests_last;  // thread.last_exit at the tests: the same still when nothing was recorded since
  Gap tests_gap;
};
__thread MpiCall current __attribute__((tls_model("initial-exec")));

// Tests follow each other as one wait when there is neither a call nor computing between them.
bool follows_tests() {
  return current.tests_exit != 0 && current.tests_last == thread.last_exit &&
         current.enter - current.tests_exit < process().control->gap_ticks;
}

void join_tests() {
  if (!follows_tests()) return;
  current.enter = current.tests_enter;
  current.gap = current.tests_gap;
}

void note_test() {
  join_tests();
  current.tests_enter = current.enter;
  current.tests_gap = current.gap;
  current.tests_last = thread.last_exit;
  current.tests_exit = now();
}

uint64_t begin_of(Span span, uint64_t exit) {
  switch (span) {
    case Span::whole:
    case Span::entry:
      return current.enter;
    case Span::exit:
      return exit;
    case Span::after_files:
      return thread.last_exit;
  }
  return exit;
}

void put(const DoorEvent& event, uint64_t exit) {
  bool begins = event.span == Span::whole || event.span == Span::entry;
  Call call(static_cast<Op>(event.op), begin_of(event.span, exit), begins ? current.gap : Gap{});
  if (!call.on()) return;
  if (event.span == Span::entry) exit = current.enter;
  current.gap = Gap{};  // is told once
  call.flags = event.flags;
  call.mode = event.mode;
  call.offset = event.offset;
  call.length = event.length;
  if (event.arg != 0 || event.arg2 != 0) call.args(event.arg, event.arg2);
  if (event.text) call.path(event.text);
  call.finish(static_cast<long>(event.result), exit);
}

}  // namespace

REEL_EXPORT uint64_t reel_mpi_enter(int files) {
  if (thread.inside != 0) {
    ++thread.inside;
    return 0;
  }
  current.gap = Gap{};
  if (!begin_call(current.enter, current.gap)) current.enter = 0;
  thread.files_inside = files != 0;
  thread.inside = 1;
  return current.enter;
}

REEL_EXPORT void reel_mpi_leave(const DoorEvent* events, uint32_t count, int was_test) {
  if (--thread.inside != 0 || current.enter == 0) return;
  if (count == 0) {
    if (was_test != 0) note_test();
    return;
  }
  if (was_test != 0) join_tests();
  uint64_t exit = now();
  for (uint32_t i = 0; i < count; ++i) put(events[i], exit);
}

// SPDX-License-Identifier: Apache-2.0
//
// Between libreel-record.so, which knows nothing of MPI, and libreel-record-mpi.so, which records nothing itself: two
// functions of the first that the second finds when its program begins. They belong together as a pair around each
// call of MPI, in the thread that makes it; both may be called at any time, also when nothing is recorded.
#pragma once

#include <stdint.h>

namespace reel::trace::mpi {

// Where in the call the event lies.
enum class Span : uint16_t {
  whole,        // from its entry (or that of the unsuccessful tests before it, when it is a wait) to its exit
  entry,        // a moment: the entry
  exit,         // a moment: the exit
  after_files,  // from the exit of the last call on a file within it to its exit
};

struct DoorEvent {
  uint16_t op = 0;  // trace::Op, wire::kOpLoss, wire::kOpFact
  Span span = Span::whole;
  uint32_t flags = 0, mode = 0;
  uint64_t offset = 0, length = 0, arg = 0, arg2 = 0;
  int64_t result = 0;
  const char* text = nullptr;  // of kOpLoss and kOpFact
};

// A call of MPI begins: until leave, what this thread does in libc is MPI's doing and is not recorded, but calls on
// files when `files` is not 0. Returns the time in ticks; 0: it is not to be recorded (it is MPI's own call within
// another, or nothing is recorded).
using EnterFn = uint64_t (*)(int files);
inline constexpr const char* kEnterName = "reel_mpi_enter";

// It has ended, and `count` events tell of it; none: it was an unsuccessful test, or says nothing.
using LeaveFn = void (*)(const DoorEvent* events, uint32_t count, int was_test);
inline constexpr const char* kLeaveName = "reel_mpi_leave";

}  // namespace reel::trace::mpi

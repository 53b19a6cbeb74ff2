// SPDX-License-Identifier: Apache-2.0
//
// What the calls of a family have in common: who must do the same for all of them asks for it, and lists no ops.
#pragma once

#include "reel/trace_op.h"

namespace reel::trace {

enum class Family : uint8_t {
  other,
  open,
  descriptor,  // gives out, copies, changes or closes descriptors
  transfer,    // bytes to or from a descriptor, or its position
  copy,        // from descriptor to descriptor
  mapping,
  make,  // a name that was not there (but by open)
  remove,
  move,  // two names
  truncate,
  question,  // about what a name or a descriptor leads to, its attributes too
  lock,      // of files
  message,   // of MPI
  memory,    // waiting for others in memory, and letting them go on
  process,   // threads, programs, whose they are, waiting for them and their ends
};

Family family_of(Op op);

// A call in memory that lets others go on as it begins, and does nothing else.
bool gives_way(Op op);

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Who let whom go on in memory: futexes, and the locks, semaphores and barriers that processes share
// (docs/trace-format.md, "In memory"). Pure.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "reel/trace.h"

namespace reel::trace {

// Numbers of events are indexes into Trace::events.
struct InMemory {
  // Of a call that waited: those that let it go on as they began. A lock was given up last by them (a shared one: by
  // who had it alone); a semaphore's k-th wait needs as many posts as it had not been given before; a futex's sleeper
  // was woken. Who is woken for a condition *in vain*, that is, waits for it again with no call between and having
  // told nobody, has changed nothing: nobody comes after that use of the lock.
  std::unordered_map<uint32_t, std::vector<uint32_t>> after;
  // Those who met at a barrier: each begins there. Only such as were whole.
  std::vector<std::vector<uint32_t>> meetings;
  std::unordered_map<uint32_t, uint32_t> meeting;  // of a barrier_wait: an index of `meetings`
  uint64_t unmatched = 0;                          // waits at barriers that not all came to
};

InMemory match_in_memory(const Trace& trace);

}  // namespace reel::trace

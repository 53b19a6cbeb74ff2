// SPDX-License-Identifier: Apache-2.0
//
// Named places where a crash is worth testing: before and after something becomes durable. In builds
// with REEL_ASSERTIONS, REEL_KILL_POINT=name[:N] kills the process (SIGKILL) at the Nth passage, and
// REEL_TUNE_name=N makes a size small, so that a test need not write gigabytes to get past it. Other
// builds read neither.
#pragma once

#include <cstdint>

namespace reel {

#ifdef REEL_ASSERTIONS
void kill_point(const char* name);
uint64_t tuned(const char* name, uint64_t usual);
#else
inline void kill_point(const char*) {}
inline uint64_t tuned(const char*, uint64_t usual) {
  return usual;
}
#endif

}  // namespace reel

// SPDX-License-Identifier: Apache-2.0
//
// Named places where a crash is worth testing: before and after something becomes durable. In builds
// with REEL_ASSERTIONS, REEL_KILL_POINT=name[:N] kills the process (SIGKILL) at the Nth passage.
#pragma once

namespace reel {

#ifdef REEL_ASSERTIONS
void kill_point(const char* name);
#else
inline void kill_point(const char*) {}
#endif

}  // namespace reel

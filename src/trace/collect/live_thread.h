// SPDX-License-Identifier: Apache-2.0
//
// What the collector tells of who records now.
#pragma once

#include <cstdint>

namespace reel::trace {

struct LiveThread {
  int32_t tid;
  uint64_t taken;       // events so far
  uint32_t number = 0;  // in the trace; 0: nothing of it was taken yet
};

}  // namespace reel::trace

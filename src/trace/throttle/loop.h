// SPDX-License-Identifier: Apache-2.0
//
// The loops in a thread's calls: stretches that repeat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reel/trace.h"

namespace reel::trace {

// Calls begin to begin + period * turns - 1 of the thread.
struct Loop {
  size_t begin = 0, period = 0, turns = 0;
  size_t end() const { return begin + period * turns; }
};

inline constexpr size_t kLongestPeriod = 64;
inline constexpr size_t kFewestTurns = 4;

inline constexpr size_t kMostLoops = 16;

// In order, none within another: the longest, then the longest of what is before it and behind it, and so on. Two calls
// are alike when they are the same operation on the same descriptor or name; where in the file does not matter. Of
// stretches of one length, that of the shortest period.
std::vector<Loop> find_loops(const Trace& trace, const std::vector<uint32_t>& calls);

}  // namespace reel::trace

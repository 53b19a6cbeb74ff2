// SPDX-License-Identifier: Apache-2.0
//
// Whether two files have the same contents and the same holes. Both are walked together, extent by
// extent; what is a hole in both is not read.
#pragma once

#include <cstdint>
#include <optional>

#include "reel/result.h"

namespace reel::mirror {

struct Comparison {
  std::optional<uint64_t> first_difference;  // offset of a byte that differs
  // Offset of a stretch that is a hole in one file while the other has data there.
  std::optional<uint64_t> hole_difference;
  bool source_has_data = false;  // at hole_difference
  uint64_t bytes = 0;            // read from each side
};

// Compares the first `size` bytes. File systems round data to blocks of their own size, so holes are
// compared in units of `unit` bytes: such a unit differs when it is all hole on one side and has any
// data on the other. Space that was allocated but never written counts as either: the kernel itself
// calls it data while a page of it is cached, and a hole afterwards.
Result<Comparison> compare_contents(int source, int target, uint64_t size, uint64_t unit);

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// What the player itself costs.
#pragma once

#include <cstdint>

#include "replay/play/world.h"

namespace reel::replay {

// Nanoseconds that a call takes longer when it is played than when a program makes it: looks at the clock, and finding
// out what it is. Measured now, on this machine: the quickest of some hundred runs.
uint64_t cost_of_playing(World& world);

}  // namespace reel::replay

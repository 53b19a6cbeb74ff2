// SPDX-License-Identifier: Apache-2.0
//
// Where a thread looked again and again until another had made, or removed, what it waited for.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "reel/trace.h"

namespace reel::replay {

// The calls that found nothing new and the sleeps between them -> the call that did. Indexes into Trace::events.
// A poll is a call by a name that failed with ENOENT or EEXIST and that its thread, with nothing but sleep and
// computing between, made again until the result was another.
std::unordered_map<uint32_t, uint32_t> find_polls(const trace::Trace& trace);

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Which threads to hold up, how long and how often, so that one run asks all.
#pragma once

#include "reel/trace.h"
#include "trace/throttle/prober.h"

namespace reel::trace {

// How to throttle a program that was recorded as `plain`, with so many holds in earlier throttled runs. invalid: fewer
// than two threads have a loop.
Result<Probes> plan_probes(const Trace& plain, size_t holds_before);

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// What all who take part in making a plan see while it walks the calls.
#pragma once

#include "replay/plan/order/needs.h"
#include "replay/plan/plan.h"

namespace reel::replay {

struct Process;  // descriptors.h

struct Walk {
  const trace::Trace& trace;
  const PlanOptions& options;
  Plan& plan;
  Needs needs;  // of the step under way
};

// The step under way.
struct At {
  Step& step;
  const trace::Event& event;
  Need me;
  Process& process;
  bool found = false;  // it waits for what no call shows
  Need joined = {};    // whose end it waited for
};

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Walks a trace's calls in the order in which they took effect and makes steps of them. Of calls
// that overlapped in time the one that ended first counts as first; what gives something away
// (close, unlock, fork) counts from its entry.
#pragma once

#include "replay/plan/steps/data_steps.h"
#include "replay/plan/steps/descriptor_steps.h"
#include "replay/plan/steps/gaps.h"
#include "replay/plan/steps/name_steps.h"
#include "replay/plan/steps/process_steps.h"
#include "replay/plan/things/descriptors.h"
#include "replay/plan/things/files.h"
#include "replay/plan/things/flows.h"
#include "replay/plan/things/names.h"
#include "replay/plan/things/threads.h"
#include "replay/plan/things/walk.h"
#include "replay/plan/waits/found.h"
#include "replay/plan/waits/meetings.h"
#include "replay/plan/waits/memory.h"
#include "replay/plan/waits/overlaps.h"
#include "replay/plan/waits/polls.h"

namespace reel::replay {

class Planner {
 public:
  Planner(const trace::Trace& trace, const PlanOptions& options, Plan& plan);
  void run();

 private:
  void begin_files();
  void begin_threads();
  void push(uint32_t thread);
  bool is_apart(uint32_t event) const;  // its arrival is a step of its own
  void take(uint32_t thread, uint32_t index, bool arrival);
  void take_poll(At& at);
  void finish_step(At& at);
  void call(At& at);
  void call_without_file(At& at);
  void drop_torn_streams();

  Walk walk_;
  // What calls have in common.
  Names names_;
  Files files_;
  Flows flows_;
  Descriptors descriptors_;
  Threads threads_;
  // Waits that no such thing shows.
  Meetings meetings_;
  Found found_;
  Polls polls_;
  Memory memory_;
  Overlaps overlaps_;
  Gaps gaps_;

  NameSteps name_steps_;
  DescriptorSteps descriptor_steps_;
  DataSteps data_steps_;
  ProcessSteps process_steps_;
};

}  // namespace reel::replay

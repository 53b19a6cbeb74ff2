// SPDX-License-Identifier: Apache-2.0
//
// Steps that make, become and end processes and threads.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "replay/plan/steps/name_steps.h"
#include "replay/plan/things/descriptors.h"
#include "replay/plan/things/threads.h"
#include "replay/plan/things/walk.h"

namespace reel::replay {

class ProcessSteps {
 public:
  ProcessSteps(Walk& walk, Threads& threads, Descriptors& descriptors, NameSteps& names);

  void make_thread(At& at);  // sets Step::starts
  void exec(At& at);
  void exit(At& at);
  void wait(At& at);

  Process& process_of(uint32_t thread) { return processes_[walk_.trace.threads[thread - 1].process]; }
  // The thread begins with a step although nobody was seen making it: it has what the process that is said to have made
  // it has now.
  void begin_unseen(At& at);

 private:
  void begin_process(At& at, Process& from, uint32_t to);
  void release_parent(At& at);

  Walk& walk_;
  Threads& threads_;
  Descriptors& descriptors_;
  NameSteps& names_;
  std::unordered_map<uint32_t, Process> processes_;
};

}  // namespace reel::replay

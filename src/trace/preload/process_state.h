// SPDX-License-Identifier: Apache-2.0
//
// What the threads of a recorded process share.
#pragma once

#include "trace/preload/shim.h"

namespace reel::trace::shim {

struct ProcessState {
  wire::Control* control;   // null: this process is not recorded
  bool tried;
  char dir[4096];           // of the rings
  char library[4096];       // this shim's file, for LD_PRELOAD
};

ProcessState& process();
bool start_process();       // once; false when there is nothing to record to
void watch_thread_end();    // end_thread() is called when this thread ends

}  // namespace reel::trace::shim

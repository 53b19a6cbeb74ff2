// SPDX-License-Identifier: Apache-2.0
//
// See plan.h.
#include "replay/plan/plan.h"

namespace reel::replay {

const char* skip_text(Skip skip) {
  switch (skip) {
    case Skip::none:
      return "played";
    case Skip::process:
      return "processes and threads: started and waited for instead";
    case Skip::waiting:
      return "waiting without a file";
    case Skip::message:
      return "messages between ranks: who waited waits for the same one instead";
    case Skip::context:
      return "what later calls depend on: known ahead";
    case Skip::outside:
      return "descriptors that were open before the recording, or led to somebody who was not "
             "recorded";
    case Skip::machine:
      return "below /proc, /sys or /dev";
    case Skip::socket:
      return "sockets and other descriptors that are no files";
    case Skip::timing:
      return "interrupted, or not ready at that moment";
    case Skip::refused:
      return "failed for lack of rights, room or support, at a limit or another file system's border, or for what the "
             "trace does not have: might succeed here";
    case Skip::nowhere:
      return "names that lead nowhere";
    case Skip::unsupported:
      return "cannot be made again";
  }
  return "";
}

}  // namespace reel::replay

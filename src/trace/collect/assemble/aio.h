// SPDX-License-Identifier: Apache-2.0
//
// The kernel's asynchronous I/O (io_submit, io_getevents): requests become calls of their own, from their submission
// until the program takes their result. Recorders bring what the two calls have in memory (trace/wire.h, AioRequest
// and the kernel's io_event) as the data of their events.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "trace/collect/raw.h"

namespace reel::trace {

class AioRequests {
 public:
  // A request that is done, for the thread that submitted it.
  struct Done {
    uint32_t thread = 0;
    Raw raw;
  };

  // io_submit of `thread` in process `pid` has returned. False: it took more requests than `call` brings.
  bool submitted(int32_t pid, uint32_t thread, const Raw& call);
  // io_getevents has returned. False: it gave more results than `call` brings.
  bool taken(int32_t pid, const Raw& call, std::vector<Done>& done);
  // What nobody took the result of is not told.
  void process_ended(int32_t pid);

 private:
  // The kernel tells a request by the address of its control block; it can be used again when the result was taken.
  std::map<std::pair<int32_t, uint64_t>, Done> waiting_;
};

}  // namespace reel::trace

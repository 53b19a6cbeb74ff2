// SPDX-License-Identifier: Apache-2.0
//
// Which message is whose: the sends, receives, collectives and requests of MPI in a trace, put
// together (docs/trace-format.md, "MPI"). Pure.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "reel/trace.h"

namespace reel::trace {

// Messages of one channel are received in the order in which they were sent.
using Channel = std::tuple<uint64_t, uint32_t, uint32_t, uint32_t>;  // communicator, from, to, tag

// Numbers of events are indexes into Trace::events.
struct Messages {
  // Who posted sends and receives, in the order of the channel. The other end may be in another trace.
  struct Ends {
    std::vector<uint32_t> sent, received;
  };
  std::map<Channel, Ends> channels;
  // Of a receive (of the call that posted it): the event at whose end the message was there.
  std::unordered_map<uint32_t, uint32_t> came;

  // Of a send or a receive (of the call that posted it): the event at the other end. None: it was not recorded, or
  // never came.
  std::unordered_map<uint32_t, uint32_t> peer;
  // Of a collective, or its mpi_arrive: which one, an index of `groups`.
  std::unordered_map<uint32_t, uint32_t> group;
  // Of an mpi_wait: the posting events of the requests that it found done; of an mpi_probe: the send it saw.
  std::unordered_map<uint32_t, std::vector<uint32_t>> done;

  struct Group {
    Collective kind = Collective::barrier;
    uint32_t size = 0;              // ranks that take part
    uint32_t root = ~0u;            // world rank
    std::vector<uint32_t> members;  // where each begins (mpi_arrive, when there is one), by rank
  };
  std::vector<Group> groups;

  // By process (number of its first thread): its rank. Processes that are none are not here.
  std::unordered_map<uint32_t, uint32_t> ranks;
  uint64_t unmatched = 0;  // sends, receives and collectives with a part missing
};

Messages match_messages(const Trace& trace);

}  // namespace reel::trace

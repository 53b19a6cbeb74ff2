// SPDX-License-Identifier: Apache-2.0
//
// Random programs of ranks that send messages and meet, run on a model of MPI: gives the trace that
// a recorder would have written, and who truly waited for whom.
#pragma once

#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "reel/trace.h"

namespace reel::replay {

class MessageProgram {
 public:
  MessageProgram(uint64_t seed, uint32_t ranks, unsigned actions);

  trace::Trace trace;
  // Posting event of the send -> of its receive, in words of (rank, place among the rank's events).
  using Place = std::pair<uint32_t, uint32_t>;
  std::map<Place, Place> sent_to;
  std::vector<std::vector<Place>> meetings;  // where each member begins

 private:
  enum class Kind { compute, send, synchronous_send, receive, begin_send, begin_receive, wait, meet };
  struct Action {
    Kind kind;
    uint32_t message = 0;  // or meeting
    trace::Collective collective = trace::Collective::barrier;
    uint32_t root = 0;
    std::vector<uint32_t> messages;  // of a wait
  };
  struct Message {
    uint32_t from, to, tag;
    uint64_t communicator;
    bool any_source, any_tag;
    uint64_t sent_ns = 0, posted_ns = 0;  // 0: not yet
    uint64_t send_request = 0, receive_request = 0;
    Place send, receive;
  };
  struct Rank {
    std::vector<Action> script;
    size_t next = 0;
    bool begun = false;
    uint64_t time = 1000, enter = 0, requests = 0;
    std::vector<trace::Event> events;
    std::vector<uint32_t> open_sends, open_receives;  // while the script is made
  };

  unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }
  void write_script(unsigned actions);
  void add_message();
  void add_wait(uint32_t rank);
  void add_meeting(trace::Collective kind, uint64_t communicator);
  bool step(uint32_t rank);
  void begin(uint32_t rank, const Action& action);
  bool can_end(uint32_t rank, const Action& action, uint64_t& when) const;
  void end(uint32_t rank, const Action& action, uint64_t when);
  trace::Event event_of(uint32_t rank, const Action& action) const;
  void gather();

  std::mt19937_64 random_;
  std::vector<Rank> ranks_;
  std::vector<Message> messages_;
  struct Meeting {
    uint64_t communicator;
    std::vector<uint32_t> members;
    std::map<uint32_t, uint64_t> arrived;
  };
  std::vector<Meeting> meetings_;
  std::vector<std::vector<uint32_t>> communicators_;  // members; number - 1
};

}  // namespace reel::replay

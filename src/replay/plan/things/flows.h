// SPDX-License-Identifier: Apache-2.0
//
// Whose bytes a read of a pipe or a connection got. Pipes and pairs of sockets are made again, and their bytes wait for
// bytes; connections are not, and who waited waits for the one who sent.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "replay/plan/things/names.h"
#include "replay/plan/things/walk.h"

namespace reel::replay {

// A pipe or a pair of sockets, which is made again.
struct Stream {
  uint64_t written = 0, read = 0;
  // Who came too early would take a part of what was another's, who might then wait for ever. By Ends::side.
  Sequence reads[2];
  // Part of it went to or came from somebody who was not recorded.
  bool is_torn() const;
};

// Bytes on their way, in one direction: of a pipe or a connection.
struct Flow {
  // Who moved the bytes up to `end`.
  struct Piece {
    uint64_t end = 0;
    Need by;
  };
  uint64_t written = 0, read = 0;
  std::vector<Piece> writes, reads;
  Need closed;  // the last that closed an end to write to
};

// What bytes of a descriptor come from and go to.
struct Ends {
  std::shared_ptr<Stream> stream;
  std::shared_ptr<Flow> incoming, outgoing;  // causal only
  uint8_t side = 0;
};

class Flows {
 public:
  explicit Flows(Walk& walk);

  // The two ends of a pipe (what is read first), or of a pair of sockets.
  std::pair<Ends, Ends> make_pair(bool both_ways);
  // The two ends of a connection, by a connect or an accept.
  void connect(const trace::Event& event, Ends& ends);
  // A pipe by name.
  Ends open_fifo(NodeId node, bool reads, bool writes);
  void read(At& at, const Ends& from, int64_t result);
  void write(At& at, const Ends& to, int64_t result);
  // Behind the last step: who was fed by whom.
  void finish();

 private:
  struct Fifo {
    std::shared_ptr<Stream> stream;
    std::shared_ptr<Flow> flow;
  };
  // To who accepted it, and back.
  struct Connection {
    std::shared_ptr<Flow> there, back;
  };
  std::shared_ptr<Flow> make_flow();

  Walk& walk_;
  std::vector<std::shared_ptr<Flow>> flows_;
  std::unordered_map<NodeId, Fifo> fifos_;
  using Name = std::pair<trace::StringId, uint32_t>;  // and the process that connects, where all accepts tell it
  std::map<std::pair<Name, uint32_t>, Connection> connections_;  // and how many of the name there were before
  std::map<Name, uint32_t> connected_, accepted_;                // how many so far
  std::unordered_set<trace::StringId> unknown_peers_;            // an accept of this name does not tell its process
};

}  // namespace reel::replay

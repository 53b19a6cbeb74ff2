// SPDX-License-Identifier: Apache-2.0
//
// Whose bytes a read of a pipe or a connection got. Pipes and pairs of sockets are made again, and their bytes wait for
// bytes; connections are not, and who waited waits for the one who sent.
#include <algorithm>

#include "replay/plan/planner.h"

namespace reel::replay {

std::shared_ptr<Flow> Planner::make_flow() {
  if (!options_.causal) return nullptr;
  return flows_.emplace_back(std::make_shared<Flow>());
}

void Planner::begin_connections() {
  for (const trace::Event& event : trace_.events)
    if (event.op == trace::Op::accept && !event.failed() && event.arg == 0) unknown_peers_.insert(event.path2);
}

// The k-th connect of a name and the k-th accept of it are the two ends: a listener's queue keeps the order. Connects
// that overlap need not return in that order, so they are counted by process where accepts tell whose they are.
void Planner::connect_ends(At& at, SlotId slot, bool accepts) {
  if (!options_.causal || at.event.path2 == 0 || slot == 0) return;
  uint32_t process = accepts ? static_cast<uint32_t>(at.event.arg) : trace_.threads[at.event.thread - 1].process;
  Name name{at.event.path2, unknown_peers_.count(at.event.path2) != 0 ? 0 : process};
  uint32_t number = (accepts ? accepted_ : connected_)[name]++;
  Connection& connection = connections_[{name, number}];
  if (!connection.there) connection = {make_flow(), make_flow()};
  description(slot)->outgoing = accepts ? connection.back : connection.there;
  description(slot)->incoming = accepts ? connection.there : connection.back;
}

void Planner::read_flow(At& at, const Description& from, int64_t result) {
  if (!from.incoming || result < 0) return;
  if (result == 0) {
    at.step.fed_by = from.incoming->closed;
    return;
  }
  from.incoming->read += static_cast<uint64_t>(result);
  from.incoming->reads.push_back({from.incoming->read, at.me});
}

void Planner::write_flow(At& at, const Description& to, int64_t result) {
  if (!to.outgoing || result <= 0) return;
  to.outgoing->written += static_cast<uint64_t>(result);
  to.outgoing->writes.push_back({to.outgoing->written, at.me});
}

// A step that is not made; in time it is a message.
void Planner::plan_socket_data(At& at) {
  if (at.step.skip != Skip::socket || at.step.slot == 0) return;
  const Description& socket = *description(at.step.slot);
  if (!socket.incoming) return;
  at.step.skip = Skip::message;
  switch (trace::type_of(at.event.op)) {
    case RecordType::read:
    case RecordType::recv:
      return read_flow(at, socket, at.event.result);
    case RecordType::write:
    case RecordType::send:
      return write_flow(at, socket, at.event.result);
    default:
      return;
  }
}

// A write may return after its bytes were read, so this is known at the end only.
void Planner::find_feeders() {
  for (const std::shared_ptr<Flow>& flow : flows_) {
    if (flow->read > flow->written) continue;  // somebody who was not recorded wrote, too
    for (const Flow::Piece& read : flow->reads) {
      auto write = std::partition_point(flow->writes.begin(), flow->writes.end(),
                                        [&](const Flow::Piece& piece) { return piece.end < read.end; });
      if (write->by.thread == read.by.thread) continue;
      plan_.threads[read.by.thread - 1][read.by.count - 1].fed_by = {write->by.thread, write->by.count, Why::stream};
    }
  }
  for (auto& steps : plan_.threads) {
    for (Step& step : steps) {
      if (step.fed_by.count == 0 || step.skip != Skip::message) continue;
      step.waits = true;
      plan_.threads[step.fed_by.thread - 1][step.fed_by.count - 1].releases = true;
    }
  }
}

}  // namespace reel::replay

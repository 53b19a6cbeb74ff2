// SPDX-License-Identifier: Apache-2.0
//
// See flows.h.
#include "replay/plan/things/flows.h"

#include <algorithm>

namespace reel::replay {
namespace {

constexpr uint64_t kPipeBytes = 65536;

}  // namespace

Flows::Flows(Walk& walk) : walk_(walk) {
  for (const trace::Event& event : walk.trace.events)
    if (event.op == trace::Op::accept && !event.failed() && event.arg == 0) unknown_peers_.insert(event.path2);
}

bool Stream::is_torn() const {
  return read > written || written > read + kPipeBytes;
}

std::shared_ptr<Flow> Flows::make_flow() {
  if (!walk_.options.causal) return nullptr;
  return flows_.emplace_back(std::make_shared<Flow>());
}

std::pair<Ends, Ends> Flows::make_pair(bool both_ways) {
  auto stream = std::make_shared<Stream>();
  const std::shared_ptr<Flow> there = make_flow(), back = both_ways ? make_flow() : nullptr;
  return {Ends{stream, there, back, 0}, Ends{stream, back, there, 1}};
}

// The k-th connect of a name and the k-th accept of it are the two ends: a listener's queue keeps the order. Connects
// that overlap need not return in that order, so they are counted by process where accepts tell whose they are.
void Flows::connect(const trace::Event& event, Ends& ends) {
  if (!walk_.options.causal || event.path2 == 0) return;
  bool accepts = event.op == trace::Op::accept;
  uint32_t process = accepts ? static_cast<uint32_t>(event.arg) : walk_.trace.threads[event.thread - 1].process;
  Name name{event.path2, unknown_peers_.count(event.path2) != 0 ? 0 : process};
  uint32_t number = (accepts ? accepted_ : connected_)[name]++;
  Connection& connection = connections_[{name, number}];
  if (!connection.there) connection = {make_flow(), make_flow()};
  ends.outgoing = accepts ? connection.back : connection.there;
  ends.incoming = accepts ? connection.there : connection.back;
}

Ends Flows::open_fifo(NodeId node, bool reads, bool writes) {
  Fifo& fifo = fifos_[node];
  if (!fifo.stream) fifo = {std::make_shared<Stream>(), make_flow()};
  return {fifo.stream, reads ? fifo.flow : nullptr, writes ? fifo.flow : nullptr, 0};
}

void Flows::read(At& at, const Ends& from, int64_t result) {
  if (from.stream && result >= 0) {
    from.stream->read += static_cast<uint64_t>(result);
    from.stream->reads[from.side].next(at.me, walk_.needs.because(Why::stream));
  }
  if (!from.incoming || result < 0) return;
  if (result == 0) {
    at.step.fed_by = from.incoming->closed;
    return;
  }
  from.incoming->read += static_cast<uint64_t>(result);
  from.incoming->reads.push_back({from.incoming->read, at.me});
}

void Flows::write(At& at, const Ends& to, int64_t result) {
  if (to.stream && result > 0) to.stream->written += static_cast<uint64_t>(result);
  if (!to.outgoing || result <= 0) return;
  to.outgoing->written += static_cast<uint64_t>(result);
  to.outgoing->writes.push_back({to.outgoing->written, at.me});
}

// A write may return after its bytes were read, so this is known at the end only.
void Flows::finish() {
  std::vector<std::vector<Step>>& threads = walk_.plan.threads;
  for (const std::shared_ptr<Flow>& flow : flows_) {
    if (flow->read > flow->written) continue;  // somebody who was not recorded wrote, too
    for (const Flow::Piece& read : flow->reads) {
      auto write = std::partition_point(flow->writes.begin(), flow->writes.end(),
                                        [&](const Flow::Piece& piece) { return piece.end < read.end; });
      if (write->by.thread == read.by.thread) continue;
      threads[read.by.thread - 1][read.by.count - 1].fed_by = {write->by.thread, write->by.count, Why::stream};
    }
  }
  for (auto& steps : threads) {
    for (Step& step : steps) {
      if (step.fed_by.count == 0 || step.skip != Skip::message) continue;
      step.waits = true;
      threads[step.fed_by.thread - 1][step.fed_by.count - 1].releases = true;
    }
  }
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Matching messages.
#include "trace/messages.h"

#include <algorithm>
#include <utility>

#include "trace/ops.h"

namespace reel::trace {
namespace {

constexpr uint32_t kAny = ~0u;
constexpr uint64_t kWorld = 1;

class Matching {
 public:
  explicit Matching(const Trace& trace) : trace_(trace) {}

  Messages run() {
    std::vector<uint32_t> order = calls();
    if (order.empty()) return std::move(out_);
    for (uint32_t i : order) find_rank(trace_.events[i]);
    for (uint32_t i : order) take(i);
    for (const Receive& receive : receives_) {
      if (receive.from != kAny)
        out_.channels[{receive.communicator, receive.from, receive.to, receive.tag}].received.push_back(receive.event);
    }
    pair_up();
    count_groups();
    find_probed();
    return std::move(out_);
  }

 private:
  // A receive, in the order of posting; whom and which tag it got is known when it is done.
  struct Receive {
    uint64_t communicator = 0;
    uint32_t from = kAny, to = 0, tag = kAny, event = 0;
  };
  struct Process {
    std::unordered_map<uint64_t, uint32_t> requests;     // number -> the event that posted it
    std::unordered_map<uint32_t, size_t> receives;       // posting event -> place in receives_
    std::unordered_map<uint64_t, uint32_t> collectives;  // communicator -> how many so far
    std::unordered_map<uint64_t, uint32_t> arrived;      // communicator -> the mpi_arrive under way
  };

  // All of MPI, each process's in the order of entry: what two threads do at once is in no order to MPI, either. What
  // was done is known when the wait is over, and stands behind it.
  std::vector<uint32_t> calls() const {
    std::vector<uint32_t> order = trace_.by_entry();
    std::erase_if(order, [&](uint32_t i) {
      const Event& event = trace_.events[i];
      return event.thread == 0 || event.thread > trace_.threads.size() || family_of(event.op) != Family::message;
    });
    return order;
  }

  uint32_t process_of(const Event& event) const { return trace_.threads[event.thread - 1].process; }
  uint32_t rank_of(const Event& event) const {
    auto rank = out_.ranks.find(process_of(event));
    return rank == out_.ranks.end() ? kAny : rank->second;
  }

  void find_rank(const Event& event) {
    if (event.op == Op::mpi_init) out_.ranks[process_of(event)] = static_cast<uint32_t>(event.flags);
  }

  void take(uint32_t index) {
    const Event& event = trace_.events[index];
    if (event.failed()) return;
    Process& process = processes_[process_of(event)];
    auto peer = static_cast<uint32_t>(event.flags), tag = static_cast<uint32_t>(event.mode);
    switch (event.op) {
      case Op::mpi_isend:
        process.requests[event.arg2] = index;
        [[fallthrough]];
      case Op::mpi_send:
        out_.channels[{event.arg, rank_of(event), peer, tag}].sent.push_back(index);
        return;
      case Op::mpi_recv:
        receives_.push_back({event.arg, peer, rank_of(event), tag, index});
        out_.came[index] = index;
        return;
      case Op::mpi_irecv:
        process.requests[event.arg2] = index;
        process.receives[index] = receives_.size();
        receives_.push_back({event.arg, kAny, rank_of(event), kAny, index});
        return;
      case Op::mpi_wait:
        last_wait_[event.thread] = index;
        return;
      case Op::mpi_done:
        return done(process, index, event);
      case Op::mpi_probe:
        probes_.push_back(index);
        return;
      case Op::mpi_icollective:
        process.requests[event.arg2] = index;
        [[fallthrough]];
      default:
        return collective(process, index, event);
    }
  }

  void done(Process& process, uint32_t index, const Event& event) {
    auto posted = process.requests.find(event.arg2);
    auto wait = last_wait_.find(event.thread);
    if (posted == process.requests.end() || wait == last_wait_.end()) return;
    uint32_t begun = posted->second;
    process.requests.erase(posted);
    out_.done[wait->second].push_back(begun);
    auto receive = process.receives.find(begun);
    if (receive == process.receives.end()) return;
    receives_[receive->second].from = static_cast<uint32_t>(event.flags);
    receives_[receive->second].tag = static_cast<uint32_t>(event.mode);
    out_.came[begun] = index;
    process.receives.erase(receive);
  }

  void collective(Process& process, uint32_t index, const Event& event) {
    uint64_t communicator = event.op == Op::mpi_init ? kWorld : event.arg;
    // With calls on files in it: the arrival is where it begins.
    auto arrived = process.arrived.find(communicator);
    if (event.op == Op::mpi_collective && arrived != process.arrived.end()) {
      out_.group[index] = out_.group[arrived->second];
      process.arrived.erase(arrived);
      return;
    }
    if (event.op == Op::mpi_arrive) process.arrived[communicator] = index;
    uint32_t number = process.collectives[communicator]++;
    auto [at, is_new] = numbers_.try_emplace({communicator, number}, static_cast<uint32_t>(out_.groups.size()));
    if (is_new) out_.groups.emplace_back();
    Messages::Group& group = out_.groups[at->second];
    group.kind = event.op == Op::mpi_init ? Collective::init : static_cast<Collective>(event.mode);
    group.size = static_cast<uint32_t>(event.offset);
    if (event.op != Op::mpi_init) group.root = static_cast<uint32_t>(event.flags);
    group.members.push_back(index);
    out_.group[index] = at->second;
  }

  void pair_up() {
    for (const auto& [channel, ends] : out_.channels) {
      size_t pairs = std::min(ends.sent.size(), ends.received.size());
      for (size_t i = 0; i < pairs; ++i) {
        out_.peer[ends.sent[i]] = ends.received[i];
        out_.peer[ends.received[i]] = ends.sent[i];
      }
      out_.unmatched += std::max(ends.sent.size(), ends.received.size()) - pairs;
    }
  }

  void count_groups() {
    for (Messages::Group& group : out_.groups) {
      std::stable_sort(group.members.begin(), group.members.end(),
                       [&](uint32_t a, uint32_t b) { return rank_of(trace_.events[a]) < rank_of(trace_.events[b]); });
      if (group.members.size() < group.size) ++out_.unmatched;
    }
  }

  // The message that a probe saw is the one that the next receive of its channel gets.
  void find_probed() {
    for (uint32_t probe : probes_) {
      const Event& event = trace_.events[probe];
      auto ends = out_.channels.find(
          {event.arg, static_cast<uint32_t>(event.flags), rank_of(event), static_cast<uint32_t>(event.mode)});
      if (ends == out_.channels.end()) continue;
      const std::vector<uint32_t>& received = ends->second.received;
      auto next = std::partition_point(received.begin(), received.end(),
                                       [&](uint32_t i) { return trace_.events[i].enter_ns < event.enter_ns; });
      if (next == received.end()) continue;
      auto sent = out_.peer.find(*next);
      if (sent != out_.peer.end()) out_.done[probe] = {sent->second};
    }
  }

  const Trace& trace_;
  Messages out_;
  std::unordered_map<uint32_t, Process> processes_;
  std::unordered_map<uint32_t, uint32_t> last_wait_;  // by thread
  std::vector<Receive> receives_;
  std::vector<uint32_t> probes_;
  std::map<std::pair<uint64_t, uint32_t>, uint32_t> numbers_;
};

}  // namespace

Messages match_messages(const Trace& trace) {
  return Matching(trace).run();
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// See part.h.
#include "trace/merge/part.h"

#include <sstream>

namespace reel::trace {
namespace {

std::string fact(const Trace& trace, const std::string& key) {
  auto at = trace.facts.find(key);
  return at == trace.facts.end() ? "" : at->second;
}

uint64_t ahead_of(const Trace& trace) {
  std::istringstream text(fact(trace, "clock.0"));
  uint64_t monotonic = 0, realtime = 0;
  text >> monotonic >> realtime;
  return realtime - monotonic;
}

}  // namespace

Part part_of(const std::string& log, Trace trace) {
  Part part;
  part.log = log;
  part.trace = std::move(trace);
  part.ahead = ahead_of(part.trace);
  for (const Event& event : part.trace.events)
    if (event.op == Op::mpi_init && part.rank < 0) part.rank = static_cast<int64_t>(event.flags);
  std::string rank = std::to_string(part.rank);
  part.machine = fact(part.trace, "mpi.machine." + rank);
  if (part.machine.empty()) part.machine = fact(part.trace, "host");
  for (const char* which : {".0", ".1"}) {
    std::istringstream text(fact(part.trace, "mpi.clock." + rank + which));
    ClockSample sample;
    if (text >> sample.here >> sample.there >> sample.error) part.samples.push_back(sample);
  }
  return part;
}

std::map<Channel, std::vector<uint64_t>> sends_of(const Part& part) {
  std::map<Channel, std::vector<uint64_t>> sends;
  auto own = static_cast<uint64_t>(part.rank);
  for (uint32_t at : part.trace.by_entry()) {
    const Event& event = part.trace.events[at];
    if (event.op == Op::mpi_send || event.op == Op::mpi_isend)
      sends[{event.arg, own, event.flags, event.mode}].push_back(event.enter_ns);
  }
  return sends;
}

// In the order in which they were posted, which is that of the messages.
std::map<Channel, std::vector<uint64_t>> receives_of(const Part& part) {
  struct Posted {
    Channel channel;
    uint64_t exit = 0;  // 0: nothing came
  };
  std::vector<Posted> posted;
  std::map<uint64_t, size_t> by_request;
  auto own = static_cast<uint64_t>(part.rank);
  for (uint32_t at : part.trace.by_entry()) {
    const Event& event = part.trace.events[at];
    if (event.op == Op::mpi_recv) {
      posted.push_back({{event.arg, event.flags, own, event.mode}, event.exit_ns()});
    } else if (event.op == Op::mpi_irecv) {
      by_request[event.arg2] = posted.size();
      posted.push_back({{event.arg, 0, own, 0}, 0});
    } else if (auto found = by_request.find(event.arg2); event.op == Op::mpi_done && found != by_request.end()) {
      Posted& receive = posted[found->second];
      by_request.erase(found);
      if (event.result >= 0) receive = {{std::get<0>(receive.channel), event.flags, own, event.mode}, event.exit_ns()};
    }
  }
  std::map<Channel, std::vector<uint64_t>> receives;
  for (const Posted& receive : posted)
    if (receive.exit != 0) receives[receive.channel].push_back(receive.exit);
  return receives;
}

}  // namespace reel::trace

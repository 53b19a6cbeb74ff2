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

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Who waited for whom in a trace: the dependency graph, the path through it that took the whole time,
// and how long it would have taken on other storage.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "replay/plan/plan.h"
#include "report/graph.h"

namespace reel::report {

// `to` could not go on before `from`: events, as indexes into Trace::events. Of what meets, each member that came to
// each that waited.
struct Dependency {
  uint32_t from = 0, to = 0;
  bool begun = false;  // `from` had only to begin, not to end
  replay::Why why = replay::Why::none;
};

// What the time on the longest path went to.
enum class Spent : uint8_t {
  storage,    // in calls on files
  computing,  // between calls, and in those that are not about files
  passing,    // from when the last one waited for was there until the call that waited returned
};
inline constexpr size_t kSpents = 3;
const char* spent_text(Spent spent);

struct Segment {
  uint32_t event = 0;  // index into Trace::events: the call, or the one behind the gap
  Spent spent = Spent::storage;
  uint64_t begin_ns = 0, end_ns = 0;
};

struct Waits {
  std::vector<Dependency> dependencies;  // between different threads; as few as have the same order
  size_t meetings = 0;
  std::vector<Segment> path;                         // from the beginning to the end; no two overlap
  std::vector<std::pair<double, uint64_t>> what_if;  // storage so many times faster -> nanoseconds; the first is 1
  uint64_t elapsed_ns = 0;
  std::vector<std::string> doubts;
};

// Errors: as make_plan's.
Result<Waits> find_waits(const trace::Trace& trace);

std::string text_of(const trace::Trace& trace, const Waits& waits);
std::string json_of(const trace::Trace& trace, const Waits& waits);

// Its parts.
std::vector<Segment> critical_path(const Graph& graph);
// The time that the plan takes when things are otherwise, and all else as it was.
struct Otherwise {
  double faster = 1;    // calls on files, so many times
  bool held_up = true;  // false: by no recorder (Op::held)
};
uint64_t simulated_ns(const Graph& graph, const Otherwise& otherwise);
// When each step is over then, by thread (number - 1); fewer where what they wait for is not in the plan.
std::vector<std::vector<uint64_t>> simulated_ends(const Graph& graph, const Otherwise& otherwise);

}  // namespace reel::report

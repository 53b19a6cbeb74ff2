// SPDX-License-Identifier: Apache-2.0
//
// How faithful a replay was: times, results, latencies, concurrency, against the recording.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "replay/plan/plan.h"
#include "replay/play/player.h"

namespace reel::replay {

// Of both runs: nanoseconds.
struct Latency {
  uint64_t p50 = 0, p90 = 0, p99 = 0, most = 0, total = 0;
};

struct OperationFidelity {
  uint64_t calls = 0, different = 0, bytes = 0, replay_bytes = 0;  // played ones
  Latency original, replay;
};

struct ThreadFidelity {
  uint32_t number = 0;
  std::string name;
  uint64_t calls = 0, original_ns = 0, replay_ns = 0;
};

struct Difference {
  uint32_t thread = 0;
  uint64_t record = 0;  // index in the log
  std::string call;     // "open /a/b"
  int64_t recorded = 0, replayed = 0;
};

inline constexpr size_t kConcurrencySlices = 20;

struct Fidelity {
  uint64_t original_ns = 0, replay_ns = 0;
  uint64_t calls = 0, played = 0, reached = 0, different = 0;
  uint64_t early = 0;                                // polls that were not made: what they waited for was there
  std::array<uint64_t, kSkips> skipped{};            // by Skip
  uint64_t bytes_read = 0, bytes_written = 0;        // by the replay
  uint64_t original_read = 0, original_written = 0;  // by the calls that were played
  std::map<std::string, OperationFidelity> operations;
  std::vector<ThreadFidelity> threads;
  std::vector<Difference> differences;  // the first ones, as many as were asked for
  std::array<double, kConcurrencySlices> original_concurrency{}, replay_concurrency{};  // calls under way, mean
  bool stopped = false;
  std::string stalled;
  std::string retrace;                                    // what came of comparing it; empty: there was none
  std::vector<std::string> incomplete, doubts, troubles;  // of the trace; of the plan; of preparing

  double error() const;  // (replay - original) / original
};

Fidelity compare(const trace::Trace& trace, const Plan& plan, const Played& played, size_t most_differences);
std::string text_of(const Fidelity& fidelity);
std::string json_of(const Fidelity& fidelity);

}  // namespace reel::replay

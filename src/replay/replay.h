// SPDX-License-Identifier: Apache-2.0
//
// `reel replay` as a whole: a log becomes a plan, its initial state is made, it is played as often
// as was asked for, and each time compared with the recording.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"
#include "reel/log_key.h"
#include "reel/result.h"
#include "replay/fidelity.h"

namespace reel::replay {

enum class Mode { afap, timed, think, resource, causal };
enum class Prepare { when_empty, yes, no, only };

struct Options {
  std::string log;
  std::string into;                                       // made when it is missing
  std::vector<std::pair<std::string, std::string>> maps;  // recorded prefix -> directory
  Mode mode = Mode::afap;
  Prepare prepare = Prepare::when_empty;
  double scale = 1;  // of times
  uint64_t loops = 1;
  bool cold = false;             // caches are dropped between preparing and playing
  std::string retrace;           // log that the replay itself is recorded in
  std::optional<LogKey> key;     // of the trace, and of the retrace
  uint64_t default_size = 4096;  // changelogs: of files whose size is not known
  uint64_t stall_s = 60;
  size_t differences = 10;
};

// Called after each loop.
using Tell = std::function<void(uint64_t loop, const Fidelity&)>;

// What became of the last loop; empty in a process of the team that does not lead it. Errors: invalid, not_found;
// conflict (`into` is not empty and preparing was asked for); io and others of the file system.
Result<Fidelity> replay(Env& env, const Options& options, Team& team, const std::atomic<bool>& stop, const Tell& tell);

}  // namespace reel::replay

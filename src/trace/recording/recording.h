// SPDX-License-Identifier: Apache-2.0
//
// One recording: runs a command with a recorder on it, until it has ended, and leaves its trace.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "reel/log_key.h"
#include "reel/result.h"
#include "trace/filter.h"
#include "trace/names/anonymize.h"
#include "trace/throttle/prober.h"

namespace reel::trace {

enum class Via { automatic, bpf, preload, ptrace };

struct RecordOptions {
  std::string log;  // directory of the trace; must hold none
  Via via = Via::automatic;
  std::vector<std::string> command;  // found by PATH
  Filter filter;
  std::optional<AnonymizeOptions> anonymize;  // names go into the log as these say, never in clear
  std::optional<LogKey> key;                  // the log is encrypted with it
  uint64_t ring_limit = 1ull << 30;           // bytes of rings that are not collected yet
  std::string preload_library;                // the shim's file
  std::string mpi_library;                    // that for MPI; empty: messages of MPI are not recorded
  std::optional<Probes> throttle;             // hold threads up, to see who waits; preload only
  bool ranks_only = false;                    // the command starts ranks: they and theirs are recorded, not the rest
};

struct Recorded {
  int exit_code = 0;                    // the command's; 128 + N: ended by signal N
  uint64_t events = 0, counted = 0;     // calls that are in the log; that were only counted
  std::vector<std::string> incomplete;  // what the trace does not have, in words
};

// Errors: not_found, permission (the command cannot be run), exists, invalid, io, no_space, unsupported.
Result<Recorded> record(Env& env, const RecordOptions& options);

// What a recording that was killed has left goes into its log.
// `key`: of an encrypted one.
Result<Recorded> recover(Env& env, const std::string& log, const LogKey* key);

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// A source turns what happens to a file system into records of a log. It runs its own thread; the
// mirror never talks to it but for the barrier.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "log/log.h"
#include "reel/result.h"

namespace reel::source {

class Source {
 public:
  virtual ~Source() = default;  // stops it; what was read is committed

  // Everything that happened before this call is in the log and durable when it returns; gives the
  // index of the log's last record. Any thread. Errors: the source's own (sticky) error, cancelled.
  virtual Result<uint64_t> barrier() = 0;
  // The error that ended the source's thread (file system unmounted, log full...), or ok.
  virtual Status health() = 0;
};

struct LocalOptions {
  int commit_ms = 50;                // fdatasync of the log at least this often while there is news
  uint64_t queue_events = 1u << 20;  // fanotify queue: overflow beyond this becomes a GAP
  std::string state_dir;             // where the holder's socket lies; empty: no holder
  int hold_seconds = 600;            // the holder keeps the queue this long after reel is gone
};

// Watches the whole file system of `directory` (fanotify) and appends to `writer`, which it owns the
// use of until it is destroyed. The first record of a session that does not continue the one before
// without loss is a GAP. Events caused by this process are left out.
// Errors: permission (says which privilege is missing), unsupported (file system or kernel), io.
Result<std::unique_ptr<Source>> watch_local(const std::string& directory, log::Writer& writer,
                                            const LocalOptions& options);

}  // namespace reel::source

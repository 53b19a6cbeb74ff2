// SPDX-License-Identifier: Apache-2.0
//
// A log that is being filled: what a mirror needs to know of the source behind it, whatever that is
// and however many streams it has.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "log/log.h"
#include "log/position.h"
#include "source/source.h"

namespace reel::service {

class Inflow {
 public:
  virtual ~Inflow() = default;  // ends it; what was read is committed

  virtual const std::vector<std::string>& streams() const = 0;
  // Of one stream: its last record, and the last that may be acted on (no crash of the machine takes
  // it back, and what changes after it has a record of its own). Any thread.
  virtual uint64_t last(const std::string& stream) const = 0;
  virtual uint64_t released(const std::string& stream) const = 0;
  // All that happened before the call is in the log, up to here. Any thread. Errors: the source's.
  virtual Result<log::Position> barrier() = 0;
  // The error that ended it, or ok.
  virtual Status health() = 0;

  log::Position end() const {
    log::Position end;
    for (const std::string& stream : streams()) end.set(stream, last(stream));
    return end;
  }
};

}  // namespace reel::service

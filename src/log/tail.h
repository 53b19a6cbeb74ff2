// SPDX-License-Identifier: Apache-2.0
//
// Where a stream ends, as readers see it: walks the block headers of the newest segment and
// remembers how far it came, so that asking again costs only what is new.
#pragma once

#include <memory>
#include <string>

#include "log/segment.h"

namespace reel::log {

class Tail {
 public:
  Tail(Env& env, std::string dir, std::string stream) : env_(env), dir_(std::move(dir)), stream_(std::move(stream)) {}
  // The index of the last readable record (0: none yet). not_found: no such stream.
  Result<uint64_t> last_index();

 private:
  Status walk();

  Env& env_;
  std::string dir_, stream_;
  std::unique_ptr<Segment> segment_;
  uint64_t last_ = 0;
};

// Deletes the segments whose every record has an index <= `cleared`; never the newest.
Status purge_segments(Env& env, const std::string& dir, const std::string& stream, uint64_t cleared);

}  // namespace reel::log

// SPDX-License-Identifier: Apache-2.0
//
// --progress: one line on stderr, rewritten in place on a terminal, else a line a second. Its numbers
// never go back; what they are counted against is named, and is "known" so far as long as the scan
// that finds it is not done.
#pragma once

#include <chrono>
#include <deque>
#include <string>

#include "service/mirror_service.h"

namespace reel::cli {

class ProgressLine {
 public:
  explicit ProgressLine(bool terminal) : terminal_(terminal) {}

  void show(const service::MirrorReport& report);
  // The last line stays as it is.
  void end();

 private:
  using Clock = std::chrono::steady_clock;
  struct Moment {
    Clock::time_point at;
    uint64_t bytes;
  };
  uint64_t rate(uint64_t bytes, Clock::time_point now);

  const bool terminal_;
  std::string shown_;
  size_t width_ = 0;  // of the longest line so far
  Clock::time_point shown_at_{};
  std::deque<Moment> moments_;  // of the last seconds
};

// The line: what was seen, done and copied, over all targets.
std::string progress_text(const service::MirrorReport& report, uint64_t bytes_per_second);

}  // namespace reel::cli

// SPDX-License-Identifier: Apache-2.0
//
// Exact copies of file contents, holes included, by the cheapest way the two files allow: share the
// blocks, let the kernel copy, or read and write. An existing copy is compared and only what differs
// is written. The source may change meanwhile: the copy is then a mixture, and whoever asked for it
// sees from the source's ctime that it has to be made again.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "reel/result.h"
#include "tree/tree.h"

namespace reel::mirror {

// Counts and limits the bytes of all threads that share it, and lets them be stopped.
class Throttle {
 public:
  // 0: as fast as it goes.
  explicit Throttle(uint64_t bytes_per_second) : rate_(bytes_per_second) {}

  // Returns when `bytes` more may be moved. Whoever spends more than there is waits for it himself.
  void spend(uint64_t bytes);
  // From now on nobody waits, and copies end with `cancelled`.
  void stop();
  bool stopped() const { return stopped_; }
  uint64_t spent() const { return spent_; }
  // The most that should be moved between two calls of spend().
  uint64_t step() const;

 private:
  using Clock = std::chrono::steady_clock;
  const uint64_t rate_;
  std::atomic<uint64_t> spent_{0};
  std::mutex mutex_;
  std::condition_variable stopped_changed_;
  std::atomic<bool> stopped_{false};
  Clock::time_point paid_until_{};  // when all that was spent so far is earned
};

// Reads until `size` bytes or the end of the file; how many bytes were there to read.
Result<uint64_t> read_at(int fd, char* to, uint64_t size, uint64_t offset);

// Walks the data and holes of a file. What lies beyond the end is a hole; a file system that cannot
// tell says that all is data.
class Extents {
 public:
  explicit Extents(int fd) : fd_(fd) {}

  struct Extent {
    bool data = false;
    uint64_t end = 0;  // first byte of the next extent; kNoEnd for the hole beyond the end
  };
  static constexpr uint64_t kNoEnd = UINT64_MAX;

  // The extent that holds `offset`. Moves the descriptor's file position.
  Result<Extent> at(uint64_t offset);

 private:
  int fd_;
  uint64_t known_from_ = 1, known_to_ = 0;  // what `known_` covers
  bool known_data_ = false;
};

// Makes the first `size` bytes of `to` those of `from`, and `to` that long. `fresh`: `to` is empty
// and new. A source that has become shorter is not an error: what is missing reads as it may.
// cancelled: the throttle was stopped; any part of it is copied.
Result<CopyResult> copy_contents(int from, int to, uint64_t size, bool fresh, Throttle* throttle);

// Whether two files of `size` bytes are what copy_contents() would leave as they are. Writes nothing.
Result<bool> same_contents(int from, int to, uint64_t size, const Throttle* throttle);

}  // namespace reel::mirror

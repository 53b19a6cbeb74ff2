// SPDX-License-Identifier: Apache-2.0
//
// Barriers: moments of the whole source, told as a position in each stream of the log. What is parked
// waits for one (Object::parked_until is its number, that of the batch that took it): once every
// stream has been applied up to there, all records about it have been seen. Rows of the index:
//   'B' number   the position
// Numbers rise, and of two barriers the later one is nowhere before the earlier.
#pragma once

#include <map>

#include "index/index.h"
#include "log/position.h"

namespace reel::mirror {

class Barriers {
 public:
  explicit Barriers(Index& index) : index_(index) {}

  // What the index has; forgets what was not committed.
  Status load();
  void add(uint64_t number, const log::Position& position);
  // Whether everything up to this barrier has been applied. 0 and those that nobody knows: yes.
  bool passed(uint64_t number) const { return open_.empty() || number < open_.begin()->first; }
  // Ends those that lie behind the cursor.
  void retire(const log::Position& cursor);
  // A log that lost its end: nobody waits for what it does not have. True when that changed something.
  bool limit(const log::Position& end);

 private:
  Index& index_;
  std::map<uint64_t, log::Position> open_;
};

}  // namespace reel::mirror

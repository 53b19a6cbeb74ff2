// SPDX-License-Identifier: Apache-2.0
//
// How far a reader of several streams is: the index of the last record it has, for each stream. There
// is no order between streams, so of two positions neither need be before the other.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "reel/result.h"

namespace reel::log {

class Position {
 public:
  Position() = default;
  Position(const std::string& stream, uint64_t index) { set(stream, index); }

  uint64_t at(const std::string& stream) const;  // 0: nothing of it
  void set(const std::string& stream, uint64_t index);
  const std::map<std::string, uint64_t>& streams() const { return ends_; }

  // Whether everything up to `other` is behind us.
  bool reaches(const Position& other) const;
  // Nowhere beyond `end`. True when that changed something.
  bool limit(const Position& end);
  // All streams added up: rises with every record, and means nothing else.
  uint64_t total() const;

  // "local=12 mdt0=7", in one form only. A number alone is what an index of version 1 has: stream
  // "local". Errors: corrupt.
  std::string text() const;
  static Result<Position> parse(const std::string& text);

  friend bool operator==(const Position&, const Position&) = default;

 private:
  std::map<std::string, uint64_t> ends_;  // never 0
};

}  // namespace reel::log

// SPDX-License-Identifier: Apache-2.0
//
// Who wrote which bytes of a file last.
#pragma once

#include <cstdint>
#include <map>

#include "replay/plan/order/needs.h"

namespace reel::replay {

class Written {
 public:
  // `me` wrote the bytes from `begin` up to `end`.
  void write(uint64_t begin, uint64_t end, Need me);
  // All who wrote some of them.
  void read(uint64_t begin, uint64_t end, Needs& needs) const;
  // Somebody wrote each of them.
  bool covers(uint64_t begin, uint64_t end) const;

 private:
  struct Range {
    uint64_t end;
    Need by;
  };
  void cut(uint64_t at);

  std::map<uint64_t, Range> ranges_;  // by begin; they do not overlap
};

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// The files of a trace by what they are, not by name, while the plan walks it: their sizes, whose bytes they hold,
// their locks, and which earlier calls decided that.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "replay/plan/order/order.h"
#include "replay/plan/order/written.h"
#include "replay/plan/things/walk.h"

namespace reel::replay {

// A zero FID is a file of which nothing is known: then none of this does anything.
class Files {
 public:
  explicit Files(Walk& walk) : walk_(walk) {}

  // Its size at the start, or after the step that made it.
  void set_size(const Fid& object, uint64_t size);
  // nullptr: it is not known.
  const uint64_t* size_of(const Fid& object) const;
  // The step cut it, or made it longer, to this size.
  void truncate(At& at, const Fid& object, uint64_t size);
  // The step got so many of `length` bytes. `initial`: its place in Plan::initial + 1, or 0.
  void read(At& at, const Fid& object, uint32_t initial, uint64_t offset, uint64_t length, uint64_t got);
  void write(At& at, const Fid& object, bool append, uint64_t offset, uint64_t written);
  // The strict rule: one call after the other.
  void touch(At& at, const Fid& object);
  // It was locked, or unlocked.
  void lock(At& at, const Fid& object);
  // A descriptor of it was closed: that unlocks.
  void closed(At& at, const Fid& object);

 private:
  struct File {
    std::optional<uint64_t> size;
    bool is_written = false;
    bool is_locked = false;  // was once
    Extent extent;
    Sequence strict, locks;
    Written data;  // causal only
  };

  Walk& walk_;
  std::unordered_map<Fid, File, FidHash> files_;
};

}  // namespace reel::replay

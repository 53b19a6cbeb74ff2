// SPDX-License-Identifier: Apache-2.0
//
// Who must wait for whom. While the plan walks the calls in the order in which they took effect,
// every thing that calls have in common (a name, a file, a descriptor) remembers who used it and
// who changed it last; from that follows which earlier calls a call needs to be over. Needs only
// ever point back in the walk, so they have no circles.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "replay/plan/order/needs.h"

namespace reel::replay {

// The last step of each thread that did something.
class Uses {
 public:
  void add(Need step);
  void require(Needs& needs) const {
    for (const Need& step : steps_) needs.add(step);
  }
  void clear() { steps_.clear(); }
  bool empty() const { return steps_.empty(); }

 private:
  std::vector<Need> steps_;
  size_t compact_at_ = 16;
};

// Uses may be in any order among themselves; a change comes after all before it and before all
// after.
class Cell {
 public:
  void use(Need me, Needs& needs) {
    needs.add(changed_);
    uses_.add(me);
  }
  void change(Need me, Needs& needs) {
    settle(needs);
    changed_ = me;
  }
  // All that was before; used by changes of what lies around this.
  void settle(Needs& needs) {
    needs.add(changed_);
    uses_.require(needs);
    uses_.clear();
  }
  void require_change(Needs& needs) const { needs.add(changed_); }

 private:
  Need changed_;
  Uses uses_;
};

// Changes of entries may be in any order among themselves, listings come one after the other.
class Listing {
 public:
  void change(Need me, Needs& needs) {
    needs.add(listed_);
    changes_.add(me);
  }
  void list(Need me, Needs& needs) {
    needs.add(listed_);
    changes_.require(needs);
    changes_.clear();
    listed_ = me;
  }
  void settle(Needs& needs) {
    needs.add(listed_);
    changes_.require(needs);
    changes_.clear();
  }

 private:
  Need listed_;
  Uses changes_;
};

// One after the other.
class Sequence {
 public:
  void next(Need me, Needs& needs) {
    needs.add(last_);
    last_ = me;
  }

 private:
  Need last_;
};

// What decides the results of reads and writes of one file: its size. Writes that make it longer
// commute; reads that met its end do not commute with writes beyond that; what can make it shorter
// commutes with nothing. Sizes are those that the walk has come to.
class Extent {
 public:
  void read(Need me, Needs& needs) {
    longer_.require(needs);
    read_written(me, needs);
  }
  // Of bytes whose writers are waited for by themselves.
  void read_written(Need me, Needs& needs) {
    needs.add(shrunk_);
    reads_.add(me);
  }
  void read_to_end(Need me, uint64_t size, Needs& needs) {
    read(me, needs);
    ends_.add(me);
    seen_ = std::min(seen_, size);
  }
  void write(Need me, uint64_t end, uint64_t size, Needs& needs) {
    needs.add(shrunk_);
    reads_.add(me);  // only a later shrink minds
    if (end > seen_) ends_.require(needs);
    if (end > size) longer_.add(me);
  }
  // Where it lands, and so the position behind it, depends on all that made the file longer.
  void append(Need me, uint64_t size, Needs& needs) {
    ends_.require(needs);
    read_to_end(me, size, needs);
    longer_.add(me);
  }
  void shrink(Need me, Needs& needs) {
    needs.add(shrunk_);
    longer_.require(needs);
    reads_.require(needs);
    for (Uses* uses : {&longer_, &reads_, &ends_}) uses->clear();
    seen_ = ~0ull;
    shrunk_ = me;
  }

 private:
  Need shrunk_;
  Uses longer_, reads_, ends_;
  uint64_t seen_ = ~0ull;  // the shortest that somebody met the end of
};

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// The end of an MDT's changelog: what has been read of it and is not believed yet. Knows the device,
// not our log.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "source/lustre/lustre.h"

namespace reel::source::lustre {

// Consecutive records as the device gave them, or a place where records are missing.
struct Chunk {
  std::string bytes;                            // empty: they are missing
  uint64_t first = 0, last = 0;                 // indexes of the MDT
  int64_t read_ms = 0;                          // monotonic
  EventKind kind = EventKind::records_missing;  // of what is missing
  std::string why;
};

class Tail {
 public:
  Tail(Mdt& mdt, const LustreOptions& options, Env& env);

  // Goes on behind index `position`. `sum`: raw_sum() of the record at `position`, 0 when not known.
  // `any_first`: whatever comes first is the beginning, nothing is missing before it.
  void start(uint64_t position, uint64_t sum, bool any_first);
  // With no chunks: what is there goes up to `position`, and what comes next is the one after it.
  void settle_at(uint64_t position);

  enum class Filled {
    end,     // of what there was when the descriptor was opened
    more,    // the batch is full
    slow,    // nothing came for a while, or enough is waiting to be believed
    hole,    // an index is missing that may still come
    again,   // something that is no record; it is read once more
    reused,  // the record at our position is not the one we know
    broken,  // records that cannot be read, one after the other: why() says what is wrong
  };
  // Reads on, from a new descriptor if the last one is at its end. Errors: the MDT is away.
  Result<Filled> fill(uint64_t ticket);
  // How many chunks, from the front, were read at least `age_ms` ago.
  size_t aged(int64_t age_ms) const;
  // Reads the first `count` chunks anew: are they still the same? Errors: the MDT is away.
  Result<bool> still_there(size_t count);
  // The MDT has committed everything since the hole was seen: what is missing now does not come any more.
  void confirm_hole() { hole_.confirmed_to = std::max(hole_.confirmed_to, hole_.seen_to); }
  bool waits_for_hole() const { return hole_.at != 0; }

  const std::deque<Chunk>& chunks() const { return chunks_; }
  // They hold more than records of our own fences (each of which makes another one), or are too many.
  bool worthwhile() const;
  void forget(size_t count);  // chunks from the front: they are in our log
  void drop();                // all of them: to be read anew
  void close() { device_.reset(); }

  uint64_t position() const { return settled_; }                 // of what was forgotten
  uint64_t last_worthwhile() const { return last_worthwhile_; }  // last index read that is not of a fence
  uint64_t ticket() const { return ticket_; }                    // of the fill that opened the descriptor
  const std::string& why() const { return why_; }

 private:
  struct Hole {
    uint64_t at = 0;            // the first index missing; 0: none
    uint64_t seen_to = 0;       // how far we had looked when it was found
    uint64_t confirmed_to = 0;  // what is missing up to here is missing for good
    int64_t since_ms = 0;
  };
  // One look at the device's answer.
  enum class Took { all, hole, again, reused, broken };

  Status open(uint64_t ticket);
  Took take(const char* bytes, size_t size);
  bool must_wait(uint64_t next, const char* rest, size_t rest_size);
  void took(const Record& record);
  void add_missing(uint64_t from, uint64_t to, EventKind kind, std::string why);
  void add_records(const char* bytes, size_t size, uint64_t first, uint64_t last);
  Took bad_record(std::string why);
  uint64_t seen_to(const char* bytes, size_t size) const;
  Result<bool> still_there(const Chunk& chunk);
  int64_t now_ms() const { return static_cast<int64_t>(env_.monotonic_ns() / 1'000'000); }

  Mdt& mdt_;
  const LustreOptions& options_;
  Env& env_;
  std::unique_ptr<ChangelogDevice> device_;
  std::vector<char> buffer_;
  std::deque<Chunk> chunks_;
  uint64_t settled_ = 0, settled_sum_ = 0;  // the last record in our log
  uint64_t last_ = 0, last_sum_ = 0;        // the last record read; sum 0: not known
  uint64_t seek_to_ = 0;
  bool any_first_ = false, settled_any_first_ = false;
  bool descriptor_gave_ = false;  // this descriptor has given a record that was taken
  bool worthwhile_ = false;
  uint64_t last_worthwhile_ = 0, ticket_ = 0;
  Hole hole_;
  uint64_t bad_at_ = 0;
  int bad_tries_ = 0, bad_in_a_row_ = 0, other_tries_ = 0;
  std::string why_;
};

// Of the bytes of one record.
uint64_t raw_sum(const char* bytes, size_t size);

}  // namespace reel::source::lustre

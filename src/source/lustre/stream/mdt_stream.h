// SPDX-License-Identifier: Apache-2.0
//
// One MDT's changelog into one stream of our log. One thread; no thread of its own, so that a test can
// step it.
//
// The order of things is what makes it exact:
//
//   read        raw records, up to the end or a full batch, from a fresh descriptor
//   fence       the MDT commits: what was read cannot be taken back by a crash any more ...
//   read again  ... if it still is what was read. Else all of it is dropped and read anew
//   append      to the stream; in the place of what is missing, a GAP
//   commit      our log is on disk
//   clear       at the MDT: from now on every change makes a record, times too (Lustre leaves out a
//               time change of an object that has had a record since the last clear)
//   release     only now may anybody act on the records: what they read of the objects is at least
//               as new as the clear
//
// Indexes: a record keeps the MDT's index where it can. A GAP takes a missing index; where none is
// missing all later records move up by one, and the origin file says by how much (origin.h).
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "source/lustre/lustre.h"
#include "source/lustre/stream/origin.h"

namespace reel::source::lustre {

enum class Step {
  worked,  // there was something; call again at once
  idle,    // nothing new
  away,    // the MDT cannot be reached; call again later
  ended,   // END; see error()
};

class MdtStream {
 public:
  static Result<std::unique_ptr<MdtStream>> open(Mdt& mdt, const MdtUser& user, const LustreOptions& options, Env& env);
  virtual ~MdtStream() = default;

  // One pass. `ticket` is any number that never falls; once served() has reached it, everything that
  // was in the MDT's log before the first step with that ticket is released, and our user was there.
  virtual Step step(uint64_t ticket) = 0;
  virtual uint64_t served() const = 0;
  // Any thread.
  virtual StreamState state() const = 0;
  virtual std::optional<Error> error() const = 0;
};

}  // namespace reel::source::lustre

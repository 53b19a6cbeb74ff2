// SPDX-License-Identifier: Apache-2.0
//
// What of a watch must survive the death of the process that reads it: a memfd, kept alive by the
// holder together with the fanotify group, and mapped by the reader.
//   read buffer    events are read(2) into it. The kernel has forgotten them by then, so until their
//                  records are flushed this is the only copy. Events delimit themselves and unused
//                  bytes are zero, so a successor finds what its predecessor did not finish.
//   muted files    whose MODIFY events are switched off by a mark in the group (see mute.h)
//   flushed index  up to where the log has been flushed: a log that ends below is not the same log
// Stores are ordered such that at every instruction a kill leaves a state that loses nothing; doing a
// batch twice is harmless, because records say where to look.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/fd.h"
#include "reel/record.h"
#include "reel/result.h"

namespace reel::source {

class Session {
 public:
  static constexpr size_t kReadBytes = 256u << 10;
  static constexpr size_t kMutedMax = 4096;

  Session() = default;
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  static Result<Session> create();
  // Maps the memfd of a predecessor. Error conflict: made by another version.
  static Result<Session> adopt(Fd memfd);

  int fd() const { return fd_.get(); }

  // kReadBytes to read into. All zero before each read; behind it lies a zero that ends the events.
  unsigned char* buffer() { return buffer_; }
  // The records of `used` bytes of events are flushed: forgets the events.
  void clear_buffer(size_t used);

  // True when a reader has put a log on record that vouches for this group (its first GAP is durable).
  bool established() const;
  void set_established();
  uint64_t flushed_index() const;
  void set_flushed_index(uint64_t index);
  // True while a loss is known that the log does not tell of yet.
  bool owes_gap() const;
  void set_owes_gap(bool owed);

  std::span<const Fid> muted() const;
  bool add_muted(const Fid& fid);  // false when there is no more room
  void clear_muted();

 private:
  struct Head;
  Result<Session> mapped(Fd memfd);

  Fd fd_;
  Head* head_ = nullptr;
  unsigned char* buffer_ = nullptr;
};

}  // namespace reel::source

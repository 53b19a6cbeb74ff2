// SPDX-License-Identifier: Apache-2.0
//
// What read(2) on a fanotify group gives, and the records it means. Pure: bytes in, records out.
//
// The kernel merges an event into an equal one (same object, entry and process) that still waits in
// the queue, so one event can carry several bits and their order is lost: a merged CREATE|DELETE does
// not tell whether the entry is there now. Records say where to look, not what to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reel/record.h"

namespace reel::source {

struct Entry {
  Fid directory;
  std::string_view name;
};

struct Event {
  uint64_t mask = 0;
  int32_t pid = 0;  // of the process that did it (0: in no namespace we see)
  std::optional<Fid> object;
  std::optional<Entry> entry;                 // where the object is named; "." is the directory itself
  std::optional<Entry> old_entry, new_entry;  // of a rename
  const unsigned char* handle = nullptr;      // the object's handle: struct file_handle, unaligned
  uint32_t handle_size = 0;                   // with its header
  int fs_error = 0;                           // errno that the file system reported
  std::string problem;                        // not empty: these bytes are not understood

  // The object itself was written, and by now nobody has said that he is done with it.
  bool is_open_write() const;
};

class EventReader {
 public:
  EventReader(const unsigned char* begin, size_t size) : at_(begin), left_(size) {}

  // The next event, as views into the bytes; false at the end: no bytes left, or a zero length. An
  // event that cannot even be delimited is the last one.
  bool next(Event& event);

 private:
  const unsigned char* at_;
  size_t left_;
};

// Adds the records that the event means: at least one, a GAP when it cannot be told what happened.
// Names are views: into what the event views, or the event's `problem`.
void add_records(const Event& event, uint64_t time, std::vector<Record>& records);

}  // namespace reel::source

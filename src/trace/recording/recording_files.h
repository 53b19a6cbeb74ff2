// SPDX-License-Identifier: Apache-2.0
//
// What a recording keeps beside its log while it is under way: rings, a note of where they are, and a
// reserve of room. All of it is gone when it has ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/env.h"
#include "reel/result.h"

namespace reel::trace {

// For who comes after reel was killed.
struct Note {
  std::string rings;       // their directory
  uint64_t ahead = 0;      // nanoseconds that the realtime clock was ahead of the monotonic one
  int32_t pid = 0;         // of reel
  uint64_t started = 0;    // when it was, in the kernel's ticks since the boot; 0: unknown (an older reel's note)
  bool anonymous = false;  // the log has no clear names, the rings have
};

// A directory for rings with its control file; `limit` as RecordOptions::ring_limit. In memory when it can be had;
// `only_memory`: else it is an error.
Result<std::string> make_ring_dir(const std::string& log, uint64_t limit, bool only_memory);
// Removes the rings and the note.
void forget_rings(Env& env, const std::string& log, const std::string& rings);

Status write_note(Env& env, const std::string& log, const Note& note);
// not_found: there is none; corrupt.
Result<Note> read_note(Env& env, const std::string& log);

// What the kernel tells of a process that still is there. A zombie has ended: it may wait to be reaped for ever, and
// touches nothing any more.
struct ProcessStat {
  bool ended = false;
  uint64_t started = 0;  // ticks since the boot
};
// nullopt: there is no such process, or it may not be looked at.
std::optional<ProcessStat> process_stat(int32_t pid);
// Whether the reel of the note still records: a process of its number that was started when it was. In doubt it does.
bool goes_on(const Note& note);

// Room that is given back when the disk is full, for the end of the trace.
Status make_reserve(const std::string& log);
std::string reserve_path(const std::string& log);
void forget_reserve(Env& env, const std::string& log);

}  // namespace reel::trace

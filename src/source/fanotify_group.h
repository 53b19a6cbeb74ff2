// SPDX-License-Identifier: Apache-2.0
//
// A fanotify group with a mark on one whole file system: making it, asking whether its mark is still
// there, and ignore marks for single files. What the functions down from `watches` do is safe after
// fork (no allocation): the holder calls them too.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/handle.h"
#include "reel/result.h"

namespace reel::source {

// The super block a directory is on.
struct FileSystem {
  unsigned major = 0, minor = 0;
};

// Errors: not_found, not a directory (invalid), unsupported (changes made by other machines, or by
// the server behind it, would not be seen).
Result<FileSystem> file_system_of(const std::string& directory);

// A group that gets every change of the file system. Its queue holds `queue_events`.
// Errors: permission, unsupported, io.
Result<Fd> make_group(const std::string& directory, uint64_t queue_events);

// True when the group's mark is on the file system that `path` is on.
bool watches(int group, const char* path);
// True while the file system is mounted somewhere and the group's mark is on it.
bool still_watched(int group, const FileSystem& fs);

// Ignores MODIFY of one file (a descriptor on it, O_PATH will do) until flush_ignores. False when
// the kernel refuses.
bool ignore_modify(int group, int file);
// All ignore marks are gone when this returns; the mark of the file system stays.
bool flush_ignores(int group);

// How many events are queued now.
uint64_t queued_events(int group);

}  // namespace reel::source

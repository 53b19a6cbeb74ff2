// SPDX-License-Identifier: Apache-2.0
//
// /proc/self/mountinfo, read without allocating: the holder uses it after fork. Reel keeps no file
// open on the file system it watches (that would make `umount` fail), so it looks here to learn
// that the file system is gone.
#pragma once

#include <sys/types.h>

#include <cstddef>

#include "base/fd.h"

namespace reel::source {

struct Mount {
  int id = 0;
  unsigned major = 0, minor = 0;  // of the super block
  const char* point = "";         // where it is mounted; the strings live until the next next()
  const char* type = "";
  const char* device = "";
  bool read_only = false;  // the super block is
};

class MountReader {
 public:
  MountReader();
  // False at the end. Lines that do not fit or cannot be understood are left out.
  bool next(Mount& mount);

 private:
  bool fill();
  static bool parse(char* line, Mount& mount);

  Fd fd_;
  size_t begin_ = 0, end_ = 0;
  bool skipping_ = false;  // inside a line that is longer than the buffer
  char buffer_[32 << 10];
};

}  // namespace reel::source

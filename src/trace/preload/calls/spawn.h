// SPDX-License-Identifier: Apache-2.0
//
// posix_spawn. What its child does before its program runs, libc does within itself; it is told from the list of file
// actions that the program gives.
#pragma once

#include <spawn.h>

#include "trace/preload/shim.h"

namespace reel::trace::shim {

// Tells, before the call, what the child is going to do; afterwards, that it was made.
class Spawning {
 public:
  Spawning(const char* path, const posix_spawn_file_actions_t* actions)
      : path_(path), actions_(actions), call_(Op::vfork) {}
  bool on() const { return call_.on(); }
  // `packed`: `size` bytes of arguments in room for kMaxArguments, which is overwritten.
  void begin(char (&packed)[wire::kMaxArguments], uint32_t size);
  // `error` as posix_spawn gives it, `child` when that is 0. errno is as it was.
  void done(int error, pid_t child);

 private:
  static constexpr int kMostOpens = 8;  // of which is told what they opened

  void tell_actions(char (&packed)[wire::kMaxArguments]);

  const char* path_;
  const posix_spawn_file_actions_t* actions_;
  Call call_;
  wire::Object opened_[kMostOpens];
};

}  // namespace reel::trace::shim

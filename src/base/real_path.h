// SPDX-License-Identifier: Apache-2.0
//
// A path as it is given on a command line, absolute and free of symlinks.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>

#include "reel/result.h"

namespace reel {

// Errors: errno's of realpath(3); the message begins with `what`.
inline Result<std::string> real_path(const std::string& path, const std::string& what) {
  std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  if (!resolved) return Error::from_errno(errno, what);
  return std::string(resolved.get());
}

inline Result<std::string> real_path(const std::string& path) {
  return real_path(path, path);
}

}  // namespace reel

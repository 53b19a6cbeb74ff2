// SPDX-License-Identifier: Apache-2.0
#include "service/state/scratch.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace reel::service {

Result<std::unique_ptr<Scratch>> Scratch::create() {
  const char* base = std::getenv("TMPDIR");
  std::string dir = std::string(base && *base ? base : "/var/tmp") + "/reel-dry-run.XXXXXX";
  if (!::mkdtemp(dir.data())) return Error::from_errno(errno, "make a temporary directory " + dir);
  return std::unique_ptr<Scratch>(new Scratch(dir));
}

Scratch::~Scratch() {
  std::error_code ignored;  // a directory for temporary files is cleaned by others as well
  std::filesystem::remove_all(dir_, ignored);
}

}  // namespace reel::service

// SPDX-License-Identifier: Apache-2.0
//
// Where the recordings of a real Lustre lie: the small corpus of the repository, and the full set
// where it is installed (REEL_FIXTURES, or ../shared/fixtures beside the repository).
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "support/files.h"

namespace reel::recordings {

using test::slurp;

// The files below `root` whose name ends so, sorted.
inline std::vector<std::filesystem::path> files_under(const std::filesystem::path& root, const std::string& suffix) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
    if (entry.is_regular_file() && entry.path().string().ends_with(suffix)) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

inline std::filesystem::path corpus() {
  return std::filesystem::path(REEL_SOURCE_DIR) / "tests/corpora/lustre";
}

// Empty when it is not installed.
inline std::filesystem::path full_set() {
  const char* fixtures = ::getenv("REEL_FIXTURES");
  std::filesystem::path root = fixtures ? fixtures : std::filesystem::path(REEL_SOURCE_DIR) / "../shared/fixtures";
  return std::filesystem::is_directory(root / "lustre") ? root / "lustre" : std::filesystem::path();
}

inline std::vector<std::filesystem::path> roots() {
  std::vector<std::filesystem::path> found = {corpus()};
  if (!full_set().empty()) found.push_back(full_set());
  return found;
}

}  // namespace reel::recordings

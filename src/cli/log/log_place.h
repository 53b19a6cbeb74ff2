// SPDX-License-Identifier: Apache-2.0
//
// What a person names on the command line (a log directory or a state directory, perhaps a stream)
// -> the log directory and the stream.
#pragma once

#include <string>

#include "reel/result.h"

namespace reel::cli {

struct LogPlace {
  std::string dir;
  std::string stream;
};

// `path` is a log directory, or a directory with a log in its log/. `stream` may be empty when
// there is just one. Errors: not_found (no log there), invalid (a stream has to be named).
Result<LogPlace> find_log(const std::string& path, const std::string& stream);
// The same for a log that need not exist yet; a stream that is not named is called `fallback`.
Result<LogPlace> find_or_name_log(const std::string& path, const std::string& stream, const std::string& fallback);

}  // namespace reel::cli

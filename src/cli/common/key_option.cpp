// SPDX-License-Identifier: Apache-2.0
//
// See key_option.h.
#include "cli/common/key_option.h"

#include "base/env.h"
#include "log/block/cipher.h"

namespace reel::cli {

void add_key_option(CLI::App& verb, std::string& file) {
  verb.add_option("--key-file", file, "the log is encrypted; this file (at least 16 bytes) is its key");
}

Result<std::optional<LogKey>> key_of(const std::string& file) {
  if (file.empty()) return std::optional<LogKey>();
  TRY_ASSIGN(LogKey key, log::read_log_key(Env::posix(), file));
  return std::optional<LogKey>(key);
}

}  // namespace reel::cli

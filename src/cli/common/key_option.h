// SPDX-License-Identifier: Apache-2.0
//
// The option --key-file: the key of an encrypted log.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "reel/log_key.h"
#include "reel/result.h"

namespace reel::cli {

void add_key_option(CLI::App& verb, std::string& file);

// nullopt when no file was named. Errors: those of log::read_log_key.
Result<std::optional<LogKey>> key_of(const std::string& file);

inline const LogKey* pointer_to(const std::optional<LogKey>& key) {
  return key ? &*key : nullptr;
}

}  // namespace reel::cli

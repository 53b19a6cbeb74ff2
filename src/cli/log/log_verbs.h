// SPDX-License-Identifier: Apache-2.0
//
// Shared by the files that make up the verbs of the log.
#pragma once

#include "cli/cli.h"

namespace reel::cli {

void define_user_verbs(CLI::App& app, int& exit_code);  // register, deregister, clear, users

}  // namespace reel::cli

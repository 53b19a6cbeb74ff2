// SPDX-License-Identifier: Apache-2.0
//
// Shared by the files that make up the verbs of the log.
#pragma once

#include "cli/cli.h"

namespace reel::cli {

// The exit code of a verb that gives one or fails; a failure is reported.
int code_of(const Result<int>& result);

// export's formats that only traces have.
bool is_trace_format(const std::string& format);
Result<int> export_trace(const std::string& log, const std::string& format, const std::string& key_file);

void define_user_verbs(CLI::App& app, int& exit_code);  // register, deregister, clear, users

}  // namespace reel::cli

// SPDX-License-Identifier: Apache-2.0
//
// The verb export's formats that only traces have.
#pragma once

#include <string>

#include "reel/result.h"

namespace reel::cli {

bool is_trace_format(const std::string& format);
// The exit code. Errors: those of reading the trace and of writing to stdout.
Result<int> export_trace(const std::string& log, const std::string& format, const std::string& key_file);

}  // namespace reel::cli

// SPDX-License-Identifier: Apache-2.0
//
// printf onto the end of a string, for reports and record texts. Safe from any thread.
#pragma once

#include <cstdint>
#include <string>

namespace reel {

// Appends at most 511 bytes; what is longer is cut off: names, which have no such limit, go by `+=`.
__attribute__((format(printf, 2, 3))) void append_format(std::string& out, const char* format, ...);

// What printf's %llu and %llx want.
inline unsigned long long wide(uint64_t value) {
  return value;
}

}  // namespace reel

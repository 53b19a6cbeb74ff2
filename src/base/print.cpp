// SPDX-License-Identifier: Apache-2.0
#include "base/print.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace reel {

void append_format(std::string& out, const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  int size = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (size > 0) out.append(text, std::min(static_cast<size_t>(size), sizeof text - 1));
}

}  // namespace reel

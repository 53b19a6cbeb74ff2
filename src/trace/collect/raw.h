// SPDX-License-Identifier: Apache-2.0
//
// An event as a recorder wrote it (trace/wire.h), taken apart.
#pragma once

#include <optional>
#include <string_view>

#include "trace/wire.h"

namespace reel::trace {

struct Raw {
  wire::Event event{};
  std::string_view path, path2, data;
  uint64_t arg = 0, arg2 = 0;
  std::optional<wire::Object> object, object2, before;
  std::optional<uint64_t> cpu_ns;  // of the gap before

  Op op() const { return static_cast<Op>(event.op); }
};

// nullopt: the bytes are not an event. The views point into `bytes`.
std::optional<Raw> parse_raw(std::string_view bytes);

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// An event as a recorder wrote it (trace/wire.h), taken apart.
#pragma once

#include <optional>
#include <string_view>

#include "trace/wire.h"

namespace reel::trace {

struct RawEvent {
  uint16_t op = 0;
  uint64_t enter_ns = 0,
           exit_ns = 0;  // monotonic; of a ring's event: ticks, until its clock was asked
  int64_t result = 0;    // or -errno
  int32_t fd = 0, fd2 = 0;
  uint64_t offset = 0, length = 0;
  uint32_t flags = 0, mode = 0;
};

struct Raw {
  RawEvent event;
  std::string_view path, path2, data;
  uint64_t arg = 0, arg2 = 0;
  std::optional<wire::Object> object, before;
  std::optional<uint64_t> cpu_ns;        // of the gap before
  uint64_t queued_ns = wire::kNotKnown;  // of it, how long the thread was ready and had no processor

  Op op() const { return static_cast<Op>(event.op); }
};

// nullopt: the bytes are not an event. The views point into `bytes`.
std::optional<Raw> parse_raw(std::string_view bytes);

}  // namespace reel::trace

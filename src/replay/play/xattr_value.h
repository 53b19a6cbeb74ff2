// SPDX-License-Identifier: Apache-2.0
//
// Values of extended attributes. Traces have none, and any bytes will do, but for those that the kernel understands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reel::replay {

// A value of `size` bytes that the kernel takes for the attribute `name`; empty: any is. `mode`: the event's
// (docs/trace-format.md: of a POSIX ACL what it permits; whom it names is not known, so they are users that nobody is).
std::string xattr_value(std::string_view name, uint64_t size, uint64_t mode);

}  // namespace reel::replay

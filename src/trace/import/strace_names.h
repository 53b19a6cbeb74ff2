// SPDX-License-Identifier: Apache-2.0
//
// Constants by the names that strace prints, of Linux on x86-64. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace reel::trace {

// "12", "-1", "0x1f", "0644", "NULL", "O_RDONLY|O_CLOEXEC", "makedev(0x8, 0x1)"; nullopt when a part of it is not
// known.
std::optional<uint64_t> strace_number(std::string_view text);

// The number of an error ("ENOENT" is 2; "ERESTARTSYS" is 512), or of a signal ("SIGKILL" is 9); 0: not known.
int strace_errno(std::string_view name);
int strace_signal(std::string_view name);

}  // namespace reel::trace

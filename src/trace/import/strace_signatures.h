// SPDX-License-Identifier: Apache-2.0
//
// Which system calls of strace's output a trace has room for, and which of their arguments are needed.
#pragma once

#include <cstdint>
#include <string_view>

namespace reel::trace {

// What the arguments of a call are, a letter each: n a number that is needed, - nothing that is, p a path, x the name
// of an xattr, a arguments of exec, v parts of a vector, o a pointer to an offset or NULL, c clone's, i ioctl's, s a
// socket's address, w an xattr's value, b the structure (CallShape::blob). A capital may be missing.
struct StraceSignature {
  const char* name;
  uint16_t number;  // of the system call on x86-64
  const char* arguments;
};

// nullptr: no call of this name is recorded.
const StraceSignature* strace_signature(std::string_view name);

}  // namespace reel::trace

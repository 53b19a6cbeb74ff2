// SPDX-License-Identifier: Apache-2.0
//
// Calls that a program makes by number, through libc's syscall().
#pragma once

#include "trace/preload/shim.h"

namespace reel::trace::shim {

using SyscallFn = long (*)(long, long, long, long, long, long, long);
struct SyscallArguments {
  long number, a, b, c, d, e, f;
};

// True: the call is one about files; it was made and recorded, and `result` is what syscall() returns, with errno.
bool make_by_number(const SyscallArguments& call, long& result);

// openat2 has no function of libc's (descriptors.cpp).
long record_openat2(SyscallFn real, long dirfd, long path, long how, long size);

}  // namespace reel::trace::shim

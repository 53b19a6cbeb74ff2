// SPDX-License-Identifier: Apache-2.0
//
// The kernel's asynchronous I/O when it is called by number.
#pragma once

#include "trace/preload/calls/by_number.h"

namespace reel::trace::shim {

bool is_aio(long number);
// Makes the call, which is one of aio's, and records it.
long record_aio_syscall(SyscallFn real, long number, long a, long b, long c, long d, long e, long f);

}  // namespace reel::trace::shim

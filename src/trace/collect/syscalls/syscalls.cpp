// SPDX-License-Identifier: Apache-2.0
//
// System calls of x86-64 as events.
#include "trace/collect/syscalls/syscalls.h"

#include <fcntl.h>

#include "trace/collect/syscalls/conversion.h"

namespace reel::trace {

bool Conversion::run() {
  const CallShape& shape = *call_.shape;
  e_.op = static_cast<uint16_t>(shape.op);
  e_.enter_ns = call_.enter_ns;
  e_.exit_ns = call_.exit_ns;
  e_.result = call_.result;
  e_.fd = shape.dirfd == kCwdArg ? AT_FDCWD : shape.dirfd >= 0 ? int_of(a_[shape.dirfd]) : int_of(a_[0]);
  e_.fd2 = shape.dirfd2 == kCwdArg ? AT_FDCWD : shape.dirfd2 >= 0 ? int_of(a_[shape.dirfd2]) : -1;
  raw_.path = call_.path;
  raw_.path2 = call_.path2;
  descriptors();
  names();
  processes();
  return (shape.op != Op::bind || socket_name()) && data();
}

bool to_raw(const FetchedCall& call, Raw& raw) {
  raw = Raw{};
  return Conversion(call, raw).run();
}

}  // namespace reel::trace

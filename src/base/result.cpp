// SPDX-License-Identifier: Apache-2.0
#include "reel/result.h"

#include <cerrno>
#include <cstring>

namespace reel {
namespace {

Code code_of(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ESTALE:
      return Code::not_found;
    case EEXIST:
    case ENOTEMPTY:
      return Code::exists;
    case EACCES:
    case EPERM:
      return Code::permission;
    case ENOSPC:
    case EDQUOT:
      return Code::no_space;
    case EOPNOTSUPP:
    case ENOSYS:
      return Code::unsupported;
    case EBUSY:
      return Code::busy;
    default:
      return Code::io;
  }
}

}  // namespace

Error Error::from_errno(int sys_errno, const std::string& what) {
  return {code_of(sys_errno), what + ": " + std::strerror(sys_errno), sys_errno};
}

}  // namespace reel

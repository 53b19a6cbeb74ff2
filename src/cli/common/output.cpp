// SPDX-License-Identifier: Apache-2.0
//
// See output.h.
#include "cli/common/output.h"

#include <unistd.h>

#include <cerrno>

namespace reel::cli {

Status Output::flush() {
  for (size_t done = 0; done < text_.size();) {
    ssize_t n = ::write(STDOUT_FILENO, text_.data() + done, text_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno(errno, "write to standard output");
    done += static_cast<size_t>(n);
  }
  text_.clear();
  return ok();
}

bool is_closed_output(const Error& error) {
  return error.sys_errno() == EPIPE;
}

}  // namespace reel::cli

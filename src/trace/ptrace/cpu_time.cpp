// SPDX-License-Identifier: Apache-2.0
//
// The CPU time of a stopped thread: the first number of its schedstat; the second is how long it had to wait for a
// processor. (The clocks of other processes' threads are not to be had.) Of a running thread it would be what it was at
// its last switch.
#include "trace/ptrace/cpu_time.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <charconv>

namespace reel::trace {

CpuTime::CpuTime(int32_t tid) {
  char path[64];
  ::snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", tid, tid);
  file_ = ::open(path, O_RDONLY | O_CLOEXEC);
}

CpuTime::~CpuTime() {
  if (file_ >= 0) ::close(file_);
}

std::optional<CpuTime::Times> CpuTime::now() const {
  char text[96];
  ssize_t size = file_ >= 0 ? ::pread(file_, text, sizeof text, 0) : -1;
  if (size <= 0) return std::nullopt;
  Times times;
  auto [end, error] = std::from_chars(text, text + size, times.cpu_ns);
  if (error != std::errc() || end == text + size) return std::nullopt;
  if (std::from_chars(end + 1, text + size, times.queued_ns).ec != std::errc()) return std::nullopt;
  return times;
}

}  // namespace reel::trace

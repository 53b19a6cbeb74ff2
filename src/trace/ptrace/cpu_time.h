// SPDX-License-Identifier: Apache-2.0
//
// The CPU time of a stopped thread.
#pragma once

#include <cstdint>
#include <optional>

namespace reel::trace {

class CpuTime {
 public:
  struct Times {
    uint64_t cpu_ns = 0, queued_ns = 0;  // running, and ready to run without a processor
  };

  explicit CpuTime(int32_t tid);
  ~CpuTime();
  CpuTime(const CpuTime&) = delete;
  CpuTime& operator=(const CpuTime&) = delete;

  // Up to its stop. nullopt: the kernel does not tell (it has no /proc/N/schedstat).
  std::optional<Times> now() const;

 private:
  int file_;
};

}  // namespace reel::trace

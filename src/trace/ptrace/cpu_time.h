// SPDX-License-Identifier: Apache-2.0
//
// The CPU time of a stopped thread.
#pragma once

#include <cstdint>
#include <optional>

namespace reel::trace {

class CpuTime {
 public:
  explicit CpuTime(int32_t tid);
  ~CpuTime();
  CpuTime(const CpuTime&) = delete;
  CpuTime& operator=(const CpuTime&) = delete;

  // Nanoseconds up to its stop. nullopt: the kernel does not tell (it has no /proc/N/schedstat).
  std::optional<uint64_t> now() const;

 private:
  int file_;
};

}  // namespace reel::trace

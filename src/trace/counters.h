// SPDX-License-Identifier: Apache-2.0
//
// Calls that are counted and not kept: by process, program, operation and file. And which calls a
// sample keeps.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

#include "reel/trace.h"

namespace reel::trace {

class Counters {
 public:
  // `path`: of the file that the call was about; empty: it has none, or it is not known.
  void add(const Event& event, uint32_t process, const std::string& program, const std::string& path);
  // What was added since the last time, as records of the trace.
  Status write(Writer& writer);
  bool empty() const { return counts_.empty(); }

 private:
  std::map<std::tuple<uint32_t, std::string, Op, std::string>, Count> counts_;
};

// Of the calls of one operation by one thread on one file: the first, and from then on each Nth.
class Sampler {
 public:
  explicit Sampler(uint32_t one_in) : one_in_(one_in) {}
  // What others depend on (descriptors, names, attributes, processes) is always kept.
  bool keeps(const Event& event, const std::string& path);

 private:
  uint32_t one_in_;
  std::unordered_map<uint64_t, uint32_t> seen_;
};

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// A trace's records as text: the line of `reel log` and its JSON, with the names that the numbers
// stand for.
#pragma once

#include <string>
#include <unordered_map>

#include "reel/trace.h"

namespace reel::trace {

// Gathers the strings of a trace while its records pass. Every record must be shown to note().
class TraceText {
 public:
  void note(const Record& record);
  // As log::append_lfs_line, then " c=OP fd=N.GENERATION ..." and the names.
  void append_line(const Record& record, std::string& out) const;
  void append_json(const Record& record, std::string& out) const;

 private:
  const std::string& string(uint64_t id) const;
  std::unordered_map<uint64_t, std::string> strings_;
};

}  // namespace reel::trace

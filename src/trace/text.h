// SPDX-License-Identifier: Apache-2.0
//
// A trace's records as text: the line of `reel log` and its JSON, with the names that the numbers
// stand for; and the call as strace would write it.
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

// "openat(AT_FDCWD, "/a", O_RDONLY) = 3": what a person reads. Names that are cut off at nothing.
std::string call_text(const Trace& trace, const Event& event);
// Raw bytes in C's notation, in quotes.
std::string quoted(const std::string& bytes);
// "EEXIST", or the number.
std::string errno_name(int number);

}  // namespace reel::trace

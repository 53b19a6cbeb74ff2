// SPDX-License-Identifier: Apache-2.0
//
// Which calls of a trace are wanted.
#include "trace/filter.h"

#include <fnmatch.h>

#include <algorithm>

#include "trace/ops.h"

namespace reel::trace {
namespace {

bool matches_any(const std::vector<std::string>& patterns, const std::string& text) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0; });
}

// Without these the calls that are left could not be understood.
bool gives_meaning(RecordType type) {
  switch (type) {
    case RecordType::fork:
    case RecordType::exec:
    case RecordType::exit:
    case RecordType::wait:
    case RecordType::context:
    case RecordType::descriptor:
    case RecordType::compute:
      return true;
    default:
      return false;
  }
}

void append_list(std::string& text, const char* option, const std::vector<std::string>& values) {
  for (const std::string& value : values) text += std::string(text.empty() ? "" : " ") + option + "=" + value;
}

}  // namespace

bool Filter::wants(const Event& event, const Thread& thread, const std::string& program,
                   const std::string& path) const {
  if (!active()) return true;
  RecordType type = type_of(event.op);
  if (gives_meaning(type) || event.op == Op::held || family_of(event.op) == Family::memory) return true;
  if ((types & mask_bit(type)) == 0) return false;
  if (!users.empty() && std::find(users.begin(), users.end(), thread.uid) == users.end()) return false;
  if (!programs.empty() && !matches_any(programs, program)) return false;
  if (moves_data(event.op) && event.length < min_bytes) return false;
  if (!include.empty() && !matches_any(include, path)) return false;
  return !matches_any(exclude, path);
}

std::string Filter::text() const {
  std::string text;
  append_list(text, "--path", include);
  append_list(text, "--not-path", exclude);
  append_list(text, "--program", programs);
  if (types != kMaskAll) text += (text.empty() ? "--mask=" : " --mask=") + format_mask(types);
  for (uint32_t user : users) text += (text.empty() ? "--user=" : " --user=") + std::to_string(user);
  if (min_bytes != 0) text += (text.empty() ? "--min-size=" : " --min-size=") + std::to_string(min_bytes);
  return text;
}

}  // namespace reel::trace

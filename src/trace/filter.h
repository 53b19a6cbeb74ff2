// SPDX-License-Identifier: Apache-2.0
//
// Which calls of a trace are wanted: by name, operation, user, process and size. Calls that give
// others their meaning (what changes descriptors, directories, processes) pass unless a name says no.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reel/trace.h"

namespace reel::trace {

struct Filter {
  std::vector<std::string> include, exclude;  // shell patterns of absolute paths; '*' goes over slashes
  uint64_t types = kMaskAll;                  // record types
  std::vector<uint32_t> users;                // empty: all
  std::vector<std::string> programs;          // patterns of threads' names; empty: all
  uint64_t min_bytes = 0;                     // reads and writes of fewer are left out
  // What becomes of wanted calls:
  bool counters = false;  // they are counted, none is kept
  uint32_t one_in = 1;    // of those that can be left out one in so many is kept, the rest is counted

  bool active() const {
    return !include.empty() || !exclude.empty() || types != kMaskAll || !users.empty() || !programs.empty() ||
           min_bytes != 0;
  }
  // `path`: of the file that the call was about; empty: it has none, or it is not known.
  bool wants(const Event& event, const Thread& thread, const std::string& program, const std::string& path) const;
  std::string text() const;  // for the fact "filter"
};

}  // namespace reel::trace

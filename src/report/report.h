// SPDX-License-Identifier: Apache-2.0
//
// A trace in figures: by operation, file and program; sizes, access patterns, what is missing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reel/trace.h"

namespace reel::report {

struct Totals {
  uint64_t calls = 0, failed = 0, bytes = 0, time_ns = 0;
  std::vector<uint64_t> durations;  // only of operations; sorted
};

struct FileUse {
  std::string name;
  uint64_t reads = 0, writes = 0, bytes_read = 0, bytes_written = 0, time_ns = 0;
  // How the data calls follow each other within a descriptor: right behind, forward, or anywhere.
  uint64_t sequential = 0, strided = 0, random = 0;
  bool read_after_write = false;
  const char* pattern() const;
};

struct Report {
  std::map<std::string, std::string> facts;
  uint64_t elapsed_ns = 0;
  uint64_t threads = 0, processes = 0, calls = 0;
  std::map<std::string, Totals> operations, programs;
  std::vector<FileUse> files;          // the most moved bytes first
  std::map<uint64_t, uint64_t> sizes;  // of data calls, by power of two that they reach: calls
  uint64_t small_calls = 0;            // data calls of less than 4 KiB that moved something
  std::vector<uint64_t> per_slice;     // bytes moved, in twenty equal slices of the time
  std::vector<std::string> incomplete;
};

Report make_report(const trace::Trace& trace);
std::string text_of(const Report& report);
std::string json_of(const Report& report);

}  // namespace reel::report

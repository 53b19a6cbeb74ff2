// SPDX-License-Identifier: Apache-2.0
//
// A trace in figures: by operation, program, process and file; sizes, access patterns, bandwidth over
// time, reading of what was just written, what is missing. Calls that the trace only counted are in
// all sums.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reel/trace.h"

namespace reel::report {

struct Totals {
  uint64_t calls = 0, failed = 0, bytes = 0, time_ns = 0;
  std::vector<uint64_t> durations;  // only of operations, and of calls that are in the trace; sorted
};

struct FileUse {
  std::string name;
  uint64_t opens = 0, reads = 0, writes = 0, syncs = 0, bytes_read = 0, bytes_written = 0;
  uint64_t time_ns = 0;  // in reads, writes and syncs
  uint64_t small = 0;    // reads and writes of less than 4 KiB that moved something
  // How the data calls follow each other within a descriptor: right behind, forward by equal steps, or anywhere.
  uint64_t sequential = 0, strided = 0, random = 0;
  uint64_t reread = 0;  // bytes read that had been written before in this trace
  const char* pattern() const;
};

struct ProcessUse {
  uint32_t number = 0;  // of its first thread
  int32_t pid = 0;
  std::string program;  // what it ran last
  uint64_t threads = 0, calls = 0, failed = 0, bytes_read = 0, bytes_written = 0, time_ns = 0;
};

// The time of threads between their calls. Gaps of less than 20 us, which are computing, are not in it.
struct Between {
  uint64_t computing_ns = 0;
  uint64_t spinning_ns = 0;  // computing that was nothing but giving way to others
  uint64_t queued_ns = 0;    // ready to run, and all processors had others
  uint64_t blocked_ns = 0;   // waiting for what no call shows: a lock, a page from the disk
  uint64_t off_ns = 0;       // off the processors, and the trace does not say why
};

struct Slice {
  uint64_t bytes_read = 0, bytes_written = 0;
};

struct Report {
  std::map<std::string, std::string> facts;
  uint64_t elapsed_ns = 0;
  // The recorder's own doing between the calls of the trace, as it measured it (facts cost_ns...): of all threads, and
  // of the thread that had most of it. What it cost within a call, and counted calls, are not in it. 0: not measured.
  uint64_t cost_ns = 0, cost_of_one_ns = 0;
  Between between;
  uint64_t threads = 0, calls = 0;
  uint64_t counted = 0;  // of the calls: those that the trace only counted
  std::map<std::string, Totals> operations, programs;
  std::vector<ProcessUse> processes;   // the longest in calls first
  std::vector<FileUse> files;          // the most moved bytes first
  std::map<uint64_t, uint64_t> sizes;  // of data calls, by power of two that they reach: calls
  uint64_t small_calls = 0;            // data calls of less than 4 KiB that moved something
  std::vector<Slice> slices;           // of the time, equal ones; only calls that are in the trace
  std::vector<std::string> warnings;   // what makes I/O slow, in words
  std::vector<std::string> incomplete;
};

Report make_report(const trace::Trace& trace);
std::string text_of(const Report& report);
std::string json_of(const Report& report);

}  // namespace reel::report

// SPDX-License-Identifier: Apache-2.0
//
// For tests of recorders: runs `reel record` on a command in a directory of its own, and reads the
// trace as lines of what happened to the files there.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "reel/trace.h"
#include "support/files.h"

namespace reel::trace {

struct Recording {
  test::TempDir dir;  // work/ is where the command runs, log/ the trace
  int exit_code = -1;
  std::string said;  // reel's standard error
  Trace trace;

  std::string work() const { return dir.at("work"); }
  std::string log() const { return dir.at("log"); }
};

// Runs `reel record --via VIA -o LOG OPTIONS -- COMMAND` in work(); loads the trace.
void record_into(Recording& run, const std::string& via, const std::string& command, const std::string& options = "");
// Runs a shell command; its exit code (128 + N by a signal).
int shell(const std::string& command);

// The calls about files in work(), by thread: "write f 0+5=5". Names are relative to work(), those of
// descriptors are what they were opened as.
std::map<uint32_t, std::vector<std::string>> lines_of(const Recording& run);
// All of them, thread after thread.
std::vector<std::string> all_lines(const Recording& run);

}  // namespace reel::trace

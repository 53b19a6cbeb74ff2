// SPDX-License-Identifier: Apache-2.0
//
// One program recorded twice, by strace and by ourselves: after the import, the same calls thread by
// thread.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/env.h"
#include "recorded.h"

namespace reel::trace {
namespace {

using Lines = std::vector<std::vector<std::string>>;

// Threads are compared as a whole: which got which number is not the program's doing.
Lines threads_of(const Recording& run) {
  Lines all;
  for (auto& [thread, lines] : lines_of(run)) all.push_back(lines);
  std::sort(all.begin(), all.end());
  return all;
}

void import_into(Recording& run, const std::string& command) {
  std::filesystem::create_directory(run.work());
  shell("cd " + run.work() + " && strace -f -ttt -T -y -o " + run.dir.at("text") + " " + command + " 2>/dev/null");
  int code = shell(REEL_BINARY " import --format strace " + run.dir.at("text") + " -o " + run.log() + " 2> " +
                   run.dir.at("said"));
  ASSERT_EQ(code, 0);
  Result<Trace> trace = load(Env::posix(), run.log());
  ASSERT_TRUE(trace) << trace.error().text();
  run.trace = *std::move(trace);
}

class Round : public ::testing::TestWithParam<const char*> {};

TEST_P(Round, StraceAndReelSawTheSame) {
  if (shell("strace -o /dev/null true 2>/dev/null") != 0) GTEST_SKIP() << "strace is not installed, or may not trace";
  std::string command = std::string(REEL_PROBE) + " " + GetParam();
  Recording by_strace, by_reel;
  import_into(by_strace, command);
  record_into(by_reel, "ptrace", command);
  Lines theirs = threads_of(by_strace), ours = threads_of(by_reel);
  ASSERT_FALSE(ours.empty());
  EXPECT_EQ(theirs, ours);
  EXPECT_EQ(by_strace.trace.facts["exit"], by_reel.trace.facts["exit"]);
}

INSTANTIATE_TEST_SUITE_P(Programs, Round,
                         ::testing::Values("basic", "dups", "threads", "forks", "vforks", "stdio", "atexit", "maps",
                                           "killed", "quits", "closed", "sockets"));

}  // namespace
}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// What every recorder must see of programs whose calls are known (probe.c). One suite, three
// recorders, and the static probe for those that promise it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "base/env.h"
#include "recorded.h"
#include "trace/costs.h"
#include "trace/recording/recording_files.h"
#include "trace/wire.h"

namespace reel::trace {
namespace {

using Lines = std::vector<std::string>;

struct Recorder {
  const char* via;
  bool is_static;
};

std::string name_of(const ::testing::TestParamInfo<Recorder>& info) {
  return std::string(info.param.via) + (info.param.is_static ? "_static" : "");
}

class Conformance : public ::testing::TestWithParam<Recorder> {
 protected:
  void SetUp() override {
    if (std::string(GetParam().via) == "bpf" && ::geteuid() != 0) GTEST_SKIP() << "the BPF recorder needs root";
  }
  void record(const std::string& scenario) {
    const char* probe = GetParam().is_static ? REEL_PROBE_STATIC : REEL_PROBE;
    record_into(run_, GetParam().via, std::string(probe) + " " + scenario);
    EXPECT_TRUE(run_.trace.losses.empty()) << run_.said;
    EXPECT_TRUE(run_.trace.facts.count("end"));
  }
  const Event* find(Op op) const {
    for (const Event& event : run_.trace.events)
      if (event.op == op) return &event;
    return nullptr;
  }
  Recording run_;
};

TEST_P(Conformance, EveryCallOfOneThread) {
  record("basic");
  EXPECT_EQ(run_.exit_code, 0);
  EXPECT_EQ(
      all_lines(run_),
      (Lines{"open f",         "write f 0+5=5", "pwrite f 100+3=3", "lseek f=0",  "read f 0+4=4", "pread f 100+10=3",
             "writev f 4+5=5", "fsync f=0",     "truncate f 50=0",  "close f=0",  "stat f=0",     "rename f g=0",
             "link g h=0",     "symlink s=0",   "readlink s=1",     "unlink h=0", "mkdir d=0",    "open d",
             "open d/in",      "close d/in=0",  "unlink d/in=0",    "close d=0",  "rmdir d=0",    "unlink s=0",
             "chmod g=0",      "unlink g=0",    "open missing=-2"}));
}

TEST_P(Conformance, CallsByNumberAreCallsLikeOthers) {
  record("numbers");
  EXPECT_EQ(run_.exit_code, 0);
  EXPECT_EQ(all_lines(run_),
            (Lines{"open f", "open t", "write f 0+13=13", "copy_range f=6", "copy_range f=-14", "pread t 0+6=6",
                   "stat t=0", "rename t u=0", "utimens f=0", "close t=0", "close f=0", "unlink t=-2"}));
  const Event* copy = find(Op::copy_range);
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->offset, 7u);
  auto nameless = std::find_if(run_.trace.events.begin(), run_.trace.events.end(),
                               [](const Event& e) { return (e.flags & O_TMPFILE) == O_TMPFILE; });
  EXPECT_NE(nameless, run_.trace.events.end());
}

TEST_P(Conformance, TimesOfAThreadDoNotOverlap) {
  record("basic");
  for (const auto& list : run_.trace.by_thread()) {
    uint64_t last = 0;
    for (uint32_t i : list) {
      const Event& event = run_.trace.events[i];
      EXPECT_GE(event.enter_ns, last) << op_name(event.op) << " at record " << event.index;
      last = event.exit_ns();
    }
  }
}

TEST_P(Conformance, CopiesOfDescriptorsShareTheirPosition) {
  record("dups");
  EXPECT_EQ(all_lines(run_), (Lines{"open f", "dup f", "write f 0+3=3", "dup2 f", "close f=0", "write f 3+3=3", "dup f",
                                    "write f 6+5=5", "close f=0", "close f=0", "close f=0"}));
  // The write to the closed number was made, and failed.
  auto bad = std::find_if(run_.trace.events.begin(), run_.trace.events.end(),
                          [](const Event& e) { return e.op == Op::write && e.result == -9; });
  EXPECT_NE(bad, run_.trace.events.end());
}

TEST_P(Conformance, EveryThreadIsAThread) {
  record("threads");
  int writers = 0;
  for (auto& [thread, lines] : lines_of(run_)) {
    ++writers;
    ASSERT_EQ(lines.size(), 202u) << "of thread " << thread;
    for (size_t i = 0; i < 200; ++i)
      EXPECT_EQ(lines[i + 1].substr(lines[i + 1].find(' ', 8)), " " + std::to_string(i * 10) + "+10=10");
    EXPECT_NE(run_.trace.threads[thread - 1].parent, 0u);
    EXPECT_EQ(run_.trace.threads[thread - 1].process,
              run_.trace.threads[run_.trace.threads[thread - 1].parent - 1].process);
  }
  EXPECT_EQ(writers, 4);
}

TEST_P(Conformance, NumbersThatThreadsGiveEachOtherAreToldApart) {
  record("races");
  auto threads = lines_of(run_);
  ASSERT_EQ(threads.size(), 4u);
  for (auto& [thread, lines] : threads) {
    ASSERT_EQ(lines.size(), 900u) << "of thread " << thread;
    std::string name = lines[0].substr(5);
    for (size_t i = 0; i < 900; i += 3) {
      ASSERT_EQ(lines[i], "open " + name);
      ASSERT_EQ(lines[i + 1], "write " + name + " " + std::to_string(i / 3) + "+1=1");
      ASSERT_EQ(lines[i + 2], "close " + name + "=0");
    }
  }
}

TEST_P(Conformance, AForkedChildSharesItsParentsPositions) {
  record("forks");
  auto lines = lines_of(run_);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines.begin()->second, (Lines{"open f", "write f 5+6=6", "close f=0"}));
  EXPECT_EQ(lines.rbegin()->second, (Lines{"write f 0+5=5"}));
  const Event* fork = find(Op::fork);
  ASSERT_TRUE(fork);
  EXPECT_EQ(fork->arg, lines.rbegin()->first);
  const Event* wait = find(Op::wait);
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->result, fork->result);
  EXPECT_EQ(wait->arg, fork->arg);
  auto child_exit = std::find_if(run_.trace.events.begin(), run_.trace.events.end(),
                                 [&](const Event& e) { return e.op == Op::exit && e.thread == fork->arg; });
  ASSERT_NE(child_exit, run_.trace.events.end());
  EXPECT_EQ(child_exit->arg, 7u);
}

TEST_P(Conformance, WhatIsStartedIsFollowed) {
  record("vforks");
  auto lines = lines_of(run_);
  ASSERT_EQ(lines.size(), 2u) << "one by vfork and exec, one by posix_spawn with an empty environment";
  EXPECT_EQ(lines.begin()->second, (Lines{"open c", "write c 0+1=1", "close c=0"}));
  EXPECT_EQ(lines.rbegin()->second, (Lines{"open c", "write c 1+1=1", "close c=0"}));
  auto execs = std::count_if(run_.trace.events.begin(), run_.trace.events.end(),
                             [](const Event& e) { return e.op == Op::exec && !e.failed(); });
  EXPECT_EQ(execs, 3);
}

// Preload cannot see these calls; it knows them from what posix_spawn was given.
TEST_P(Conformance, WhatPosixSpawnDoesInTheChildIsSeen) {
  record("spawns");
  EXPECT_EQ(run_.exit_code, 0);
  const Event* made = find(Op::vfork);
  if (!made) made = find(Op::fork);
  ASSERT_TRUE(made);
  Lines lines = lines_of(run_)[static_cast<uint32_t>(made->arg)];
  EXPECT_EQ(lines,
            (Lines{"open f", "dup2 f", "close f=0", "dup2 f", "close f=0", "open kept", "dup2 kept", "close kept=0",
                   "chdir d=0", "open d/in", "fcntl kept=1", "fcntl kept=0", "close_range kept=0", "write f 0+5=5"}));
  auto exec = std::find_if(run_.trace.events.begin(), run_.trace.events.end(),
                           [&](const Event& e) { return e.op == Op::exec && e.thread == made->arg; });
  ASSERT_NE(exec, run_.trace.events.end());
  EXPECT_FALSE(exec->failed());
  EXPECT_NE(run_.trace.string(exec->path2).find("writes-7"), std::string::npos);
}

TEST_P(Conformance, PathsThatCannotBeReadFailAsTheyDo) {
  record("wild");
  EXPECT_EQ(run_.exit_code, 0);
  size_t failed = 0;
  for (const Event& event : run_.trace.events) failed += event.result == -EFAULT ? 1 : 0;
  EXPECT_GE(failed, 2u);  // how a spawn failed is told in the parent only by preload
}

TEST_P(Conformance, StdioIsSeenAsTheCallsThatItMakes) {
  record("stdio");
  uint64_t written = 0;
  bool read = false;
  for (const std::string& line : all_lines(run_)) {
    if (line.starts_with("write f ")) {
      EXPECT_TRUE(line.starts_with("write f " + std::to_string(written) + "+")) << line;
      written += std::stoull(line.substr(line.rfind('=') + 1));
    }
    if (line == "read f 0+4096=4096") read = true;
  }
  EXPECT_EQ(written, 5007u);
  EXPECT_TRUE(read);
  EXPECT_EQ(all_lines(run_).front(), "open f");
  EXPECT_EQ(all_lines(run_).back(), "close f=0");
}

TEST_P(Conformance, TheLastFlushAtExitIsSeen) {
  record("atexit");
  EXPECT_EQ(run_.exit_code, 3);
  Lines lines = all_lines(run_);
  EXPECT_NE(std::find(lines.begin(), lines.end(), "write f 0+4=4"), lines.end());
  EXPECT_EQ(run_.trace.events.back().op, Op::exit);
  EXPECT_EQ(run_.trace.events.back().arg, 3u);
}

TEST_P(Conformance, MappingsOfFiles) {
  record("maps");
  Lines lines = all_lines(run_), wanted{"open f",    "truncate f 8192=0",         "mmap f 0+8192",
                                        "close f=0", "msync mapping 4096+4096=0", "munmap mapping=0"};
  std::erase_if(lines, [&](const std::string& line) {  // of libraries, by recorders that see them
    return std::find(wanted.begin(), wanted.end(), line) == wanted.end();
  });
  // A static program's start, or the loader's, unmaps other things.
  while (std::count(lines.begin(), lines.end(), "munmap mapping=0") > 1)
    lines.erase(std::find(lines.begin(), lines.end(), "munmap mapping=0"));
  EXPECT_EQ(lines, wanted);
}

TEST_P(Conformance, NothingIsLostWhenItIsKilled) {
  record("killed");
  EXPECT_EQ(run_.exit_code, 137);
  Lines lines = all_lines(run_);
  ASSERT_EQ(lines.size(), 11u);
  EXPECT_EQ(lines.back(), "write f 9+1=1");
  ASSERT_EQ(run_.trace.events.back().op, Op::exit);
}

TEST_P(Conformance, UnderscoreExitFlushesNothing) {
  record("quits");
  EXPECT_EQ(run_.exit_code, 9);
  for (const std::string& line : all_lines(run_)) EXPECT_FALSE(line.starts_with("write")) << line;
  EXPECT_EQ(run_.trace.events.back().op, Op::exit);
  EXPECT_EQ(run_.trace.events.back().arg, 9u);
}

TEST_P(Conformance, AfterTheRightsWereDropped) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to have rights to drop";
  record("rights");
  EXPECT_EQ(run_.exit_code, 0);
  EXPECT_EQ(all_lines(run_), (Lines{"open f", "write f 0+1=1", "close f=0"}));
}

TEST_P(Conformance, WithEveryDescriptorClosed) {
  record("closed");
  EXPECT_EQ(all_lines(run_), (Lines{"open f", "write f 0+4=4", "close_range f=0"}));
  const Event* all = find(Op::close_range);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->fd.number, 0);
  EXPECT_EQ(all->fd2.number, 10);
}

TEST_P(Conformance, ASignalHandlersCallsAmongTheOthers) {
  record("signals");
  Lines lines = all_lines(run_);
  auto of = [&](const std::string& prefix) {
    return std::count_if(lines.begin(), lines.end(), [&](const std::string& l) { return l.starts_with(prefix); });
  };
  EXPECT_EQ(of("write f "), 3000);
  EXPECT_EQ(of("write h "), static_cast<long>(std::filesystem::file_size(run_.work() + "/h")));
}

TEST_P(Conformance, MoreThanARingHolds) {
  record("many");
  Lines lines = all_lines(run_);
  ASSERT_EQ(lines.size(), 50002u);
  for (size_t i = 0; i < 50000; ++i) ASSERT_EQ(lines[i + 1], "pwrite f " + std::to_string(i * 16) + "+16=16");
}

// Threads that find no processor are ready, also when the recorder's own question is where they lose it.
TEST_P(Conformance, WhoFindsNoProcessorIsReady) {
  record("crowd");
  EXPECT_EQ(run_.exit_code, 0);
  if (std::string(GetParam().via) == "ptrace") return;  // its gaps end in the tracer, which may have to wait, too
  uint64_t off = 0, ready = 0;
  for (const Event& event : run_.trace.events) {
    if (event.op != Op::compute || event.thread == 1 || event.duration_ns < event.arg + 200'000) continue;
    off += event.duration_ns - event.arg;
    ready += event.mode == 1 ? event.arg2 : 0;
  }
  EXPECT_GT(off, 20'000'000u);
  EXPECT_GT(ready, off * 8 / 10) << ready << " of " << off << " ns";
}

// The same in all recorders: the gap's length, and the CPU time that its thread (not its process) had in it.
TEST_P(Conformance, GapsHaveTheirCpuTime) {
  record("gaps");
  std::map<uint64_t, Event> before;  // by the offset of the write behind the gap
  const Event* gap = nullptr;
  for (const Event& event : run_.trace.events) {
    if (event.op == Op::pwrite && gap && gap->thread == event.thread) before[event.offset] = *gap;
    gap = event.op == Op::compute ? &event : nullptr;
  }
  constexpr uint64_t kMs = 1'000'000;
  ASSERT_TRUE(before.count(1) && before.count(2) && before.count(3));
  EXPECT_GE(before[1].arg, 29 * kMs);
  EXPECT_GE(before[1].duration_ns, before[1].arg);
  EXPECT_LE(before[2].arg, 10 * kMs);
  EXPECT_GE(before[2].duration_ns, 40 * kMs);
  EXPECT_GE(before[3].arg, 19 * kMs);
  EXPECT_LE(before[3].arg + 15 * kMs, before[3].duration_ns);  // a hypervisor's doing may count as computing
  EXPECT_GE(before[3].duration_ns, 40 * kMs);
  // Two threads that computed on one processor: each was ready while the other did. A sleep is not that.
  ASSERT_TRUE(before.count(5));
  EXPECT_EQ(before[5].mode, 1u);
  EXPECT_GE(before[5].arg2, 15 * kMs);
  // (ptrace: the gap is as its tracer sees it, who may have to wait for a processor, too.)
  if (std::string(GetParam().via) != "ptrace") {
    EXPECT_GE(before[5].arg2 + before[5].arg + 5 * kMs, before[5].duration_ns);
  }
  EXPECT_LE(before[2].arg + before[2].arg2 + 35 * kMs, before[2].duration_ns);
  // A long call behind a sleep is none of it.
  ASSERT_TRUE(before.count(6));
  EXPECT_LE(before[6].arg, 12 * kMs);
  EXPECT_EQ(before[2].mode, std::string(GetParam().via) == "preload" ? 0u : 1u);
}

// preload sees who waits by giving way, and what was computed before and behind.
TEST_P(Conformance, SpinningIsToldFromComputing) {
  record("yields");
  struct Between {  // CPU time
    uint64_t spun = 0, computed_before = 0, computed = 0;
  };
  std::map<uint64_t, Between> before;  // by the offset of the write behind them
  Between now;
  uint64_t writer = find(Op::pwrite)->thread;
  for (const Event& event : run_.trace.events) {
    if (event.thread != writer) continue;
    if (event.op == Op::compute && event.flags == kGaveWay) {
      now.spun += event.arg;
      now.computed_before += std::exchange(now.computed, 0);
    } else if (event.op == Op::compute) {
      now.computed += event.arg;
    } else {
      if (event.op == Op::pwrite) before[event.offset] = now;
      now = {};
    }
  }
  constexpr uint64_t kMs = 1'000'000;
  if (std::string(GetParam().via) != "preload") {
    EXPECT_EQ(before[1].spun + before[2].spun, 0u);
    return;
  }
  EXPECT_GT(before[1].spun, 0u);  // a hypervisor that takes the processor away makes it look like computing, too
  EXPECT_GE(before[1].computed_before, 5 * kMs - kMs / 2);
  EXPECT_GE(before[1].computed, 20 * kMs - kMs / 2);
  EXPECT_LE(before[1].computed, 30 * kMs);
  EXPECT_LE(before[2].spun, 2 * kMs);
  EXPECT_GE(before[2].computed + before[2].computed_before, 18 * kMs);
}

TEST_P(Conformance, TwoKindsOfLocks) {
  record("locks");
  Lines locks;
  for (const Event& e : run_.trace.events)
    if (e.op == Op::flock || e.op == Op::range_lock)
      locks.push_back(std::string(op_name(e.op)) + " " + std::to_string(e.arg) + " " + std::to_string(e.mode) + " " +
                      std::to_string(e.flags) + " " + std::to_string(e.offset) + "+" + std::to_string(e.length));
  std::string set = std::to_string(F_SETLK), wait = std::to_string(F_SETLKW);
  EXPECT_EQ(locks, (Lines{"flock 2 0 0 0+0", "flock 8 0 0 0+0", "range_lock " + set + " 1 1 5+7",
                          "range_lock " + wait + " 2 1 5+7", "range_lock " + wait + " 1 1 0+3"}));
}

TEST_P(Conformance, VectorsHaveTheLengthOfAllTheirParts) {
  record("vectors");
  EXPECT_EQ(all_lines(run_), (Lines{"open f", "pwritev f 9+220=220", "writev f 0+83=83", "close f=0"}));
}

TEST_P(Conformance, SocketsThatGetANameAreFiles) {
  record("sockets");
  EXPECT_EQ(all_lines(run_), (Lines{"bind s=0", "bind s=-98", "bind " + std::string(108, 'n') + "=0", "bind na=0",
                                    "chmod s=0", "unlink s=0"}));
  const Event* bind = find(Op::bind);
  ASSERT_TRUE(bind);
  EXPECT_EQ(bind->fd.number, kAtCwd);
  EXPECT_EQ(bind->relative, 1u);
  EXPECT_EQ(bind->mode, 0777u);
  const Event* socket = find(Op::socket);
  ASSERT_TRUE(socket);
  EXPECT_EQ(bind->fd2, socket->fd2);
  for (const FileState& state : run_.trace.files) {
    EXPECT_TRUE(run_.trace.string(state.path) != run_.work() + "/s" || state.kind == FileKind::absent);
  }
}

TEST_P(Conformance, RequestsOfAioAreCalls) {
  record("aio");
  if (run_.exit_code == 77) GTEST_SKIP() << "no aio here";
  EXPECT_EQ(run_.exit_code, 0);
  Lines lines = all_lines(run_);
  EXPECT_EQ(lines,
            (Lines{"open f", "aio_write f 100+10=10", "aio_write f 200+7=7", "aio_read f 100+16=16", "close f=0"}));
  uint64_t context = 0;
  for (const Event& event : run_.trace.events) {
    if (event.op == Op::io_setup) {
      EXPECT_EQ(event.arg, 8u);
    }
    if (event.op == Op::io_submit) context = event.arg;
    if (event.op != Op::aio_write && event.op != Op::aio_read) continue;
    EXPECT_EQ(event.arg, context);
    EXPECT_EQ(event.arg2, event.op == Op::aio_read ? 3u : event.offset / 100);
    EXPECT_FALSE(event.object.is_zero());
  }
  EXPECT_EQ(run_.trace.facts["blind"].find("aio"), std::string::npos);
}

TEST_P(Conformance, AProgramByItsBareNameIsTheOneAlongPath) {
  record("searches");
  EXPECT_EQ(run_.exit_code, 0);
  std::string last;
  for (const Event& event : run_.trace.events)
    if (event.op == Op::exec && !event.failed()) last = run_.trace.string(event.path);
  EXPECT_TRUE(last.ends_with("/true")) << last;
  for (const FileState& state : run_.trace.files) {
    const std::string& path = run_.trace.string(state.path);
    EXPECT_FALSE(path.starts_with(run_.work() + "/")) << path << " was never used";
  }
}

// What the recorder costs is measured, and the calls that measure it are not in the trace.
TEST_P(Conformance, TheRecorderKnowsItsOwnCost) {
  record("basic");
  ASSERT_TRUE(run_.trace.facts.count("cost_ns"));
  uint64_t cost = std::stoull(run_.trace.facts["cost_ns"]);
  EXPECT_GT(cost, 0u);
  EXPECT_LT(cost, 2'000'000u);
  for (const Event& event : run_.trace.events) EXPECT_NE(event.fd.number, wire::kCalibrationFd);
  Costs costs(run_.trace.facts);
  EXPECT_EQ(costs.between(Op::lseek, Op::lseek), cost);
  EXPECT_GE(costs.between(Op::open, Op::lseek), cost);
}

TEST_P(Conformance, TheInitialStateIsWhatWasThere) {
  record("basic");
  std::map<std::string, FileKind> kinds;
  for (const FileState& state : run_.trace.files) {
    const std::string& path = run_.trace.string(state.path);
    if (path.starts_with(run_.work() + "/")) kinds[path.substr(run_.work().size() + 1)] = state.kind;
  }
  for (const char* name : {"f", "g", "h", "s", "d", "missing"}) {
    ASSERT_TRUE(kinds.count(name)) << name;
    EXPECT_EQ(kinds[name], FileKind::absent) << name;
  }
  EXPECT_EQ(kinds.count("d/in"), 0u) << "what lies in a directory that the program made was not there";
}

INSTANTIATE_TEST_SUITE_P(Recorders, Conformance,
                         ::testing::Values(Recorder{"preload", false}, Recorder{"ptrace", false},
                                           Recorder{"ptrace", true}, Recorder{"bpf", false}, Recorder{"bpf", true}),
                         name_of);

// What a recorder cannot see it must say.
TEST(Blind, IoUring) {
  for (const std::string via : {"preload", "ptrace", "bpf"}) {
    if (via == "bpf" && ::geteuid() != 0) continue;
    Recording run;
    record_into(run, via, REEL_PROBE " uring");
    if (run.exit_code == 77) GTEST_SKIP() << "no io_uring here";
    EXPECT_EQ(run.exit_code, 0) << via;
    EXPECT_EQ(std::count_if(run.trace.events.begin(), run.trace.events.end(),
                            [](const Event& e) { return e.op == Op::uring_setup && e.fd2.number > 2; }),
              1)
        << via;
    std::vector<const Event*> requests;
    for (const Event& event : run.trace.events)
      if (event.op == Op::uring_write || event.op == Op::uring_read) requests.push_back(&event);
    if (via == "bpf") {
      ASSERT_EQ(requests.size(), 2u);
      for (const Event* request : requests) {
        EXPECT_EQ(request->offset, 100u);
        EXPECT_EQ(request->length, 10u);
        EXPECT_EQ(request->result, 10);
        EXPECT_EQ(request->object.seq, requests[0]->object.seq);
        EXPECT_FALSE(request->object.is_zero());
      }
      EXPECT_EQ(requests[0]->op, Op::uring_write);
      EXPECT_EQ(requests[1]->arg2, 8u);
      EXPECT_EQ(run.trace.facts["blind"].find("io_uring"), std::string::npos);
    } else {
      EXPECT_TRUE(requests.empty());
      EXPECT_NE(run.trace.facts["blind"].find("io_uring"), std::string::npos) << via;
      if (via == "preload") {
        ASSERT_EQ(run.trace.losses.size(), 1u);
        EXPECT_NE(run.trace.losses[0].reason.find("io_uring"), std::string::npos);
      }
    }
  }
}

TEST(Blind, APreloadRecordingOfAStaticProgramSaysSo) {
  Recording run;
  record_into(run, "preload", REEL_PROBE_STATIC " basic");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_TRUE(all_lines(run).empty());
  ASSERT_FALSE(run.trace.losses.empty());
  EXPECT_NE(run.trace.losses[0].reason.find("does not load the recorder"), std::string::npos);
}

TEST(Blind, AStaticChildOfARecordedProgramIsALoss) {
  Recording run;
  record_into(run, "preload", "sh -c '" REEL_PROBE_STATIC " basic; true'");
  ASSERT_EQ(run.trace.losses.size(), 1u);
  EXPECT_NE(run.trace.losses[0].reason.find("does not load the recorder"), std::string::npos);
}

TEST(Blind, RoomThatIsNotThereIsCounted) {
  Recording run;
  record_into(run, "preload", REEL_PROBE " many", "--ring-limit 100000");
  EXPECT_EQ(run.exit_code, 0);
  auto seen = static_cast<uint64_t>(std::count_if(run.trace.events.begin(), run.trace.events.end(),
                                                  [](const Event& e) { return e.op == Op::pwrite; }));
  uint64_t lost = std::accumulate(run.trace.losses.begin(), run.trace.losses.end(), uint64_t{0},
                                  [](uint64_t sum, const Loss& loss) { return sum + loss.events; });
  EXPECT_GT(lost, 0u);
  EXPECT_LE(seen + lost, 50000u + 20);
  EXPECT_GE(seen + lost, 50000u);
}

TEST(Record, AnEndOfReelItselfLeavesRingsThatCanBeRecovered) {
  Recording run;
  std::filesystem::create_directory(run.work());
  // reel is killed while the program runs, and then the program.
  std::string script =
      "cd " + run.work() + " && { " REEL_BINARY " record -q --via preload -o " + run.log() +
      " -- sh -c 'echo one > a; echo $$ > pid; kill -9 $PPID; echo two > b; kill -9 $$' ; true; } 2>/dev/null";
  shell(script);
  EXPECT_EQ(shell(REEL_BINARY " record --recover -o " + run.log() + " 2>/dev/null"), 0);
  Result<Trace> trace = load(Env::posix(), run.log());
  ASSERT_TRUE(trace) << trace.error().text();
  run.trace = *std::move(trace);
  Lines lines = all_lines(run);
  EXPECT_NE(std::find(lines.begin(), lines.end(), "write a 0+4=4"), lines.end());
  EXPECT_NE(std::find(lines.begin(), lines.end(), "write b 0+4=4"), lines.end());
  EXPECT_FALSE(run.trace.incomplete().empty());
  EXPECT_EQ(shell(REEL_BINARY " record --recover -o " + run.log() + " 2>/dev/null"), 11) << "nothing is left";
}

// reel is killed and nobody reaps it, as below a container's first process that does not: it records no more. Neither
// does a process that has got its number since.
TEST(Record, AZombieAndAStrangerWithTheNumberDoNotHoldUpARecovery) {
  Recording run;
  std::filesystem::create_directory(run.work());
  pid_t reel = ::fork();
  ASSERT_GE(reel, 0);
  if (reel == 0) {
    ::execl(REEL_BINARY, "reel", "record", "-q", "--via", "preload", "-o", run.log().c_str(), "--", "sh", "-c",
            "echo one > /dev/null; kill -9 $PPID; kill -9 $$", static_cast<char*>(nullptr));
    ::_exit(127);
  }
  siginfo_t ended;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(reel), &ended, WEXITED | WNOWAIT), 0);  // not reaped
  std::string recover = REEL_BINARY " record --recover -o " + run.log() + " 2>/dev/null";
  Env& env = Env::posix();
  Result<Note> note = read_note(env, run.log());
  ASSERT_TRUE(note) << note.error().text();
  EXPECT_EQ(note->pid, reel);
  EXPECT_NE(note->started, 0u);
  Note other = *note;
  other.pid = ::getpid();
  other.started = process_stat(::getpid()).value_or(ProcessStat{}).started;
  ASSERT_TRUE(write_note(env, run.log(), other));
  EXPECT_EQ(shell(recover), 43) << "this one is alive";
  --other.started;
  EXPECT_FALSE(goes_on(other)) << "another process with that number";
  ASSERT_TRUE(write_note(env, run.log(), *note));
  EXPECT_EQ(shell(recover), 0);
  ::waitpid(reel, nullptr, 0);
}

// What reel had written before it was killed is still in the rings: it must not be taken twice.
TEST(Record, WhatIsRecoveredIsThereOnce) {
  Recording run;
  std::filesystem::create_directory(run.work());
  std::string script = "cd " + run.work() + " && { " REEL_BINARY " record -q --via preload -o " + run.log() +
                       " -- sh -c 'for i in 1 2 3 4 5 6 7 8; do echo $i > f$i; done; sleep 0.5; kill -9 $PPID; echo x "
                       "> g; kill -9 $$' ; "
                       "true; } 2>/dev/null";
  shell(script);
  Result<Trace> before = load(Env::posix(), run.log());
  ASSERT_TRUE(before) << before.error().text();
  EXPECT_GT(before->events.size(), 8u) << "half a second later it was in the log";
  EXPECT_EQ(shell(REEL_BINARY " record --recover -o " + run.log() + " 2>/dev/null"), 0);
  Result<Trace> trace = load(Env::posix(), run.log());
  ASSERT_TRUE(trace) << trace.error().text();
  run.trace = *std::move(trace);
  Lines lines = all_lines(run);
  for (const char* name : {"f1", "f8", "g"})
    EXPECT_EQ(std::count(lines.begin(), lines.end(), "write " + std::string(name) + " 0+2=2"), 1) << name;
}

TEST(Record, FiltersLeaveOutWhatIsNotWanted) {
  Recording run;
  record_into(run, "preload", REEL_PROBE " basic", "--path '*/work/f' --mask READ,WRITE");
  EXPECT_EQ(all_lines(run).size(), 0u) << "without the opens the names of descriptors are not known";
  Lines ops;
  for (const Event& event : run.trace.events)
    if (type_of(event.op) != RecordType::compute) ops.push_back(op_name(event.op));
  EXPECT_EQ(ops, (Lines{"exec", "write", "pwrite", "read", "pread", "writev", "exit"}));
  EXPECT_EQ(run.trace.facts["filter"], "--path=*/work/f --mask=READ,WRITE");
}

TEST(Record, ExitCodesAndErrorsAreTheCommands) {
  test::TempDir dir;
  auto code = [&](const std::string& options) {
    static int number = 0;
    return shell(REEL_BINARY " record -q -o " + dir.at("l" + std::to_string(number++)) + " " + options +
                 " 2>/dev/null");
  };
  for (const std::string via : {"preload", "ptrace"}) {
    EXPECT_EQ(code("--via " + via + " -- sh -c 'exit 41'"), 41);
    EXPECT_EQ(code("--via " + via + " -- sh -c 'kill -TERM $$'"), 143);
    EXPECT_EQ(code("--via " + via + " -- /nowhere/at/all"), 11);
  }
  EXPECT_EQ(code(""), 1) << "no command";
}

}  // namespace
}  // namespace reel::trace

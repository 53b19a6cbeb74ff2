// SPDX-License-Identifier: Apache-2.0
//
// What is left out by wish: filters, counters, samples. Sums must be those of the whole recording.
#include <gtest/gtest.h>
#include <unistd.h>

#include "recorded.h"
#include "report/report.h"
#include "trace/filter.h"

namespace reel::trace {
namespace {

struct Sum {
  uint64_t calls = 0, failed = 0, bytes = 0;
  std::map<uint64_t, uint64_t> sizes;
  friend bool operator==(const Sum&, const Sum&) = default;
};
std::ostream& operator<<(std::ostream& out, const Sum& sum) {
  out << sum.calls << " calls, " << sum.failed << " failed, " << sum.bytes << " bytes";
  for (auto [size, calls] : sum.sizes) out << ' ' << size << ':' << calls;
  return out;
}

// By operation and file below work(). Descriptors count as what they were opened as.
std::map<std::string, Sum> sums(const Recording& run) {
  std::map<std::string, Sum> all;
  std::map<std::pair<int32_t, uint32_t>, std::string> opened;  // one process, or threads of one
  auto inside = [&](const std::string& path) { return path.starts_with(run.work() + "/"); };
  for (uint32_t i : run.trace.by_entry()) {
    const Event& event = run.trace.events[i];
    std::string path = run.trace.string(event.path);
    if (event.op == Op::open && !event.failed()) opened[{event.fd2.number, event.fd2.generation}] = path;
    if (event.path == 0 && event.fd.number >= 0) path = opened[{event.fd.number, event.fd.generation}];
    if (!inside(path)) continue;
    Sum& sum = all[std::string(op_name(event.op)) + " " + path];
    ++sum.calls;
    if (event.failed()) ++sum.failed;
    if (!moves_data(event.op) || event.result <= 0) continue;
    sum.bytes += static_cast<uint64_t>(event.result);
    ++sum.sizes[size_class(static_cast<uint64_t>(event.result))];
  }
  for (const Count& count : run.trace.counts) {
    if (!inside(run.trace.string(count.path))) continue;
    Sum& sum = all[std::string(op_name(count.op)) + " " + run.trace.string(count.path)];
    sum.calls += count.calls;
    sum.failed += count.failed;
    sum.bytes += count.bytes;
    for (auto [size, calls] : count.sizes) sum.sizes[size] += calls;
  }
  return all;
}

void again(Recording& run, const std::string& via, const std::string& scenario, const std::string& options) {
  std::filesystem::remove_all(run.log());
  std::filesystem::remove_all(run.work());
  record_into(run, via, std::string(REEL_PROBE) + " " + scenario, options);
  ASSERT_EQ(run.exit_code, 0) << run.said;
}

class Counted : public ::testing::TestWithParam<const char*> {};

TEST_P(Counted, CountersHaveTheSumsOfTheCalls) {
  for (const char* scenario : {"basic", "threads"}) {
    Recording run;
    again(run, GetParam(), scenario, "");
    std::map<std::string, Sum> whole = sums(run);
    ASSERT_FALSE(whole.empty());
    again(run, GetParam(), scenario, "--counters");
    EXPECT_TRUE(run.trace.events.empty());
    EXPECT_TRUE(run.trace.files.empty());
    EXPECT_EQ(sums(run), whole);
    EXPECT_EQ(run.trace.facts["counters"], "only");
    report::Report report = report::make_report(run.trace);
    EXPECT_EQ(report.calls, report.counted);
    EXPECT_GT(report.elapsed_ns, 0u);
    EXPECT_EQ(shell(REEL_BINARY " replay " + run.log() + " --into " + run.dir.at("into") + " 2> /dev/null"), 1)
        << "there is nothing to replay, which is said";
  }
}

TEST_P(Counted, ASampleAndWhatItLeftOutAreTheWhole) {
  Recording run;
  again(run, GetParam(), "threads", "");
  std::map<std::string, Sum> whole = sums(run);
  again(run, GetParam(), "threads", "--sample 7");
  EXPECT_EQ(sums(run), whole);
  size_t writes = 0, opens = 0;
  for (const Event& event : run.trace.events) {
    writes += event.op == Op::pwrite ? 1 : 0;
    opens += event.op == Op::open && run.trace.string(event.path).starts_with(run.work() + "/t") ? 1 : 0;
  }
  EXPECT_EQ(writes, 4u * 29) << "of 200 the first and each seventh, of each thread";
  EXPECT_EQ(opens, 4u);
  report::Report report = report::make_report(run.trace);
  EXPECT_EQ(report.operations["pwrite"].calls, 800u);
  EXPECT_EQ(report.operations["pwrite"].bytes, 8000u);
  EXPECT_NE(report::text_of(report).find("sample: one in 7"), std::string::npos);
  EXPECT_NE(report::json_of(report).find("\"sample\":7"), std::string::npos);
  bool said = false;
  for (const std::string& reason : report.incomplete) said = said || reason.find("--sample") != std::string::npos;
  EXPECT_TRUE(said);
}

INSTANTIATE_TEST_SUITE_P(Recorders, Counted, ::testing::Values("preload", "ptrace"));

std::set<std::string> ops_on_files(const Recording& run) {
  std::set<std::string> ops;
  for (const auto& [name, sum] : sums(run)) ops.insert(name.substr(0, name.find(' ')) + name.substr(name.rfind('/')));
  return ops;
}

class Filtered : public ::testing::TestWithParam<const char*> {
 protected:
  std::set<std::string> with(const std::string& options, const std::string& scenario = "threads") {
    again(run_, GetParam(), scenario, options);
    return ops_on_files(run_);
  }
  Recording run_;
};
using Ops = std::set<std::string>;

TEST_P(Filtered, ByPath) {
  EXPECT_EQ(with("--path '*/work/t1' --path '*/t2'"),
            (Ops{"open/t1", "pwrite/t1", "close/t1", "open/t2", "pwrite/t2", "close/t2"}));
  EXPECT_EQ(with("--not-path '*/t[123]'"), (Ops{"open/t0", "pwrite/t0", "close/t0"}));
  EXPECT_EQ(with("--path '*/t*' --not-path '*/t[123]'"), (Ops{"open/t0", "pwrite/t0", "close/t0"}));
  EXPECT_NE(run_.trace.facts["filter"].find("--not-path=*/t[123]"), std::string::npos);
}

TEST_P(Filtered, ByOperation) {
  EXPECT_EQ(with("--mask OPEN,TRUNC", "basic"), (Ops{"open/f", "open/d", "open/in", "open/missing", "truncate/f"}));
}

TEST_P(Filtered, BySize) {
  Ops large = with("--min-size 6 --mask READ,WRITE,OPEN", "basic");
  EXPECT_EQ(large.count("pread/f"), 1u) << "ten bytes were asked for";
  EXPECT_EQ(large.count("write/f"), 0u);
}

TEST_P(Filtered, ByProgram) {
  EXPECT_TRUE(with("--program 'other*'").empty());
  EXPECT_EQ(with("--program 'trace_pr*'").size(), 12u);
}

TEST_P(Filtered, ByUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  EXPECT_EQ(with("--user 65534", "rights"), (Ops{"open/f", "write/f", "close/f"}));
  EXPECT_TRUE(with("--user 12345", "rights").empty());
}

TEST(Filter, WhatLetsThreadsGoOnInMemoryIsKeptWhateverIsWanted) {
  Filter filter;
  filter.types = mask_bit(RecordType::write);
  Event event;
  for (Op op : {Op::futex_wake, Op::futex_wait, Op::mutex_lock, Op::mutex_unlock, Op::sem_wait, Op::sem_post,
                Op::barrier_wait, Op::compute}) {
    event.op = op;
    EXPECT_TRUE(filter.wants(event, Thread{}, "", "")) << op_name(op);
  }
  for (Op op : {Op::mpi_collective, Op::read}) {
    event.op = op;
    EXPECT_FALSE(filter.wants(event, Thread{}, "", "")) << op_name(op);
  }
}

INSTANTIATE_TEST_SUITE_P(Recorders, Filtered, ::testing::Values("preload", "ptrace"));

}  // namespace
}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// The figures of a trace, and its form in other tools' formats.
#include "report/report.h"

#include <gtest/gtest.h>

#include "report/export.h"
#include "support/files.h"
#include "synthetic.h"

namespace reel::report {
namespace {

using trace::Descriptor;
using trace::Event;
using trace::Op;
using trace::Synthetic;

// A file written in order and read back at random, one read by strides, and a failure.
trace::Trace example(const test::TempDir& dir) {
  {
    Synthetic made(dir.at("t"));
    uint32_t thread = made.process();
    Descriptor fd = made.open(thread, "/a b", 0102, 0644, 3);
    for (uint64_t i = 0; i < 20; ++i) made.on_fd(thread, Op::write, fd, i * 512, 512, 512);
    for (uint64_t i = 0; i < 20; ++i) made.on_fd(thread, Op::pread, fd, (i * 7 % 20) * 512, 512, 512);
    Descriptor other = made.open(thread, "/b", 0, 0, 4);
    for (uint64_t i = 0; i < 20; ++i) made.on_fd(thread, Op::pread, other, i * 8192, 4096, 4096);
    uint32_t child = made.process(thread);
    made.on_fd(child, Op::pread, other, 0, 100, 100);  // what was open is its parent's
    made.on_path(child, Op::unlink, "/missing", -2);
    made.finish();
  }
  return *trace::load(Env::posix(), dir.at("t"));
}

std::string exported(const trace::Trace& trace, Format format) {
  std::string all;
  EXPECT_TRUE(write_as(trace, format, [&](const std::string& text) {
    all += text;
    return ok();
  }));
  return all;
}

TEST(Report, CountsByOperationAndFile) {
  test::TempDir dir;
  Report report = make_report(example(dir));
  EXPECT_EQ(report.calls, 64u);
  ASSERT_EQ(report.processes.size(), 2u);
  EXPECT_EQ(report.processes[0].calls + report.processes[1].calls, 64u);
  EXPECT_EQ(report.processes[0].pid, 1001);
  EXPECT_EQ(report.operations["write"].bytes, 20u * 512);
  EXPECT_EQ(report.operations["pread"].calls, 41u);
  EXPECT_EQ(report.operations["unlink"].failed, 1u);
  ASSERT_EQ(report.files.size(), 2u);
  EXPECT_EQ(report.files[0].name, "/b");
  EXPECT_EQ(report.files[0].bytes_read, 20u * 4096 + 100) << "the child's read, too";
  EXPECT_STREQ(report.files[0].pattern(), "strided");
  EXPECT_EQ(report.files[1].name, "/a b");
  EXPECT_EQ(report.files[1].reread, 20u * 512);
  EXPECT_EQ(report.small_calls, 41u);
  uint64_t moved = 0;
  for (const Slice& slice : report.slices) moved += slice.bytes_read + slice.bytes_written;
  EXPECT_EQ(moved, 40u * 512 + 20 * 4096 + 100);
  EXPECT_NE(text_of(report).find("/a b"), std::string::npos);
  EXPECT_NE(json_of(report).find("\"pattern\":\"strided\""), std::string::npos);
}

// As much in each gap as was measured, never more than the gap.
TEST(Report, TheRecordersOwnShareIsShown) {
  test::TempDir dir;
  trace::Trace trace = example(dir);
  EXPECT_EQ(make_report(trace).cost_ns, 0u) << "not measured";
  EXPECT_EQ(text_of(make_report(trace)).find("the recorder itself"), std::string::npos);
  trace.facts["cost_ns"] = "1";
  trace.facts["cost_ns.after.write"] = "3";
  Report report = make_report(trace);
  EXPECT_EQ(report.cost_ns, 62u + 20 * 2) << "of 64 calls of two threads; 20 of the gaps are behind writes";
  EXPECT_EQ(report.cost_of_one_ns, 61u + 20 * 2);
  EXPECT_NE(text_of(report).find("the recorder itself"), std::string::npos);
  EXPECT_NE(json_of(report).find("\"recorder_ns\":102,\"recorder_of_one_thread_ns\":101"), std::string::npos);
  trace.facts["cost_ns"] = "1000000000000000";
  report = make_report(trace);
  EXPECT_GT(report.cost_ns, 102u);
  EXPECT_LE(report.cost_of_one_ns, report.elapsed_ns);
}

TEST(Report, SequentialIsSequential) {
  test::TempDir dir;
  {
    Synthetic made(dir.at("t"));
    uint32_t thread = made.process();
    Descriptor fd = made.open(thread, "/s", 0, 0, 3);
    for (uint64_t i = 0; i < 20; ++i) made.on_fd(thread, Op::read, fd, i * 10, 10, 10);
    made.finish();
  }
  EXPECT_STREQ(make_report(*trace::load(Env::posix(), dir.at("t"))).files[0].pattern(), "sequential");
}

TEST(Export, Strace) {
  test::TempDir dir;
  std::string text = exported(example(dir), Format::strace);
  EXPECT_TRUE(
      text.starts_with("1001 1700000000.000001 openat(AT_FDCWD, \"/a b\", O_RDWR|O_CREAT, 0644) = 3 <0.000001>\n"))
      << text.substr(0, 200);
  EXPECT_NE(text.find("unlink(AT_FDCWD, \"/missing\") = -1 ENOENT (No such file or directory)"), std::string::npos);
}

TEST(Export, Fio) {
  test::TempDir dir;
  std::string text = exported(example(dir), Format::fio);
  EXPECT_TRUE(text.starts_with("fio version 3 iolog\n84 /b add\n84 /b open\n84 /b read 0 4096\n86 /b read 8192 4096\n"))
      << text;
  EXPECT_TRUE(text.ends_with("/b close\n"));
  EXPECT_EQ(text.find("/a b"), std::string::npos) << "fio cannot read a name with a blank";
}

TEST(Export, CsvAndChromeHaveEveryCall) {
  test::TempDir dir;
  trace::Trace trace = example(dir);
  std::string csv = exported(trace, Format::csv);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 65);
  std::string chrome = exported(trace, Format::chrome);
  size_t calls = 0;
  for (size_t at = chrome.find("\"ph\":\"X\""); at != std::string::npos; at = chrome.find("\"ph\":\"X\"", at + 1))
    ++calls;
  EXPECT_EQ(calls, 64u);
  EXPECT_TRUE(chrome.ends_with("}\n]}\n"));
}

}  // namespace
}  // namespace reel::report

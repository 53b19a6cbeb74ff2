// SPDX-License-Identifier: Apache-2.0
//
// Text back into records: what `lfs changelog` printed of every recording is read and prints the same
// again; what is ambiguous is told with its line, never guessed; no input makes the readers stumble.
#include "log/text/text_in.h"

#include <gtest/gtest.h>

#include <set>

#include "base/json.h"
#include "log/text/lustre_wire.h"
#include "log/text/text.h"
#include "log_testing.h"
#include "recordings.h"

namespace reel::log {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> problems_of(RecordFormat format, std::string_view bytes) {
  std::vector<std::string> problems;
  must(each_record(
      format, bytes, [](const Record&) { return ok(); }, problems));
  return problems;
}

// What the bytes say, printed again in the same format.
std::string again(RecordFormat format, std::string_view bytes, std::vector<std::string>& problems) {
  std::string out;
  must(each_record(
      format, bytes,
      [&](const Record& record) -> Status {
        if (format == RecordFormat::lustre) return encode_lustre(record, out);
        if (format == RecordFormat::lfs)
          append_lfs_line(record, out);
        else
          append_json_line(record, out);
        return ok();
      },
      problems));
  return out;
}

TEST(TextIn, WhatLfsPrintedOfEveryRecordingReadsBack) {
  size_t read = 0, split = 0;
  for (const fs::path& root : recordings::roots()) {
    for (const fs::path& path : recordings::files_under(root, ".nidbe.raw")) {
      std::string raw = recordings::slurp(path);
      SCOPED_TRACE(path.string());
      std::vector<std::string> problems;
      std::set<std::string> continued, of_split;  // "line 7": second and later, and all, of a split record
      std::string text;
      size_t line = 1;
      must(each_record(
          RecordFormat::lustre, raw,
          [&](const Record& record) {
            std::string one;
            append_lfs_line(record, one);
            size_t lines = static_cast<size_t>(std::count(one.begin(), one.end(), '\n'));
            for (size_t i = 1; i < lines; ++i) continued.insert("line " + std::to_string(line + i));
            for (size_t i = 0; i < lines && lines > 1; ++i) of_split.insert("line " + std::to_string(line + i));
            line += lines;
            text += one;
            return ok();
          },
          problems));
      ASSERT_EQ(problems.size(), 0u);
      std::string back = again(RecordFormat::lfs, text, problems);
      for (const std::string& problem : problems) {
        std::string where = problem.substr(0, problem.find(':'));
        EXPECT_EQ(of_split.count(where), 1u) << problem;
        continued.erase(where);
      }
      EXPECT_TRUE(continued.empty()) << *continued.begin();
      ASSERT_TRUE(!of_split.empty() || back == text);
      ++(of_split.empty() ? read : split);
    }
  }
  std::printf("%zu recordings read back, %zu with names that split their line\n", read, split);
  EXPECT_GE(read, 1u);
}

TEST(TextIn, EveryRecordingGoesThroughJson) {
  for (const fs::path& root : recordings::roots()) {
    for (const fs::path& path : recordings::files_under(root, ".raw")) {
      SCOPED_TRACE(path.string());
      std::string json, lines_before, lines_after;
      std::vector<std::string> problems;
      must(each_record(
          RecordFormat::lustre, recordings::slurp(path),
          [&](const Record& record) {
            append_json_line(record, json);
            append_lfs_line(record, lines_before);
            return ok();
          },
          problems));
      must(each_record(
          RecordFormat::json, json,
          [&](const Record& record) {
            append_lfs_line(record, lines_after);
            return ok();
          },
          problems));
      ASSERT_EQ(problems, std::vector<std::string>());
      ASSERT_EQ(lines_after, lines_before);
      ASSERT_EQ(again(RecordFormat::json, json, problems), json);
    }
  }
}

constexpr const char* kHead = "7 01CREAT 10:28:46.968438800 2026.08.22 0x0 t=[0x200000401:0x3:0x0]";
constexpr const char* kRename =
    "8 08RENME 10:29:01.000000001 2026.08.22 0x1 t=[0x200000401:0x9:0x0] j=mv.0 ef=0x13 u=0:0 nid=0@lo p=[0x2:0x2:0x0]";

TEST(TextIn, FieldsOfALine) {
  TextFields fields;
  Record record;
  must(parse_lfs_line(std::string(kHead) + " j=my prog.0 ef=0x13 u=5:6 nid=10.0.0.1@tcp1 p=[0x2:0x2:0x0]  a name ",
                      fields, record));
  EXPECT_EQ(record.index, 7u);
  EXPECT_EQ(record.type, RecordType::creat);
  EXPECT_EQ(record.target, (Fid{0x200000401, 3, 0}));
  EXPECT_EQ(record.parent, (Fid{2, 2, 0}));
  EXPECT_EQ(record.name, " a name ");
  EXPECT_EQ(text_of_field(record.jobid_field), "my prog.0");
  EXPECT_EQ(record.uid, 5u);
  EXPECT_EQ(record.gid, 6u);
  EXPECT_EQ(record.flags, kFlagVersion | kFlagJobid | kFlagExtra);
  must(parse_lfs_line(std::string(kRename) + " new name s=[0x2:0x7:0x0] sp=[0x2:0x3:0x0] old name", fields, record));
  EXPECT_EQ(record.name, "new name");
  EXPECT_EQ(record.source_name, "old name");
  EXPECT_EQ(record.source, (Fid{2, 7, 0}));
  EXPECT_EQ(record.source_parent, (Fid{2, 3, 0}));
  EXPECT_TRUE(record.flags & kFlagRename);
  // Of a server that has none of the extensions.
  must(parse_lfs_line(std::string(kHead) + " p=[0x2:0x2:0x0] f", fields, record));
  EXPECT_EQ(record.flags, kFlagVersion);
  EXPECT_EQ(record.name, "f");
}

TEST(TextIn, AmbiguousLinesAreNotTaken) {
  TextFields fields;
  Record record;
  auto refused = [&](const std::string& line) { return parse_lfs_line(line, fields, record).is(Code::invalid); };
  std::string middle = " s=[0x2:0x7:0x0] sp=[0x2:0x3:0x0] ";
  EXPECT_FALSE(refused(std::string(kRename) + " a" + middle + "b"));
  EXPECT_TRUE(refused(std::string(kRename) + " a" + middle + "b" + middle + "c"));
  EXPECT_TRUE(refused(std::string(kHead) + " j=" + std::string(40, 'x') + " ef=0x13 u=0:0 nid=0@lo"));
  EXPECT_TRUE(refused(std::string(kHead) + " ef=0x40"));
  EXPECT_TRUE(refused(std::string(kHead) + " ef=0x13 u=0:0 nid=nowhere p=[0x2:0x2:0x0] f"));
  EXPECT_TRUE(refused("7 02CREAT 10:28:46.968438800 2026.08.22 0x0 t=[0x200000401:0x3:0x0]"));   // two types
  EXPECT_TRUE(refused("7 01CREAT 10:28:46.968438800 2026.13.22 0x0 t=[0x200000401:0x3:0x0]"));   // no such day
  EXPECT_TRUE(refused("7 01CREAT 10:28:46.968438800 2026.08.22 0x00 t=[0x200000401:0x3:0x0]"));  // not lfs' way
  EXPECT_TRUE(refused(""));
}

TEST(TextIn, ANameThatForgesARecordIsTold) {
  std::string first = std::string(kHead) + " p=[0x2:0x2:0x0] x\n";
  std::string text = first +
                     "999 06UNLNK 10:28:47.000000000 2026.08.22 0x1 t=[0x200000401:0x3:0x0] p=[0x2:0x2:0x0] y\n" +
                     std::string(kRename) + " a s=[0x2:0x7:0x0] sp=[0x2:0x3:0x0] b\n";
  std::vector<std::string> problems = problems_of(RecordFormat::lfs, text);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_TRUE(problems[0].starts_with("line 3: index 8 after 999")) << problems[0];
  EXPECT_EQ(problems_of(RecordFormat::lfs, first + "y\n").size(), 1u);
  EXPECT_EQ(problems_of(RecordFormat::lfs, first + "\n").size(), 1u);
  EXPECT_EQ(problems_of(RecordFormat::lfs, first.substr(0, first.size() - 1)).size(), 1u);
}

TEST(TextIn, NetworkAddresses) {
  for (const char* text :
       {"0@lo", "10.0.0.1@tcp", "192.168.1.7@tcp12", "172.16.0.2@o2ib1", "25@gni", "0@<0:0>", "a01@<77:3>"}) {
    std::array<char, 24> field;
    for (bool big_endian : {false, true}) {
      ASSERT_TRUE(parse_nid(text, big_endian, field)) << text;
      EXPECT_EQ(nid_text({field.data(), field.size()}, big_endian), text);
    }
  }
  std::array<char, 24> field;
  EXPECT_TRUE(parse_nid("fe80::1@tcp", true, field));
  EXPECT_EQ(nid_text({field.data(), field.size()}, true), "fe80::1@tcp");
  for (const char* bad : {"", "@", "lo", "0@", "x@lo", "10.0.0@tcp", "0@tcpx", "fe80::1@tcp"})
    EXPECT_FALSE(parse_nid(bad, false, field)) << bad;
}

TEST(TextIn, JsonKeepsEveryByte) {
  std::string bytes;
  for (int c = 1; c < 256; ++c) bytes += static_cast<char>(c);
  bytes += "\xe2\x82\xac\xf0\x9f\x98\x80\xed\xb2\x80";
  std::string text;
  append_json_string(bytes, text);
  EXPECT_EQ(must(parse_json(text)).text, bytes);
  EXPECT_EQ(must(parse_json("\"\\ud83d\\ude00\\u20ac\\n\"")).text, "\xf0\x9f\x98\x80\xe2\x82\xac\n");
  for (const char* bad :
       {"", "{", "[1,", "\"", "\"\\u12", "\"\\ud800\"", "nul", "1 2", "{\"a\":}", "{1:2}", "\"\n\"", "--1"})
    EXPECT_TRUE(parse_json(bad).is(Code::invalid)) << bad;
  EXPECT_TRUE(parse_json(std::string(100000, '[')).is(Code::invalid));
  EXPECT_EQ(must(parse_json(" {\"a\" : [1, -2, true, null]} ")).find("a")->items[1].as_signed(), -2);
}

// Any bytes: the readers give records or problems, and what they take they give back as it was.
TEST(TextIn, MutatedInputIsTakenWholeOrTold) {
  Random random(test_seed());
  fs::path stem = recordings::corpus() / "full_2mdt/a_tour/mdt1";
  std::string raw = recordings::slurp(stem.string() + ".nidbe.raw");
  std::string text = recordings::slurp(stem.string() + ".changelog.txt");
  std::string json;
  std::vector<std::string> none;
  must(each_record(
      RecordFormat::lustre, raw,
      [&](const Record& record) {
        append_json_line(record, json);
        return ok();
      },
      none));
  for (int round = 0; round < 6000; ++round) {
    RecordFormat format = static_cast<RecordFormat>(random.below(3));
    std::string bytes = format == RecordFormat::lustre ? raw : format == RecordFormat::lfs ? text : json;
    size_t begin = random.below(bytes.size());
    bytes = bytes.substr(format == RecordFormat::lustre ? 0 : begin, 1 + random.below(2000));
    for (uint64_t i = 1 + random.below(6); i > 0; --i) {
      size_t at = random.below(bytes.size() + 1);
      switch (random.below(4)) {
        case 0:
          bytes.insert(at, 1, static_cast<char>(random.next()));
          break;
        case 1:
          bytes.erase(at, 1 + random.below(4));
          break;
        case 2:
          bytes.insert(at, bytes.substr(random.below(bytes.size() + 1), random.below(60)));
          break;
        default:
          if (at < bytes.size()) bytes[at] = static_cast<char>(random.next());
      }
      if (bytes.empty()) bytes = "x";
    }
    // An exact buffer, so that a sanitizer sees a step beyond its end.
    std::vector<char> exact(bytes.begin(), bytes.end());
    std::vector<std::string> problems;
    std::string back = again(format, {exact.data(), exact.size()}, problems);
    ASSERT_TRUE(!problems.empty() || format == RecordFormat::json || back == bytes) << "round " << round;
  }
}

}  // namespace
}  // namespace reel::log

// SPDX-License-Identifier: Apache-2.0
//
// Texts: FIDs, masks, lines, JSON.
#include "log/text/text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "log_testing.h"

namespace reel::log {
namespace {

TEST(Text, FidsPrintAsLustreDoesAndParseBack) {
  EXPECT_EQ(to_string(Fid{0x200000401, 3, 0}), "[0x200000401:0x3:0x0]");
  EXPECT_EQ(to_string(Fid{}), "[0:0x0:0x0]");
  EXPECT_EQ(parse_fid("[0x200000401:0x3:0x0]"), (Fid{0x200000401, 3, 0}));
  EXPECT_EQ(parse_fid("0x200000401:0x3:0x0"), (Fid{0x200000401, 3, 0}));
  EXPECT_EQ(parse_fid("[0:0x0:0x0]"), Fid{});
  for (const char* bad :
       {"", "[", "[]", "1:2", "[0x1:0x2:0x3", "[0x1:0x2:0x3:0x4]", "[0x1:0x2:0x100000000]", "[0x:0x1:0x1]", "x:y:z"})
    EXPECT_EQ(parse_fid(bad), std::nullopt) << bad;
  Random random(test_seed());
  for (int i = 0; i < 1000; ++i) {
    Fid fid = random_fid(random);
    EXPECT_EQ(parse_fid(to_string(fid)), fid);
  }
}

TEST(Text, TypesHaveLustresNames) {
  EXPECT_EQ(type_name(RecordType::creat), "CREAT");
  EXPECT_EQ(type_name(RecordType::nopen), "NOPEN");
  EXPECT_EQ(type_name(RecordType::gap), "GAP");
  EXPECT_EQ(type_name(RecordType::wait), "WAIT");
  EXPECT_EQ(type_name(static_cast<RecordType>(25)), std::nullopt);
  EXPECT_EQ(type_name(static_cast<RecordType>(1000)), std::nullopt);
}

TEST(Text, MaskGrammar) {
  uint64_t creat = mask_bit(RecordType::creat), close = mask_bit(RecordType::close),
           write = mask_bit(RecordType::write);
  EXPECT_EQ(must(parse_mask("CREAT", 0)), creat);
  EXPECT_EQ(must(parse_mask("creat,Close", close)), creat | close);
  EXPECT_EQ(must(parse_mask("CREAT CLOSE", 0)), creat | close);
  EXPECT_EQ(must(parse_mask("CREAT+CLOSE", 0)), creat | close);
  EXPECT_EQ(must(parse_mask("-CLOSE", creat | close)), creat);
  EXPECT_EQ(must(parse_mask("+WRITE", creat)), creat | write);
  EXPECT_EQ(must(parse_mask("-CREAT-CLOSE", creat | close | write)), write);
  EXPECT_EQ(must(parse_mask("DEFAULT", 0)), kMaskDefaultLustre);
  EXPECT_EQ(must(parse_mask("all", 0)), kMaskAll);
  EXPECT_EQ(must(parse_mask("ALL-CLOSE", 0)), kMaskAll & ~close);
  EXPECT_EQ(must(parse_mask("0x6", 0)), 6u);
  for (const char* bad : {"", " ", "NOSUCH", "CREAT,NOSUCH", "0xzz", "64"})
    EXPECT_TRUE(parse_mask(bad, 0).is(Code::invalid)) << bad;
  Random random(test_seed());
  for (int i = 0; i < 1000; ++i) {
    uint64_t mask = (random.next() & random.next()) | 1;
    EXPECT_EQ(must(parse_mask(format_mask(mask), 0)), mask);
  }
}

std::string line_of(const Record& record) {
  std::string line;
  append_lfs_line(record, line);
  return line;
}

TEST(Text, ReelsOwnRecordsHaveTheSameShape) {
  Record record;
  record.index = 7;
  record.time = pack_time(1'700'000'000, 5);
  record.type = RecordType::write;
  record.target = {0x1c, 2, 0};
  record.io = IoExtension{4096, 100, -5, 900, 3};
  EXPECT_EQ(line_of(record),
            "7 34WRITE 22:13:20.000000005 2023.11.14 0x0 t=[0x1c:0x2:0x0] io=4096+100 r=-5 d=900 th=3\n");
  Record gap;
  gap.index = 8;
  gap.type = RecordType::gap;
  gap.name = "queue overflow";
  EXPECT_EQ(line_of(gap), "8 32GAP   00:00:00.000000000 1970.01.01 0x0 t=[0:0x0:0x0] queue overflow\n");
}

TEST(Text, Nids) {
  std::string tcp("\0\2\0\1\x0a\0\0\5", 8), six("\x0c\2\0\0", 4), lo("\0\x09\0\0", 4), none;
  tcp.resize(24);
  lo.resize(24);
  none.resize(24);
  six += std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16) + std::string(4, '\0');
  EXPECT_EQ(nid_text(tcp, true), "10.0.0.5@tcp1");
  EXPECT_EQ(nid_text(six, true), "2001:db8::1@tcp");
  EXPECT_EQ(nid_text(lo, true), "0@lo");
  EXPECT_EQ(nid_text(none, true), "0@<0:0>");
  uint64_t nid4 = 5ULL << 48 | 0x0a000005;
  std::string little(reinterpret_cast<const char*>(&nid4), 8);
  little.resize(24);
  EXPECT_EQ(nid_text(little, false), "10.0.0.5@o2ib");
}

TEST(Text, JsonIsParsableAndNamesComeBack) {
  Random random(test_seed());
  for (int i = 0; i < 3000; ++i) {
    OwnedRecord owned = random_record(random);
    std::string line;
    append_json_line(owned.view(), line);
    auto json = nlohmann::json::parse(line, nullptr, false);
    // A lone surrogate is what the escape is made of; a strict parser may refuse only that.
    if (json.is_discarded()) {
      EXPECT_NE(line.find("\\udc"), std::string::npos) << line;
      continue;
    }
    EXPECT_EQ(json["target"], to_string(owned.record.target));
    EXPECT_EQ(json["name"].get<std::string>(), owned.name);
  }
  std::string text;
  append_json_string(std::string_view("a\xff\"\\\n\xc3\xa9\xed\xa0\x80", 10), text);
  EXPECT_EQ(text, "\"a\\udcff\\\"\\\\\\u000a\xc3\xa9\\udced\\udca0\\udc80\"");
}

}  // namespace
}  // namespace reel::log

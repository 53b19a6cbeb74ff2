// SPDX-License-Identifier: Apache-2.0
//
// docs/log-format.md against the code: the bytes of its worked example are what the encoder makes,
// and the reader finds the example's records in them.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "log/block/block.h"
#include "log/segment.h"
#include "log_testing.h"

namespace reel::log {
namespace {

// The lines of every block of the document that is fenced with this word.
std::vector<std::string> lines_of_document(const std::string& fence) {
  std::ifstream in(std::string(REEL_SOURCE_DIR) + "/docs/log-format.md");
  std::vector<std::string> lines;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = line == "```" + fence;
    } else if (inside) {
      lines.push_back(line);
    }
  }
  return lines;
}

// The bytes of every hex block; what follows a '#' explains.
std::string bytes_of_document() {
  std::string bytes;
  for (const std::string& line : lines_of_document("hex")) {
    std::istringstream words(line.substr(0, line.find('#')));
    for (std::string word; words >> word;) bytes.push_back(static_cast<char>(std::stoul(word, nullptr, 16)));
  }
  return bytes;
}

std::vector<OwnedRecord> example_records() {
  std::vector<OwnedRecord> records(3);
  OwnedRecord& creat = records[0];
  creat.record.type = RecordType::creat;
  creat.record.flags = kFlagVersion | kFlagJobid | kFlagExtra;
  creat.record.target = {0x200000401, 3, 0};
  creat.record.parent = {0x200000007, 1, 0};
  creat.record.extra_flags = kExtraUidGid;
  creat.record.uid = 1000;
  creat.record.gid = 100;
  creat.name = "f";
  creat.jobid = "cp.1000";
  creat.jobid.resize(32);
  OwnedRecord& write = records[1];
  write.record.type = RecordType::write;
  write.record.target = creat.record.target;
  write.record.io = IoExtension{4096, 512, 512, 900, 1};
  OwnedRecord& renme = records[2];
  renme.record.type = RecordType::renme;
  renme.record.flags = kFlagVersion | kFlagRename | kFlagJobid | kFlagExtra;
  renme.record.parent = {0x200000402, 2, 0};
  renme.record.source = creat.record.target;
  renme.record.source_parent = creat.record.parent;
  renme.record.extra_flags = creat.record.extra_flags;
  renme.record.uid = 1000;
  renme.record.gid = 100;
  renme.name = "g";
  renme.source_name = "f";
  renme.jobid = creat.jobid;
  uint64_t index = 1;
  for (OwnedRecord& record : records) {
    record.record.time = pack_time(1'700'000'000, static_cast<uint32_t>(index * 1000));
    record.record.index = index++;
  }
  records[2].record.index = 10;
  return records;
}

std::string example_bytes() {
  SegmentHeader segment;
  segment.salt = 0x5eed1234;
  segment.first_index = 1;
  segment.created = pack_time(1'700'000'000, 0);
  segment.stream = "demo";
  std::string bytes(kSegmentHeaderSize, '\0');
  encode(segment, reinterpret_cast<uint8_t*>(bytes.data()));

  BlockEncoder encoder;
  for (const OwnedRecord& record : example_records()) must(encoder.add(record.view()));
  BlockHeader block;
  block.salt = segment.salt;
  block.count = encoder.count();
  block.stored_size = block.raw_size = static_cast<uint32_t>(encoder.size());
  block.first_index = encoder.first_index();
  block.last_index = encoder.last_index();
  block.min_time = encoder.min_time();
  block.max_time = encoder.max_time();
  block.payload_sum = checksum(encoder.data(), encoder.size());
  uint8_t header[kBlockHeaderSize];
  encode(block, header);
  bytes.append(reinterpret_cast<char*>(header), sizeof header);
  bytes.append(reinterpret_cast<const char*>(encoder.data()), encoder.size());

  BlockHeader seal;
  seal.salt = segment.salt;
  seal.flags = kBlockSeal;
  seal.prev_index = seal.first_index = seal.last_index = block.last_index;
  seal.payload_sum = checksum(nullptr, 0);
  encode(seal, header);
  bytes.append(reinterpret_cast<char*>(header), sizeof header);
  return bytes;
}

std::string hex_dump(const std::string& bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    char byte[8];
    std::snprintf(byte, sizeof byte, "%02x%c", static_cast<unsigned char>(bytes[i]), i % 16 == 15 ? '\n' : ' ');
    text += byte;
  }
  return text;
}

TEST(Format, TheDocumentsExampleIsWhatTheCodeWrites) {
  EXPECT_EQ(hex_dump(bytes_of_document()), hex_dump(example_bytes()));
}

TEST(Format, TheDocumentsExampleReadsAsItSays) {
  TempDir dir;
  std::filesystem::create_directories(stream_dir(dir.path(), kStream));
  std::ofstream(stream_dir(dir.path(), kStream) + "/" + segment_name(1), std::ios::binary) << bytes_of_document();
  expect_log(dir, example_records());
}

TEST(Format, TheDocumentsUsersFileIsUnderstood) {
  TempDir dir;
  open_writer(dir);
  std::ofstream out(stream_dir(dir.path(), kStream) + "/users");
  for (const std::string& line : lines_of_document("users")) out << line << "\n";
  out.close();
  auto users = must(Users::open(Env::posix(), dir.path(), kStream));
  std::vector<User> list = must(users->list());
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].full_name(), "cl1");
  EXPECT_EQ(list[0].mask, 0u);
  EXPECT_EQ(list[0].cleared, 1200u);
  EXPECT_EQ(list[1].full_name(), "cl2-backup");
  EXPECT_EQ(list[1].mask, kMaskDefaultLustre);
  EXPECT_EQ(list[1].last_clear_s, 1700000100u);
  EXPECT_EQ(must(users->register_user("", 0)).id, 3u);
  EXPECT_EQ(open_writer(dir)->last_index(), 1200u);
}

TEST(Format, NamesOfStreamsAndSegments) {
  EXPECT_EQ(segment_name(42), "00000000000000000042.seg");
  EXPECT_EQ(segment_of_name("00000000000000000042.seg"), 42u);
  for (const char* bad :
       {"42.seg", "0000000000000000004x.seg", "00000000000000000042.tmp", "99999999999999999999.seg", ""})
    EXPECT_EQ(segment_of_name(bad), std::nullopt) << bad;
  EXPECT_EQ(stream_of_dir("lustre-MDT0000.stream"), "lustre-MDT0000");
  for (const char* bad : {".stream", "a b.stream", "x", "..stream"}) EXPECT_EQ(stream_of_dir(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace reel::log

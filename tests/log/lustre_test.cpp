// SPDX-License-Identifier: Apache-2.0
//
// Lustre's own bytes: recorded changelogs decode, encode back byte for byte (through our log, too)
// and print as `lfs changelog` printed them.
#include <gtest/gtest.h>

#include "log/text/lustre_wire.h"
#include "log/text/text.h"
#include "log_testing.h"
#include "recordings.h"

namespace reel::log {
namespace {

namespace fs = std::filesystem;
using recordings::files_under;
using recordings::slurp;

// Calls `each` with every record of the raw bytes.
template <class F>
void for_each_record(const std::string& raw, F each) {
  for (size_t at = 0; at < raw.size();) {
    Record record;
    size_t size = must(decode_lustre(raw.data() + at, raw.size() - at, record));
    ASSERT_GT(size, 0u);
    each(record, std::string_view(raw).substr(at, size));
    at += size;
  }
}

void round_trip(const fs::path& path) {
  SCOPED_TRACE(path.string());
  std::string raw = slurp(path);
  TempDir dir;
  WriterOptions options;
  options.segment_bytes = 64u << 10;
  auto writer = open_writer(dir, options);
  for_each_record(raw, [&](const Record& record, std::string_view bytes) {
    std::string again;
    must(encode_lustre(record, again));
    ASSERT_EQ(again, bytes) << "record " << record.index;
    ASSERT_EQ(must(writer->append(record)), record.index);
  });
  must(writer->commit());
  auto reader = open_reader(dir);
  std::string through_log;
  Record record;
  while (must(reader->next(record))) must(encode_lustre(record, through_log));
  ASSERT_TRUE(through_log == raw) << "the bytes that came out of the log differ";
}

TEST(Lustre, EveryRecordingIsKeptByteForByte) {
  for (const fs::path& root : recordings::roots())
    for (const fs::path& path : files_under(root, ".raw")) round_trip(path);
}

TEST(Lustre, EveryRecordingPrintsAsLfsPrintedIt) {
  size_t compared = 0;
  for (const fs::path& root : recordings::roots()) {
    for (const fs::path& path : files_under(root, ".nidbe.raw")) {
      std::string stem = path.string();
      stem.resize(stem.size() - std::string(".nidbe.raw").size());
      if (!fs::exists(stem + ".changelog.txt")) continue;
      SCOPED_TRACE(path.string());
      std::string text;
      for_each_record(slurp(path), [&](const Record& record, std::string_view) { append_lfs_line(record, text); });
      ASSERT_EQ(text, slurp(stem + ".changelog.txt"));
      ++compared;
    }
  }
  EXPECT_GE(compared, 2u);
}

TEST(Lustre, FullSetOfRecordingsIsInstalled) {
  if (recordings::full_set().empty())
    GTEST_SKIP() << "only the corpus was tested; set REEL_FIXTURES to the folder with lustre/ in it";
}

TEST(Lustre, EveryTruncationIsToldAndNothingIsReadBeyondTheEnd) {
  std::string raw = slurp(fs::path(REEL_SOURCE_DIR) / "tests/corpora/lustre/full_2mdt/a_tour/mdt1.nidbe.raw");
  for_each_record(raw, [](const Record&, std::string_view bytes) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      std::vector<char> exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      Record record;
      ASSERT_TRUE(decode_lustre(exact.data(), exact.size(), record).is(Code::corrupt)) << "cut to " << size;
    }
  });
}

TEST(Lustre, AnyAlignmentAndRandomDamageAreSafe) {
  std::string raw = slurp(fs::path(REEL_SOURCE_DIR) / "tests/corpora/lustre/default_1mdt/h_misc/mdt0.raw");
  Random random(test_seed());
  for (int round = 0; round < 20'000; ++round) {
    size_t at = random.below(raw.size());
    std::vector<char> bytes(raw.begin() + static_cast<std::ptrdiff_t>(at), raw.end());
    for (uint64_t i = random.below(3); i > 0; --i)
      bytes[random.below(std::min<size_t>(bytes.size(), 200))] ^= static_cast<char>(random.next());
    Record record;
    Result<size_t> size = decode_lustre(bytes.data(), bytes.size(), record);
    if (!size) continue;
    ASSERT_LE(*size, bytes.size());
    std::string again;
    must(encode_lustre(record, again));
    ASSERT_EQ(again, std::string(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*size)));
  }
}

TEST(Lustre, UnknownExtensionsAndTypesAreRefused) {
  Record record;
  record.flags |= kFlagExtra;
  record.extra_flags = kExtraUidGid;
  std::string bytes;
  must(encode_lustre(record, bytes));
  bytes[64] = 0x21;  // a bit nobody has defined
  EXPECT_TRUE(decode_lustre(bytes.data(), bytes.size(), record).is(Code::unsupported));
  bytes[64] = 0x1;
  bytes[4] = 34;  // Reel's WRITE
  EXPECT_TRUE(decode_lustre(bytes.data(), bytes.size(), record).is(Code::unsupported));
  bytes[4] = 27;  // a type of some later Lustre
  EXPECT_TRUE(decode_lustre(bytes.data(), bytes.size(), record));
  Record gap;
  gap.type = RecordType::gap;
  EXPECT_TRUE(encode_lustre(gap, bytes).is(Code::invalid));
}

TEST(Lustre, NamesNoDirectoryCanHoldAreRefused) {
  for (std::string name : {std::string("a/b"), std::string("a\0b", 3)}) {
    Record record;
    record.name = name;
    std::string bytes;
    must(encode_lustre(record, bytes));
    EXPECT_TRUE(decode_lustre(bytes.data(), bytes.size(), record).is(Code::corrupt)) << name;
  }
}

}  // namespace
}  // namespace reel::log

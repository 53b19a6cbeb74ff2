// SPDX-License-Identifier: Apache-2.0
//
// Damage at rest: whatever byte changes, no wrong record is passed off as good, what is lost is
// told, and reading goes on behind it.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "log/block/block.h"
#include "log/segment.h"
#include "log_testing.h"

namespace reel::log {
namespace {

using test::slurp;
using test::spill;

struct Small {
  TempDir dir;
  std::vector<OwnedRecord> records;
  uint64_t last = 0;
};

// A few segments of a few blocks.
void fill(Small& log, bool sealed, bool trace = false) {
  Random random(test_seed());
  WriterOptions options;
  options.trace = trace;
  uint64_t strings = 0;
  options.segment_bytes = 700;
  options.block_bytes = 150;
  auto writer = open_writer(log.dir, options);
  for (int i = 0; i < 40; ++i) {
    OwnedRecord record = trace ? random_traced(random, strings) : random_record(random);
    if (record.name.size() > 60) record.name.resize(60);
    record.record.index = must(writer->append(record.view()));
    log.records.push_back(record);
  }
  must(writer->commit());
  log.last = writer->last_index();
  if (!sealed) {  // as a killed process leaves it
    std::string newest = segments_of(log.dir).back(), before = slurp(newest);
    writer.reset();
    spill(newest, before);
  }
}

struct Outcome {
  uint64_t read = 0;
  uint64_t errors = 0;
  bool told = true;  // each missing record lies in a range that an error named
};

// Every record that comes must be one that was written; what does not come must have been
// announced.
Outcome read_damaged(const Small& log) {
  Outcome outcome;
  Result<std::unique_ptr<Reader>> reader = Reader::open(Env::posix(), log.dir.path(), kStream);
  if (!reader) {
    outcome.errors = 1;
    return outcome;
  }
  std::vector<bool> covered(log.last + 2, false);
  uint64_t last = 0;
  for (int steps = 0; steps < 200; ++steps) {
    Record record;
    Result<bool> got = (*reader)->next(record);
    if (!got) {
      ++outcome.errors;
      EXPECT_TRUE(got.is(Code::corrupt)) << got.error().text();
      uint64_t up_to = (*reader)->lost_up_to() == 0 ? log.last : (*reader)->lost_up_to();
      for (uint64_t i = last + 1; i <= up_to && i <= log.last; ++i) covered[i] = true;
      continue;
    }
    if (!*got) break;
    EXPECT_GT(record.index, last);
    last = record.index;
    if (record.index < 1 || record.index > log.records.size()) {
      ADD_FAILURE() << "invented index " << record.index;
      continue;
    }
    EXPECT_TRUE(same(record, log.records[record.index - 1].view())) << "wrong record " << record.index;
    covered[record.index] = true;
    ++outcome.read;
  }
  for (uint64_t i = 1; i <= log.last; ++i) outcome.told = outcome.told && covered[i];
  return outcome;
}

void flip_every_byte(bool trace) {
  Small log;
  fill(log, true, trace);
  std::vector<std::string> segments = segments_of(log.dir);
  ASSERT_GT(segments.size(), 2u);
  for (const std::string& path : segments) {
    std::string good = slurp(path);
    for (size_t at = 0; at < good.size(); ++at) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
      spill(path, bad);
      SCOPED_TRACE(path + " byte " + std::to_string(at));
      Outcome outcome = read_damaged(log);
      EXPECT_TRUE(outcome.told) << "a record is missing and no error said so";
      EXPECT_LE(outcome.errors, 1u);
      EXPECT_GE(outcome.read, 25u) << "reading did not go on behind the damage";
      if (::testing::Test::HasFailure()) return;
    }
    spill(path, good);
  }
}

TEST(Damage, EveryByteFlipped) {
  flip_every_byte(false);
}

TEST(Damage, EveryByteOfATraceFlipped) {
  flip_every_byte(true);
}

TEST(Damage, EveryTruncation) {
  Small log;
  fill(log, true);
  std::vector<std::string> segments = segments_of(log.dir);
  for (const std::string& path : segments) {
    std::string good = slurp(path);
    bool newest = path == segments.back();
    for (size_t size = 0; size < good.size(); ++size) {
      spill(path, good.substr(0, size));
      SCOPED_TRACE(path + " cut to " + std::to_string(size));
      Outcome outcome = read_damaged(log);
      // The end of the newest segment can not be told from a record that was never written.
      if (!newest) {
        EXPECT_TRUE(outcome.told) << "a record is missing and no error said so";
      }
      EXPECT_LE(outcome.errors, 1u);
      if (::testing::Test::HasFailure()) return;
    }
    spill(path, good);
  }
}

TEST(Damage, AWriterGoesOnBehindDamageAndCutsOnlyATornTail) {
  for (bool sealed : {true, false}) {
    Small log;
    fill(log, sealed);
    std::string newest = segments_of(log.dir).back(), good = slurp(newest);
    for (size_t at = 0; at < good.size(); ++at) {
      SCOPED_TRACE((sealed ? "sealed, byte " : "not sealed, byte ") + std::to_string(at));
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 0x55);
      spill(newest, bad);
      Result<std::unique_ptr<Writer>> writer = Writer::open(Env::posix(), log.dir.path(), kStream);
      ASSERT_TRUE(writer) << writer.error().text();
      Record record;
      record.name = "behind";
      uint64_t fresh = must((*writer)->append(record));
      must((*writer)->commit());
      EXPECT_GT(fresh, log.last - 8) << "more than the last block was cut";
      auto reader = open_reader(log.dir, fresh);
      Record got;
      Result<bool> next = reader->next(got);
      if (next.is(Code::corrupt)) next = reader->next(got);
      ASSERT_TRUE(must(std::move(next)));
      EXPECT_EQ(got.name, "behind");
      writer->reset();
      for (const std::string& path : segments_of(log.dir))
        if (path > newest) std::filesystem::remove(path);
      spill(newest, good);
    }
  }
}

TEST(Damage, SealedRecordsAreNeverCutSilently) {
  Small log;
  fill(log, true);
  std::string newest = segments_of(log.dir).back(), good = slurp(newest);
  size_t last_block = good.size() - kBlockHeaderSize - 1;  // a byte of the last payload, the seal behind it
  std::string bad = good;
  bad[last_block] = static_cast<char>(bad[last_block] ^ 1);
  spill(newest, bad);
  auto writer = open_writer(log.dir);
  EXPECT_EQ(writer->last_index(), log.last);
  Outcome outcome = read_damaged(log);
  EXPECT_EQ(outcome.errors, 1u);
  EXPECT_TRUE(outcome.told);
}

TEST(Damage, AMissingSegmentIsTold) {
  Small log;
  fill(log, true);
  std::filesystem::remove(segments_of(log.dir)[1]);
  Outcome outcome = read_damaged(log);
  EXPECT_EQ(outcome.errors, 1u);
  EXPECT_TRUE(outcome.told);
}

TEST(Damage, ABlockOfAnotherSegmentIsNotTakenForOneOfThis) {
  Small log;
  fill(log, true);
  std::vector<std::string> segments = segments_of(log.dir);
  std::string first = slurp(segments[0]), second = slurp(segments[1]);
  spill(segments[1],
        second.substr(0, kSegmentHeaderSize) + first.substr(kSegmentHeaderSize) + second.substr(kSegmentHeaderSize));
  Outcome outcome = read_damaged(log);
  EXPECT_EQ(outcome.read, log.last);
}

Code refusal_of_version(char version) {
  Small log;
  fill(log, true);
  std::string path = segments_of(log.dir).front(), bytes = slurp(path);
  bytes[8] = version;
  uint64_t sum = checksum(bytes.data(), 120);
  bytes.replace(120, 8, std::string(reinterpret_cast<char*>(&sum), 8));
  spill(path, bytes);
  Result<std::unique_ptr<Reader>> reader = Reader::open(Env::posix(), log.dir.path(), kStream);
  EXPECT_FALSE(reader);
  return reader ? Code::invalid : reader.error().code();
}

TEST(Damage, ANewerVersionIsRefusedAsSuch) {
  EXPECT_EQ(refusal_of_version(9), Code::newer);
}

// It is written otherwise: read as ours its records would be wrong, and nothing would say so.
TEST(Damage, ATraceOfAnOlderReelIsRefused) {
  EXPECT_EQ(refusal_of_version(2), Code::unsupported);
  EXPECT_EQ(refusal_of_version(3), Code::unsupported);
}

TEST(Damage, RandomPayloadsNeverBreakTheDecoder) {
  Random random(test_seed());
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = random_bytes(random, random.below(200), random.below(2) == 0);
    std::vector<uint8_t> exact(bytes.begin(), bytes.end());
    BlockDecoder decoder;
    decoder.start(random.below(5), static_cast<uint32_t>(random.below(20)), exact.data(), exact.size(),
                  random.below(2) == 0);
    Record record;
    uint64_t sum = 0;
    while (decoder.next(record) == BlockDecoder::Step::record) {
      for (std::string_view view :
           {record.name, record.source_name, record.jobid_field, record.nid_field, record.xattr_field})
        for (char c : view) sum += static_cast<uint64_t>(c);
    }
    ASSERT_LE(sum, UINT64_MAX);
  }
}

// What has the shape of a block and is none: checksums keep it from the decoder, which does not rely on them.
TEST(Damage, APayloadOfATraceWithWrongBytesNeverBreaksTheDecoder) {
  Random random(test_seed());
  for (int round = 0; round < 3'000; ++round) {
    BlockEncoder encoder(true);
    uint64_t strings = 0;
    uint32_t count = 1 + static_cast<uint32_t>(random.below(30));
    for (uint32_t i = 0; i < count; ++i) {
      OwnedRecord record = random_traced(random, strings);
      record.record.index = i + 1;
      ASSERT_TRUE(encoder.add(record.view()));
    }
    encoder.close();
    std::vector<uint8_t> bytes(encoder.data(), encoder.data() + encoder.size());
    for (uint64_t wrong = 1 + random.below(4); wrong-- > 0;)
      bytes[random.below(bytes.size())] = static_cast<uint8_t>(random.next());
    BlockDecoder decoder;
    decoder.start(1, count, bytes.data(), bytes.size(), true);
    Record record;
    uint64_t sum = 0;
    while (decoder.next(record) == BlockDecoder::Step::record)
      for (char c : record.name) sum += static_cast<uint64_t>(c);
    ASSERT_LE(sum, UINT64_MAX);
  }
}

}  // namespace
}  // namespace reel::log

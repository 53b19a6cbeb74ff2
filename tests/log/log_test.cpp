// SPDX-License-Identifier: Apache-2.0
//
// The log in order: what is written is read again, over reopening, rotation, following and seeking.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "log_testing.h"

namespace reel::log {
namespace {

TEST(Log, EmptyStreamReadsNothingAndHasNoIndex) {
  TempDir dir;
  auto writer = open_writer(dir);
  EXPECT_EQ(writer->last_index(), 0u);
  auto reader = open_reader(dir);
  Record record;
  EXPECT_FALSE(must(reader->next(record)));
  EXPECT_EQ(must(current_index(Env::posix(), dir.path(), kStream)), 0u);
}

TEST(Log, NoSuchLogOrStreamIsNotFound) {
  TempDir dir;
  EXPECT_TRUE(Reader::open(Env::posix(), dir.path(), "s").is(Code::not_found));
  EXPECT_TRUE(Reader::open(Env::posix(), dir.path() + "/none", "s").is(Code::not_found));
  EXPECT_TRUE(Users::open(Env::posix(), dir.path(), "s").is(Code::not_found));
  EXPECT_TRUE(Writer::open(Env::posix(), dir.path(), "../s").is(Code::invalid));
}

TEST(Log, RandomRecordsSurviveCommitsReopeningAndRotation) {
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 30; ++round) {
    Random random(seed + round);
    TempDir dir;
    WriterOptions options;
    options.segment_bytes = 200 + random.below(20'000);
    options.block_bytes = static_cast<uint32_t>(1 + random.below(3000));
    options.compress = random.below(2) == 0;
    auto writer = open_writer(dir, options);
    std::vector<OwnedRecord> written;
    for (uint64_t i = 0, n = random.below(800); i < n; ++i) {
      OwnedRecord record = random_record(random);
      if (random.below(5) == 0) record.record.index = writer->last_index() + 1 + random.below(1000);
      record.record.index = must(writer->append(record.view()));
      written.push_back(record);
      if (random.below(40) == 0) must(writer->commit());
      if (random.below(40) == 0) must(writer->flush());
      if (random.below(200) == 0) {
        writer.reset();
        writer = open_writer(dir, options);
      }
    }
    must(writer->commit());
    EXPECT_EQ(writer->durable_index(), writer->last_index());
    expect_log(dir, written);

    uint64_t start = random.below(written.empty() ? 1 : written.back().record.index + 2);
    auto reader = open_reader(dir, start);
    Record record;
    for (const OwnedRecord& expected : written) {
      if (expected.record.index < start) continue;
      ASSERT_TRUE(must(reader->next(record))) << "round " << round;
      ASSERT_TRUE(same(record, expected.view())) << "round " << round << " index " << expected.record.index;
    }
    EXPECT_FALSE(must(reader->next(record)));
  }
}

// Large blocks too: with more forms and more FIDs than either list keeps.
TEST(Log, RandomRecordsOfATraceSurvive) {
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 12; ++round) {
    Random random(seed + round);
    TempDir dir;
    WriterOptions options;
    options.trace = true;
    options.segment_bytes = 200 + random.below(1'000'000);
    options.block_bytes = static_cast<uint32_t>(1 + random.below(round < 6 ? 3000 : 2'000'000));
    options.compress = random.below(2) == 0;
    auto writer = open_writer(dir, options);
    std::vector<OwnedRecord> written;
    uint64_t strings = random.below(1000);
    for (uint64_t i = 0, n = random.below(round < 6 ? 800 : 20'000); i < n; ++i) {
      OwnedRecord record = random_traced(random, strings);
      if (random.below(30) == 0) record.record.index = writer->last_index() + 1 + random.below(1000);
      record.record.index = must(writer->append(record.view()));
      written.push_back(record);
      if (random.below(4000) == 0) must(writer->flush());
    }
    must(writer->commit());
    expect_log(dir, written);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

TEST(Log, SecondWriterIsRefused) {
  TempDir dir;
  auto writer = open_writer(dir);
  EXPECT_TRUE(Writer::open(Env::posix(), dir.path(), kStream).is(Code::busy));
  EXPECT_TRUE(Writer::open(Env::posix(), dir.path(), "other"));
  EXPECT_EQ(must(streams(Env::posix(), dir.path())), (std::vector<std::string>{"other", kStream}));
}

TEST(Log, IndexesMustRise) {
  TempDir dir;
  auto writer = open_writer(dir);
  Record record;
  record.index = 5;
  EXPECT_EQ(must(writer->append(record)), 5u);
  EXPECT_TRUE(writer->append(record).is(Code::invalid));
  record.index = 0;
  EXPECT_EQ(must(writer->append(record)), 6u);
}

TEST(Log, FieldsThatDoNotFitAreRefusedAndLeaveNoTrace) {
  TempDir dir;
  auto writer = open_writer(dir);
  Record record;
  std::string long_name(70'000, 'n'), long_job(33, 'j');
  record.name = long_name;
  EXPECT_TRUE(writer->append(record).is(Code::invalid));
  record.name = "n";
  record.flags |= kFlagJobid;
  record.jobid_field = long_job;
  EXPECT_TRUE(writer->append(record).is(Code::invalid));
  record.jobid_field = std::string_view(long_job).substr(0, 32);
  EXPECT_EQ(must(writer->append(record)), 1u);
}

TEST(Log, ReaderFollowsAWriterThroughFlushesAndSegments) {
  TempDir dir;
  WriterOptions options;
  options.segment_bytes = 1000;
  auto writer = open_writer(dir, options);
  auto reader = open_reader(dir);
  Record record, got;
  for (uint64_t i = 1; i <= 300; ++i) {
    record.target = {i, 1, 0};
    must(writer->append(record));
    EXPECT_FALSE(must(reader->next(got))) << "not flushed yet";
    must(writer->flush());
    ASSERT_TRUE(must(reader->next(got)));
    EXPECT_EQ(got.index, i);
    EXPECT_EQ(got.target.seq, i);
  }
  EXPECT_GT(segments_of(dir).size(), 3u);
}

TEST(Log, ReaderBesideABusyWriterSeesEveryRecordOnceAndNoDamage) {
  TempDir dir;
  WriterOptions options;
  options.segment_bytes = 20'000;
  options.block_bytes = 2000;
  constexpr uint64_t kCount = 60'000;
  auto writer = open_writer(dir, options);
  std::string failure;
  std::thread producer([&] {
    try {
      Random random(7);
      std::string name;
      for (uint64_t i = 1; i <= kCount; ++i) {
        Record record;
        record.target = {random.next(), static_cast<uint32_t>(i), 0};
        name = random_bytes(random, random.below(30), false);
        record.name = name;
        must(writer->append(record));
        if (random.below(20) == 0) must(writer->flush());
        if (random.below(2000) == 0) must(writer->commit());
      }
      must(writer->commit());
    } catch (const std::exception& error) {
      failure = error.what();
    }
  });
  auto reader = open_reader(dir);
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  uint64_t seen = 0;
  while (seen < kCount && std::chrono::steady_clock::now() < deadline) {
    Record record;
    Result<bool> got = reader->next(record);
    if (!got) {
      ADD_FAILURE() << got.error().text();
      break;
    }
    if (!*got) {
      std::this_thread::yield();
      continue;
    }
    EXPECT_EQ(record.index, ++seen);
    EXPECT_EQ(record.target.oid, static_cast<uint32_t>(seen));
  }
  producer.join();
  EXPECT_EQ(failure, "");
  EXPECT_EQ(seen, kCount);
}

TEST(Log, SeekTimeFindsTheFirstRecordThatIsLateEnough) {
  Random random(test_seed());
  TempDir dir;
  WriterOptions options;
  options.segment_bytes = 2000;
  options.block_bytes = 300;
  auto writer = open_writer(dir, options);
  std::vector<uint64_t> times;
  for (uint64_t i = 0; i < 3000; ++i) {
    Record record;
    record.time = pack_time(1000 + i / 10, 0) + random.below(1u << 29) - (random.below(50) == 0 ? 1ULL << 32 : 0);
    times.push_back(record.time);
    must(writer->append(record));
  }
  must(writer->commit());
  for (int probe = 0; probe < 200; ++probe) {
    uint64_t time = pack_time(990 + random.below(320), 0);
    auto reader = open_reader(dir);
    must(reader->seek_time(time));
    Record record;
    auto found = std::find_if(times.begin(), times.end(), [&](uint64_t t) { return t >= time; });
    bool any = must(reader->next(record));
    ASSERT_EQ(any, found != times.end());
    if (any) {
      ASSERT_EQ(record.index, static_cast<uint64_t>(found - times.begin()) + 1);
    }
  }
}

}  // namespace
}  // namespace reel::log

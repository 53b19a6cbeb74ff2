// SPDX-License-Identifier: Apache-2.0
//
// Crashes and failing calls: what was committed is there, whatever happened; what is there is
// right.
#include <gtest/gtest.h>

#include "fault_env.h"
#include "log/segment.h"

namespace reel::log {
namespace {

constexpr const char* kDir = "/log";

// What the test knows to be in the log: by index, and up to where it was promised.
struct Model {
  std::vector<OwnedRecord> records;
  uint64_t durable = 0;
};

// Reads all there is: every record read is one that was written, every one promised is read.
void check(FaultEnv& env, Model& model, uint64_t purged = 0) {
  auto reader = must(Reader::open(env, kDir, kStream));
  std::vector<OwnedRecord> survived;
  Record record;
  uint64_t last = 0;
  for (;;) {
    Result<bool> got = reader->next(record);
    if (got.is(Code::corrupt)) continue;  // what it took must not have been promised: asked below
    if (!must(std::move(got))) break;
    auto expected = std::find_if(model.records.begin(), model.records.end(),
                                 [&](const OwnedRecord& o) { return o.record.index == record.index; });
    ASSERT_NE(expected, model.records.end()) << "record " << record.index << " was never written";
    ASSERT_TRUE(same(record, expected->view())) << "record " << record.index;
    ASSERT_GT(record.index, last);
    last = record.index;
    survived.push_back(*expected);
  }
  std::set<uint64_t> read;
  for (const OwnedRecord& o : survived) read.insert(o.record.index);
  for (const OwnedRecord& o : model.records) {
    if (o.record.index <= model.durable && o.record.index > purged) {
      ASSERT_TRUE(read.count(o.record.index)) << "promised record " << o.record.index << " is gone";
    }
  }
  model.records = std::move(survived);
}

WriterOptions small_options(Random& random) {
  WriterOptions options;
  options.segment_bytes = 300 + random.below(4000);
  options.block_bytes = static_cast<uint32_t>(1 + random.below(600));
  return options;
}

// Appends and commits at random until a call fails or the plan ends.
void work(Writer& writer, Random& random, Model& model) {
  for (uint64_t i = 0, n = random.below(120); i < n; ++i) {
    OwnedRecord record = random_record(random);
    Result<uint64_t> index = writer.append(record.view());
    if (index) {
      record.record.index = *index;
      model.records.push_back(std::move(record));
    }
    Status done = ok();
    if (random.below(6) == 0) done = writer.flush();
    if (random.below(10) == 0) done = writer.commit();
    ignore(done, "what it promised is asked for below");
    model.durable = std::max(model.durable, writer.durable_index());
  }
}

TEST(Crash, CommittedRecordsSurviveLossOfPower) {
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 400; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " + std::to_string(round));
    Random random(seed + round);
    FaultEnv env(seed + round);
    Model model;
    for (int life = 0; life < 6; ++life) {
      auto writer = must(Writer::open(env, kDir, kStream, small_options(random)));
      ASSERT_GE(writer->last_index(), model.durable);
      model.durable = std::max(model.durable, model.records.empty() ? 0 : model.records.back().record.index);
      work(*writer, random, model);
      bool crash = random.below(4) != 0;
      if (crash) {
        env.kill();
      } else {
        must(writer->commit());
        model.durable = writer->durable_index();
      }
      writer.reset();
      if (crash) env.crash();
      ASSERT_NO_FATAL_FAILURE(check(env, model));
    }
  }
}

TEST(Crash, FailingCallsLoseNothingThatWasPromisedAndInventNothing) {
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 400; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " + std::to_string(round));
    Random random(seed + round);
    FaultEnv env(seed + round);
    Model model;
    for (int life = 0; life < 6; ++life) {
      Result<std::unique_ptr<Writer>> writer = Writer::open(env, kDir, kStream, small_options(random));
      if (!writer) {
        EXPECT_FALSE(writer.is(Code::corrupt)) << writer.error().text();
        continue;
      }
      env.fail_after(1 + random.below(60), random.below(2) == 0 ? ENOSPC : EIO);
      work(**writer, random, model);
      writer->reset();
      env.fail_after(0, 0);
      ASSERT_NO_FATAL_FAILURE(check(env, model));
    }
  }
}

TEST(Crash, AfterAFullDiskTheSameWriterGoesOn) {
  FaultEnv env(1);
  auto writer = must(Writer::open(env, kDir, kStream));
  Record record;
  record.name = "one";
  must(writer->append(record));
  env.fail_after(1, ENOSPC);
  EXPECT_TRUE(writer->commit().is(Code::no_space));
  EXPECT_EQ(writer->durable_index(), 0u);
  record.name = "two";
  must(writer->append(record));
  must(writer->commit());
  EXPECT_EQ(writer->durable_index(), 2u);
  auto reader = must(Reader::open(env, kDir, kStream));
  Record got;
  ASSERT_TRUE(must(reader->next(got)));
  EXPECT_EQ(got.name, "one");
  ASSERT_TRUE(must(reader->next(got)));
  EXPECT_EQ(got.name, "two");
  // Nothing of the write that failed is left between the blocks.
  auto segment = must(Segment::open(env, must(list_segments(env, kDir, kStream)).back()));
  while (must(segment->look()) == Segment::Look::block) segment->skip();
  EXPECT_EQ(must(segment->look()), Segment::Look::end);
}

TEST(Crash, AFailedSyncEndsTheWriterForGood) {
  FaultEnv env(1);
  auto writer = must(Writer::open(env, kDir, kStream));
  must(writer->append(Record{}));
  env.fail_after(2, EIO);  // the write succeeds, the sync does not
  EXPECT_FALSE(writer->commit());
  EXPECT_FALSE(writer->commit());
  EXPECT_FALSE(writer->append(Record{}));
  EXPECT_EQ(writer->durable_index(), 0u);
}

TEST(Crash, AReaderAtATornTailGoesOnWhenAWriterHasCutIt) {
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 200; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " + std::to_string(round));
    FaultEnv env(seed + round);
    Record record;
    auto writer = must(Writer::open(env, kDir, kStream));
    for (int i = 0; i < 5; ++i) must(writer->append(record));
    must(writer->commit());
    std::string names(2000, 'n');
    record.name = names;
    for (int i = 0; i < 5; ++i) {
      must(writer->append(record));
      must(writer->flush());
    }
    env.kill();
    writer.reset();
    env.crash();
    auto reader = must(Reader::open(env, kDir, kStream));
    uint64_t last = 0;
    auto read_all = [&] {
      for (Record got;;) {
        Result<bool> next = reader->next(got);
        if (next && !*next) return;
        ASSERT_TRUE(next || next.is(Code::corrupt)) << next.error().text();
        if (next) last = got.index;
      }
    };
    read_all();
    EXPECT_GE(last, 5u);
    writer = must(Writer::open(env, kDir, kStream));
    uint64_t fresh = must(writer->append(Record{}));
    EXPECT_GT(fresh, last);
    must(writer->commit());
    read_all();
    EXPECT_EQ(last, fresh);
  }
}

TEST(Crash, IndexesClearedByAUserAreNeverUsedAgain) {
  FaultEnv env(3);
  auto writer = must(Writer::open(env, kDir, kStream));
  auto users = must(Users::open(env, kDir, kStream));
  User user = must(users->register_user("", 0));
  for (int i = 0; i < 10; ++i) must(writer->append(Record{}));
  must(writer->flush());
  must(users->clear(user.full_name(), 10));
  env.kill();
  writer.reset();
  env.crash();
  writer = must(Writer::open(env, kDir, kStream));
  EXPECT_EQ(must(writer->append(Record{})), 11u);
}

}  // namespace
}  // namespace reel::log

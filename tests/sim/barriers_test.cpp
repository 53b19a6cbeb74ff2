// SPDX-License-Identifier: Apache-2.0
//
// What is parked waits for its barrier in every stream; and an index of version 1, in which it waits for
// an index of the only stream, is brought up to date.
#include <gtest/gtest.h>

#include "sim/world.h"

namespace reel::sim {
namespace {

using namespace reel::mirror;

TEST(Barriers, ArePassedWhenEveryStreamHasPassed) {
  World world(1);
  std::unique_ptr<Store> store = sim_store(world);
  Index index(*store);
  Barriers barriers(index);
  log::Position end("mdt0", 5);
  end.set("mdt1", 7);
  barriers.add(3, end);
  end.set("mdt0", 9);
  barriers.add(4, end);
  EXPECT_TRUE(barriers.passed(0));
  EXPECT_TRUE(barriers.passed(2));
  EXPECT_FALSE(barriers.passed(3));
  log::Position cursor("mdt0", 20);
  barriers.retire(cursor);
  EXPECT_FALSE(barriers.passed(3)) << "mdt1 has passed nothing";
  cursor.set("mdt1", 7);
  cursor.set("mdt0", 5);
  barriers.retire(cursor);
  EXPECT_TRUE(barriers.passed(3));
  EXPECT_FALSE(barriers.passed(4));
  // They are rows of the index; those that were passed are none any more.
  ASSERT_TRUE(store->write(index.take_batch(), Durable::yes));
  Barriers again(index);
  ASSERT_TRUE(again.load());
  EXPECT_TRUE(again.passed(3));
  EXPECT_FALSE(again.passed(4));
  // A log that lost its end: what it does not have is not waited for.
  EXPECT_TRUE(again.limit(cursor));
  again.retire(cursor);
  EXPECT_TRUE(again.passed(4));
}

struct OldState {
  World world{1};
  std::unique_ptr<Store> store = sim_store(world);
  std::unique_ptr<SourceTree> source = sim_source(world);
  std::unique_ptr<Feed> feed;
  Pool pool{0};
  std::unique_ptr<Engine> engine;
  uint64_t park = 0;

  // One object in the park until index 50, the cursor at 40, a log of 60 records that say nothing.
  OldState() {
    World::Stream& stream = world.streams[0];
    for (size_t i = 1; i <= 60; ++i) {
      OwnedRecord record;
      record.record.type = RecordType::open;
      record.record.index = i;
      stream.log.push_back(record);
    }
    park = world.target.find(world.target.find(SimFs::kRoot)->entries.at(".reel"))->entries.at("park");
    Index index(*store);
    Object root;
    root.fid = source->root();
    root.type = FileType::directory;
    EXPECT_TRUE(index.put(root));
    Object parked;
    parked.fid = {999, 1, 0};
    parked.home = {kParkFid, park_name(parked.fid)};
    uint64_t ino = 0;
    EXPECT_EQ(world.target.create(park, parked.home.name, FileType::regular, 0600, &ino), 0);
    parked.target = world.target.attributes(*world.target.find(ino)).instance();
    parked.parked_until = 50;
    EXPECT_TRUE(index.put(parked));
    for (auto [name, value] : {std::pair("cursor", "40"), {"durable", "40"}, {"batch", "3"}, {"boot", "boot-1"}})
      index.put_meta(name, value);
    EXPECT_TRUE(store->write(index.take_batch(), Durable::yes));
  }
  void start() {
    feed = sim_feed(world);
    EngineHooks hooks;
    hooks.open_target = [this]() -> Result<std::unique_ptr<TargetTree>> { return sim_target(world); };
    hooks.barrier = [this]() -> Result<log::Position> { return world.log_end(); };
    hooks.now_s = [this] { return world.now_s; };
    hooks.monotonic_ms = [this] { return world.now_s * 1000; };
    EngineOptions options;
    options.boot_id = world.boot;
    engine = std::make_unique<Engine>(*store, *source, feed.get(), pool, std::move(hooks), options);
    Status started = engine->start();
    ASSERT_TRUE(started) << started.error().text();
  }
  bool is_parked_after(size_t readable) {
    world.streams[0].durable = readable;
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(engine->step());
    return !world.target.find(park)->entries.empty();
  }
};

TEST(Upgrade, WhatIsParkedInAnOldIndexWaitsForItsRecord) {
  OldState old;
  old.start();
  EXPECT_EQ(old.engine->progress().cursor, log::Position("local", 40));
  EXPECT_TRUE(old.is_parked_after(40));
  old.start();  // once more, on what the first start made of it
  EXPECT_TRUE(old.is_parked_after(49));
  EXPECT_FALSE(old.is_parked_after(50));
  EXPECT_EQ(old.engine->progress().cursor, log::Position("local", 50));
}

}  // namespace
}  // namespace reel::sim

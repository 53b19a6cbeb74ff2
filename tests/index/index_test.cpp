// SPDX-License-Identifier: Apache-2.0
//
// The index on its real store, against a model of what it holds. (That the mirror uses it rightly is
// for the simulation to say.)
#include "index/index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "mirror/scratch.h"

namespace reel::mirror {
namespace {

using test::Scratch;
using test::seed;

std::unique_ptr<Store> open_store(const std::string& dir) {
  auto store = open_rocks_store(dir);
  EXPECT_TRUE(store) << store.error().text();
  return store ? std::move(*store) : nullptr;
}

Status put_rows(Store& store, const std::map<std::string, std::string>& rows) {
  StoreBatch batch;
  for (const auto& [key, value] : rows) batch.items.push_back({key, value});
  return store.write(batch, Durable::no);
}

TEST(RocksStore, AScanEndsWithItsPrefix) {
  Scratch scratch;
  auto store = open_store(scratch / "store");
  ASSERT_TRUE(store);
  std::map<std::string, std::string> rows;
  for (std::string key : {"E", "E\xff", "E\xff\xff",
                          "E\xff\xff"
                          "a",
                          "F", "F\x01", "\xff", "\xff\xff", "\xff\xff\x01"})
    rows[key] = "of " + key;
  ASSERT_TRUE(put_rows(*store, rows));
  for (std::string prefix : {"", "E", "E\xff", "E\xff\xff", "F", "G", "\xff", "\xff\xff", "\xff\xff\xff"}) {
    std::map<std::string, std::string> found, expected;
    ASSERT_TRUE(store->scan(prefix, prefix, [&](std::string_view key, std::string_view value) {
      found[std::string(key)] = value;
      return true;
    }));
    for (const auto& row : rows)
      if (row.first.starts_with(prefix)) expected.insert(row);
    EXPECT_EQ(found, expected) << ::testing::PrintToString(prefix);
  }
}

// Scans that are added, put off, woken, done, written or forgotten in any order: what is due is what a
// set of them says. The index keeps a place before which it does not look; this is what may go wrong with it.
TEST(Index, FindsScansWhereverTheyAreAdded) {
  std::mt19937_64 random(seed());
  Scratch scratch;
  auto store = open_store(scratch / "store");
  ASSERT_TRUE(store);
  Index index(*store);
  std::map<Fid, bool> scans, stored;  // whether it waits
  for (int step = 0; step < 4000; ++step) {
    Fid dir{random() % 3 ? random() % 20 : ~0ull - random() % 3, static_cast<uint32_t>(random() % 2), 0};
    switch (random() % 8) {
      case 0:
        index.add_scan(dir);
        scans[dir] = false;
        break;
      case 1:
        index.defer_scan(dir);
        scans[dir] = true;
        break;
      case 2:
        ASSERT_TRUE(index.wake_scan(dir));
        if (scans.count(dir)) scans[dir] = false;
        break;
      case 3:
      case 4:
      case 5:
        index.remove_scan(dir);
        scans.erase(dir);
        break;
      case 6:
        ASSERT_TRUE(store->write(index.take_batch(), Durable::no));
        stored = scans;
        break;
      case 7:
        index.drop();
        scans = stored;
        break;
    }
    if (random() % 2) continue;
    std::vector<Fid> due;
    for (const auto& [fid, waits] : scans)
      if (!waits) due.push_back(fid);
    auto found = index.scans(1000), first = index.scans(1);
    auto any = index.has_scans();
    ASSERT_TRUE(found && first && any);
    ASSERT_EQ(*found, due) << "step " << step;
    ASSERT_EQ(first->size(), due.empty() ? 0u : 1u);
    ASSERT_EQ(*any, !scans.empty()) << "step " << step;
  }
}

}  // namespace
}  // namespace reel::mirror

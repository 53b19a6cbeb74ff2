// SPDX-License-Identifier: Apache-2.0
//
// The mirror made from every recording of a real Lustre equals the recorded final tree: names, FIDs,
// types, modes, owners, times, links, xattrs, contents. In all but one test nothing is scanned: the
// mirror begins with the empty top directory, settled, and then has the records only.
#include <gtest/gtest.h>

#include <filesystem>

#include "recorded/recording.h"
#include "recorded/replayed_tree.h"

namespace reel::recorded {
namespace {

namespace fs = std::filesystem;
using mirror::test::Scratch;

class Recorded : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!mirror::test::is_root()) GTEST_SKIP() << "owners and devices can only be made by root";
    if (!scratch_.missing().empty()) GTEST_SKIP() << scratch_.missing();
  }

  // A mirror that has settled on the empty top directory, and then sees the final tree.
  std::unique_ptr<Mirror> settled_before(const Recording& recording) {
    auto mirror = std::make_unique<Mirror>(
        recording, scratch_ / fs::path(recording.name).stem().string() + recording.name.substr(0, 6));
    EXPECT_EQ(mirror->settle(), "");
    mirror->show_final();
    return mirror;
  }
  static void expect_equal(Mirror& mirror) {
    ASSERT_EQ(mirror.settle(), "");
    ASSERT_EQ(mirror.differences(), std::vector<std::string>());
  }
  static void show_all(Mirror& mirror, const Recording& recording) {
    for (size_t i = 0; i < recording.streams.size(); ++i) mirror.feed.visible[i] = recording.streams[i].records.size();
  }

  Scratch scratch_{"tmpfs"};
};

TEST_F(Recorded, RecordsAloneMakeTheFinalTree) {
  for (const Recording& recording : recordings()) {
    SCOPED_TRACE(recording.name);
    std::unique_ptr<Mirror> mirror = settled_before(recording);
    show_all(*mirror, recording);
    expect_equal(*mirror);
    std::printf("%-22s %6zu records, %4zu paths: %llu lookups, %llu stats, %llu new directories read\n",
                recording.name.c_str(), recording.record_count(), recording.entries.size(),
                static_cast<unsigned long long>(mirror->lookups), static_cast<unsigned long long>(mirror->stats),
                static_cast<unsigned long long>(mirror->directories_scanned));
  }
}

TEST_F(Recorded, AnyOrderBetweenTheMdtsEndsEqual) {
  std::mt19937_64 random(mirror::test::seed());
  for (const Recording& recording : recordings()) {
    SCOPED_TRACE(recording.name);
    for (int round = 0; round < (recording.record_count() > 5000 ? 2 : 6); ++round) {
      std::unique_ptr<Mirror> mirror = settled_before(recording);
      mirror->feed.order = &random;
      // Also one stream whole before the other, and a few records at a time of either.
      for (size_t i = 0; i < recording.streams.size(); ++i) {
        size_t stream = round % 2 ? recording.streams.size() - 1 - i : i;
        if (round < 2) {
          mirror->feed.visible[stream] = recording.streams[stream].records.size();
          ASSERT_EQ(mirror->settle(), "");
        }
      }
      while (mirror->feed.last() != RecordedFeed(recording).last()) {
        for (size_t i = 0; i < recording.streams.size(); ++i)
          mirror->feed.visible[i] =
              std::min(recording.streams[i].records.size(), mirror->feed.visible[i] + random() % 500);
        ASSERT_EQ(mirror->settle(), "");
      }
      expect_equal(*mirror);
    }
  }
}

TEST_F(Recorded, RecordsDeliveredTwiceEndEqual) {
  for (const Recording& recording : recordings()) {
    SCOPED_TRACE(recording.name);
    std::unique_ptr<Mirror> mirror = settled_before(recording);
    mirror->feed.twice = true;
    show_all(*mirror, recording);
    expect_equal(*mirror);
    // And all of them once more, from the first.
    mirror->feed.from_the_start = true;
    mirror->restart();
    expect_equal(*mirror);
  }
}

// One record more each time, the engine begun anew in between.
TEST_F(Recorded, CutAtEveryRecordAndResumedEndsEqual) {
  std::mt19937_64 random(mirror::test::seed());
  for (const Recording& recording : recordings()) {
    SCOPED_TRACE(recording.name);
    std::unique_ptr<Mirror> mirror = settled_before(recording);
    std::vector<size_t> ends;
    for (size_t i = 0; i < recording.streams.size(); ++i)
      ends.insert(ends.end(), recording.streams[i].records.size(), i);
    std::shuffle(ends.begin(), ends.end(), random);
    for (size_t stream : ends) {
      ++mirror->feed.visible[stream];
      ASSERT_EQ(mirror->settle(), "");
      mirror->restart();
    }
    expect_equal(*mirror);
  }
}

// Each cut with a mirror of its own: what came before in one batch, the rest in another.
TEST_F(Recorded, EveryCutInTwoEndsEqual) {
  std::mt19937_64 random(mirror::test::seed());
  for (const Recording& recording : recordings()) {
    SCOPED_TRACE(recording.name);
    size_t total = recording.record_count();
    size_t step = std::max<size_t>(1, total / (total > 5000 ? 10 : 40));
    for (size_t cut = random() % step; cut < total; cut += 1 + random() % (2 * step)) {
      SCOPED_TRACE("cut after " + std::to_string(cut));
      std::unique_ptr<Mirror> mirror = settled_before(recording);
      size_t left = cut;
      for (size_t i = 0; i < recording.streams.size(); ++i) {
        mirror->feed.visible[i] = std::min(left, recording.streams[i].records.size());
        left -= mirror->feed.visible[i];
      }
      ASSERT_EQ(mirror->settle(), "");
      mirror->restart();
      show_all(*mirror, recording);
      expect_equal(*mirror);
    }
  }
}

// The source as it was: what has not happened yet cannot be read ahead of the records.
TEST_F(Recorded, TheReplayedRecordsAreTheManifest) {
  for (const Recording& recording : recordings()) {
    SCOPED_TRACE(recording.name);
    Mirror mirror(recording, scratch_ / "replay");
    fs::remove_all(scratch_ / "replay");
    ReplayedTree tree(recording, mirror.final_tree());
    while (tree.advance()) continue;
    EXPECT_EQ(tree.difference(), "");
  }
}

TEST_F(Recorded, FollowingTheSourceAsItMovesOnEndsEqual) {
  std::mt19937_64 random(mirror::test::seed());
  for (const Recording& recording : recordings()) {
    SCOPED_TRACE(recording.name);
    for (int round = 0; round < (recording.record_count() > 5000 ? 1 : 5); ++round) {
      std::unique_ptr<Mirror> mirror = settled_before(recording);
      mirror->feed.order = &random;
      ReplayedTree tree(recording, mirror->final_tree());
      mirror->show(tree);
      size_t stride = 1 + random() % (recording.record_count() / 20);
      for (bool more = true; more;) {
        for (size_t i = 1 + random() % stride; i > 0 && more; --i) more = tree.advance();
        // Of each stream some of what happened is in the log; the barrier brings the rest.
        for (size_t i = 0; i < recording.streams.size(); ++i) {
          size_t& visible = mirror->feed.visible[i];
          visible += random() % (tree.done_of(i) - visible + 1);
        }
        mirror->at_barrier = [&] {
          for (size_t i = 0; i < recording.streams.size(); ++i) mirror->feed.visible[i] = tree.done_of(i);
        };
        ASSERT_EQ(mirror->step(), "");
        if (random() % 8 == 0) mirror->restart();
      }
      show_all(*mirror, recording);
      expect_equal(*mirror);
    }
  }
}

TEST_F(Recorded, FullSetIsInstalled) {
  if (recordings().size() < 5)
    GTEST_SKIP() << "only the corpus was tested; set REEL_FIXTURES to the folder with lustre/ in it";
}

// The comparison must be able to see: without some record the end is another.
TEST_F(Recorded, AMissingRecordIsSeen) {
  const Recording& recording = recordings().front();
  std::unique_ptr<Mirror> mirror = settled_before(recording);
  for (size_t i = 0; i < recording.streams.size(); ++i)
    mirror->feed.visible[i] = recording.streams[i].records.size() * 2 / 3;
  ASSERT_EQ(mirror->settle(), "");
  EXPECT_FALSE(mirror->differences().empty());
}

}  // namespace
}  // namespace reel::recorded

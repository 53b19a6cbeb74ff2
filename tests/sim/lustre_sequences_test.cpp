// SPDX-License-Identifier: Apache-2.0
//
// Every sequence that lustre_rsync gets wrong (D.4 of the study; the numbers are its), and what
// Lustre's own tests of it ask for (E): the mirror ends equal. Each runs with one, two and three MDTs,
// with all records at once, one command at a time, with an engine begun anew after each, and once more
// from the first record as after a crash.
#include <gtest/gtest.h>

#include "sim/lustre_world.h"

namespace reel::sim {
namespace {

using namespace reel::mirror;

enum class Pace { at_once, each_command, each_command_restarted };

// A feed that fails as a damaged device would.
class FailingFeed final : public Feed {
 public:
  explicit FailingFeed(std::unique_ptr<Feed> feed) : feed_(std::move(feed)) {}
  const std::vector<std::string>& streams() const override { return feed_->streams(); }
  Result<bool> next(Record& record, size_t& stream) override {
    if (fails) return Error::from_errno(EIO, "injected");
    return feed_->next(record, stream);
  }
  Status start_after(const log::Position& position) override { return feed_->start_after(position); }
  log::Position last() override { return feed_->last(); }
  bool fails = false;

 private:
  std::unique_ptr<Feed> feed_;
};

class Player {
 public:
  Player(uint64_t seed, size_t mdts) : lustre(seed, mdts) {}

  void start() {
    source_ = sim_source(lustre.world);
    store_ = sim_store(lustre.world);
    auto failing = std::make_unique<FailingFeed>(sim_feed(lustre.world));
    feed = failing.get();
    feed_ = std::move(failing);
    EngineHooks hooks;
    hooks.open_target = [this]() -> Result<std::unique_ptr<TargetTree>> { return sim_target(lustre.world); };
    hooks.barrier = [this]() -> Result<log::Position> { return lustre.world.log_end(); };
    hooks.clear = [this](const log::Position& position) -> Status {
      for (const auto& [stream, index] : position.streams()) EXPECT_GT(index, 0u) << stream;
      cleared.push_back(position);
      return ok();
    };
    hooks.now_s = [this] { return lustre.world.now_s; };
    hooks.monotonic_ms = [this] { return lustre.world.now_s * 1000; };
    EngineOptions options;
    options.boot_id = lustre.world.boot;
    engine = std::make_unique<Engine>(*store_, *source_, feed_.get(), pool_, std::move(hooks), options);
    Status started = engine->start();
    ASSERT_TRUE(started) << started.error().text();
  }
  std::string settle() {
    for (int i = 0; i < 100; ++i) {
      lustre.world.now_s += 400;
      Result<bool> worked = engine->step();
      if (!worked) return worked.error().text();
      Progress progress = engine->progress();
      if (*worked || !progress.settled || progress.parked || progress.troubles) continue;
      return difference();
    }
    return "does not settle";
  }
  std::string difference() {
    return compare(lustre.world.fs, lustre.world.source_root, lustre.world.target, SimFs::kRoot, nullptr, false,
                   nullptr);
  }
  // All records once more, from the first.
  std::string replay() {
    lustre.world.rows.erase("Mcursor");
    start();
    return settle();
  }

  LustreWorld lustre;
  std::unique_ptr<Engine> engine;
  FailingFeed* feed = nullptr;
  std::vector<log::Position> cleared;

 private:
  std::unique_ptr<SourceTree> source_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Feed> feed_;
  Pool pool_{0};
};

std::vector<std::string> commands_of(const std::string& text) {
  std::vector<std::string> commands;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find(';', at), text.size());
    commands.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return commands;
}

// `before` is mirrored and settled; then `sequence` happens.
void ends_equal(const std::string& before, const std::string& sequence) {
  for (size_t mdts = 1; mdts <= 3; ++mdts) {
    for (Pace pace : {Pace::at_once, Pace::each_command, Pace::each_command_restarted}) {
      for (uint64_t seed = 1; seed <= (mdts == 1 ? 1 : 5); ++seed) {
        SCOPED_TRACE(std::to_string(mdts) + " MDTs, pace " + std::to_string(static_cast<int>(pace)) + ", seed " +
                     std::to_string(seed));
        Player player(seed, mdts);
        player.lustre.run(before);
        player.start();
        ASSERT_EQ(player.settle(), "") << "before";
        for (const std::string& command : commands_of(sequence)) {
          player.lustre.run(command);
          if (pace == Pace::at_once) continue;
          ASSERT_EQ(player.settle(), "") << "after" << command;
          if (pace == Pace::each_command_restarted) player.start();
        }
        ASSERT_EQ(player.settle(), "");
        ASSERT_EQ(player.replay(), "") << "replayed";
      }
    }
  }
}

TEST(LustreSequence, D1_MovedOutOfADirectoryThatIsRemoved) {
  ends_equal("mkdir D; mkdir D/x; mkdir D/x/deep; create D/x/deep/f text", "mv D/x x; rmdir D");
}
TEST(LustreSequence, D2_ReplayAfterACrashWhenANameWasTakenAgain) {
  ends_equal("create A old", "mv A B; create A new");
}
TEST(LustreSequence, D3_DirectoriesThatChangePlacesAfterARemoval) {
  ends_equal("mkdir D1; mkdir D2; create D1/f one; create D2/f two", "rm D1/f; mv D1 T; mv D2 D1; mv T D2");
}
TEST(LustreSequence, D4a_RemovedInADirectoryThatIsRenamed) {
  ends_equal("mkdir D; create D/f x", "rm D/f; mv D E");
}
TEST(LustreSequence, D4b_RenamedInADirectoryThatIsRenamed) {
  ends_equal("mkdir D; create D/f x", "mv D/f D/g; mv D E");
}
TEST(LustreSequence, D4c_MovedOutOfADirectoryThatIsRenamed) {
  ends_equal("mkdir D; create D/f x", "mv D/f f; mv D E");
}
TEST(LustreSequence, D4d_ChangedInADirectoryThatIsRenamed) {
  ends_equal("mkdir D; create D/f x; create D/g y", "chmod 600 D/f; truncate D/g; mv D E");
}
TEST(LustreSequence, D4e_LinkedInADirectoryThatIsRenamed) {
  ends_equal("mkdir D; create D/f x", "ln D/f D/g; mv D E");
}
TEST(LustreSequence, D5_WritesToExistingFilesWhereOnlyACloseIsLogged) {
  ends_equal("create f one", "write f one-and-two; write f 3");
}

TEST(LustreSequence, D6_NothingReadNothingCleared) {
  Player player(1, 2);
  player.start();
  ASSERT_EQ(player.settle(), "");
  for (const log::Position& position : player.cleared) EXPECT_TRUE(position.streams().empty());
  // A reader that fails says nothing and clears nothing.
  player.lustre.run("create f x");
  player.cleared.clear();
  player.feed->fails = true;
  EXPECT_FALSE(player.engine->step());
  EXPECT_TRUE(player.cleared.empty());
}

TEST(LustreSequence, D7_AFailedWriteIsNotInSync) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Player player(seed, 1);
    player.start();
    ASSERT_EQ(player.settle(), "");
    player.lustre.run("create f text; create g text");
    player.lustre.world.faults.target_error = 1;
    // Told as an error of the step (the disk refuses to keep what there is) or as objects in trouble.
    Result<bool> stepped = player.engine->step();
    Progress progress = player.engine->progress();
    EXPECT_TRUE(!stepped || progress.troubles + progress.retries_pending > 0);
    player.lustre.world.faults = {};
    if (!stepped) player.start();
    EXPECT_EQ(player.settle(), "") << "seed " << seed;
  }
}

TEST(LustreSequence, D8_WhatFailedIsTriedAgainAlsoAfterARestart) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Player player(seed, 2);
    player.lustre.run("mkdir D; create D/f x");
    player.start();
    ASSERT_EQ(player.settle(), "");
    player.lustre.run("write D/f y; chmod 600 D; create D/g z");
    player.lustre.world.faults.source_error = 0.7;
    for (int i = 0; i < 5; ++i) (void)player.engine->step().has_value();
    player.lustre.world.faults = {};
    player.start();
    EXPECT_EQ(player.settle(), "") << "seed " << seed;
  }
}

TEST(LustreSequence, D9_ChangedWhileItIsCopied) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Player player(seed, 1);
    player.start();
    ASSERT_EQ(player.settle(), "");
    player.lustre.run("create f aaaa");
    int left = 3;
    player.lustre.world.after_read = [&] {
      // Same size, same mtime: only ctime and a CLOSE tell.
      if (left-- > 0) player.lustre.run("write f bbb" + std::to_string(left) + "; utime f 77 0");
    };
    EXPECT_EQ(player.settle(), "") << "seed " << seed;
  }
}

TEST(LustreSequence, D10_ModesOwnersAndTimesOfDirectories) {
  ends_equal("mkdir D; create D/f x", "chmod 711 D; chown 5 D; create D/g y; rm D/f; utime D 44 5");
}
TEST(LustreSequence, D11_SetuidAfterChownAndNanoseconds) {
  ends_equal("create prog x", "chown 4 prog; chmod 4755 prog; utime prog 1000 123456789");
}
TEST(LustreSequence, D12_SymlinksAsTheyAre) {
  ends_equal("create f x; symlink old /mnt/lustre/f",
             "symlink s /mnt/lustre2/f; chown 7 s; utime s 9 8; setx s trusted.a b; mv old older; rm f");
}
TEST(LustreSequence, D13_SpecialFilesKeepOwnerAndMode) {
  ends_equal("mkfifo a", "mkfifo p; chmod 640 p; chown 3 p; chmod 600 a");
}
TEST(LustreSequence, D14_XattrsRemovedEmptyAndAcls) {
  ends_equal("create f x; setx f user.gone v",
             "rmx f user.gone; setx f user.empty; setfacl f acl-bytes; setx . user.root r");
}
TEST(LustreSequence, D16_HardLinksWhoseFirstNameMoved) {
  ends_equal("mkdir D", "create a x; ln a b; ln a c; mv a z; ln z D/d; rm b");
}
TEST(LustreSequence, D17a_MigratedBeforeItWasMirrored) {
  ends_equal("", "create f x; migrate f");
}
TEST(LustreSequence, D17b_MigratedFilesAndDirectories) {
  ends_equal("mkdir D; create D/f x; mkdir D/E; create D/E/g y",
             "migrate D/f; migrate D; migrate D/E; write D/E/g z; migrate D/f");
}
TEST(LustreSequence, D17c_ASymlinkRenamedAcrossMdtsIsLoggedAsMigrt) {
  ends_equal("mkdir A; mkdir B; symlink A/s text", "mvmigrate A/s B/t; symlink A/s other");
}
TEST(LustreSequence, D17d_HardLinksElsewhereGetTheNewFidWithoutARecord) {
  ends_equal("mkdir A; mkdir B; create A/f x; ln A/f B/g; ln A/f h", "migrate A/f; write h y");
}
// Every look of a batch says ESTALE or ENOENT.
TEST(LustreSequence, Bad_ObjectsThatAreAllGoneWhenTheirRecordsCome) {
  std::string sequence;
  for (int i = 0; i < 50; ++i) {
    std::string n = std::to_string(i);
    sequence += "mkdir D" + n + "; create D" + n + "/f x; ln D" + n + "/f g" + n + "; chmod 600 g" + n + "; mv D" + n +
                "/f h" + n + "; rm g" + n + "; rm h" + n + "; rmdir D" + n + ";";
  }
  for (size_t mdts = 1; mdts <= 3; ++mdts) {
    Player player(mdts, mdts);
    player.start();
    ASSERT_EQ(player.settle(), "");
    player.lustre.run(sequence);
    ASSERT_EQ(player.settle(), "");
    ASSERT_EQ(player.replay(), "");
  }
}
// A record that somebody looked at an attribute is the last of that object until the next clear.
TEST(LustreSequence, C4_AnAclThatChangesBehindARecordOfReading) {
  ends_equal("create f x; setfacl f one", "hiddenacl f two");
}
TEST(LustreSequence, D18a_AnotherTypeUnderTheSameName) {
  ends_equal("create a x; mkdir b; symlink c t", "rm a; mkdir a; rmdir b; symlink b a; rm c; create c y; create a/f z");
}
TEST(LustreSequence, D18b_NothingIsWrittenThroughAHardLinkThatIsLeft) {
  ends_equal("create a one; ln a b", "rm b; create b two; write b three");
}
TEST(LustreSequence, D20a_WhatIsBetweenTwoNamesDoesNotStay) {
  ends_equal("mkdir A; mkdir A/B; create A/B/f x",
             "mv A/B T; rmdir A; mv T A; mkdir T; mv A T/A; rm T/A/f; rmdir T/A; rmdir T");
}
TEST(LustreSequence, D20b_ANameThatLustreRsyncKeepsForItself) {
  ends_equal("mkdir .lustrerepl; create .lustrerepl/f x", "mv .lustrerepl/f .lustrerepl/g; create .lustrerepl/h y");
}
TEST(LustreSequence, D22_AReadErrorIsNotTheEnd) {
  Player player(1, 2);
  player.start();
  ASSERT_EQ(player.settle(), "");
  player.lustre.run("create f x");
  player.feed->fails = true;
  Result<bool> step = player.engine->step();
  ASSERT_FALSE(step);
  EXPECT_EQ(step.error().code(), Code::io);
  player.start();
  EXPECT_EQ(player.settle(), "");
}
TEST(LustreSequence, D23_OneNamesHistoryOnSeveralMdts) {
  ends_equal("mkdir A; mkdir B",
             "mkdir A/X; create A/X/f x; mv A/X B/Y; ln B/Y/f A/l; rm B/Y/f; rmdir B/Y; mkdir A/X; mv A/l A/X/l");
}
TEST(LustreSequence, D24_DeeperThanAnyPath) {
  std::string sequence, path;
  for (int i = 0; i < 60; ++i) {
    path += (path.empty() ? "" : "/") + std::string(100, static_cast<char>('a' + i % 26));
    sequence += "mkdir " + path + "; ";
  }
  ends_equal(
      "", sequence + "create " + path + "/f x; mv " + std::string(100, 'a') + " short; mkdir " + std::string(100, 'a'));
}

// Part E: what lustre-rsync-test and sanity ask, as far as a consumer can do it.
TEST(LustreSequence, E_rsync1A_TheUsualOperations) {
  ends_equal(
      "mkdir d; mkdir e",
      "create d/a x; mv d/a e/b; create d/gone y; rm d/gone; mkdir d/dir; create d/dir/f z; rm d/dir/f; rmdir d/dir; "
      "ln e/b e/hard; symlink e/soft b; chmod 000 e/b; chown 500 e/b; setx e/b user.large " +
          std::string(3000, 'l') + "; setx e/b user.s s");
}
TEST(LustreSequence, E_rsync1a_InTheRoot) {
  ends_equal("create keep x", "create a x; mv a b; rm b; mkdir c; mv c d; rmdir d");
}
TEST(LustreSequence, E_rsync3_ManyFiles) {
  std::string many, again;
  for (int i = 0; i < 300; ++i) {
    std::string name = "f" + std::to_string(i);
    many += "create d/" + name + " " + name + "; ";
    if (i % 2) again += "rm d/" + name + "; ";
  }
  Player player(1, 2);
  player.lustre.run("mkdir d");
  player.start();
  ASSERT_EQ(player.settle(), "");
  player.lustre.run(many + again);
  ASSERT_EQ(player.settle(), "");
}
TEST(LustreSequence, E_rsync6_128HardLinks) {
  std::string links = "create f x; ";
  for (int i = 0; i < 128; ++i) links += "ln f link" + std::to_string(i) + "; ";
  ends_equal("", links + "mv link1 1link1; rm link12; mv f g; write g y");
}
TEST(LustreSequence, E_rsync8_NestedDirectoriesRenamedAndFilled) {
  ends_equal("",
             "mkdir a; mkdir a/b; mkdir a/b/c; create a/b/c/f x; mv a/b/c a/b/d; create a/b/d/g y; mv a/b a/e; mv a z; "
             "create z/e/d/h q");
}
TEST(LustreSequence, E_rsync9_ATreeRemoved) {
  ends_equal("mkdir a; mkdir a/b; create a/b/f x; create a/g y; ln a/g a/h",
             "rm a/b/f; rmdir a/b; rm a/g; rm a/h; rmdir a");
}
TEST(LustreSequence, E_160b_LongestNames) {
  std::string name(255, 'n');
  ends_equal("create " + name + " x", "mv " + name + " " + std::string(255, 'm'));
}
TEST(LustreSequence, E_161a_LinksThatOutliveTheirFirstMiddleAndLast) {
  ends_equal("mkdir d; create d/a x; ln d/a d/b; ln d/a d/c; ln d/a e", "rm d/a; rm d/c; mv e f; rm f; write d/b y");
}
TEST(LustreSequence, E_161c_OverwritesOfLastAndFurtherLinks) {
  ends_equal("create a x; create b y; ln b c; create d z", "mv a b; mv d c; create a w; mv a q");
}

}  // namespace
}  // namespace reel::sim

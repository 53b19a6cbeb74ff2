// SPDX-License-Identifier: Apache-2.0
#include "tree/posix/posix_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "by_hand.h"
#include "scratch.h"
#include "tree/lustre/fid_path.h"
#include "tree/posix/posix_target.h"
#include "verify/verify.h"

namespace reel::mirror::test {
namespace {

// What verify finds, a line each.
std::string verified(const std::string& source, const std::string& target) {
  std::string lines;
  VerifyEvents events;
  events.difference = [&](const Difference& d) { lines += to_line(d) + "\n"; };
  events.error = [&](const Error& e) { lines += e.text() + "\n"; };
  Result<VerifySummary> summary = verify(source, target, {}, events);
  return summary ? lines : summary.error().text();
}

// source and target file system
class PosixTrees : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(PosixTrees, WhatIsCopiedIsEqual) {
  Scratch from(GetParam().first), to(GetParam().second);
  if (!from.missing().empty()) GTEST_SKIP() << from.missing();
  if (!to.missing().empty()) GTEST_SKIP() << to.missing();
  make_dir(from / "tree");
  make_dir(to / "tree");
  make_zoo(from / "tree");
  auto source = PosixSource::open(from / "tree");
  ASSERT_TRUE(source) << source.error().text();
  EXPECT_EQ((*source)->by_handle(), is_root());
  auto target = PosixTarget::open(to / "tree");
  ASSERT_TRUE(target) << target.error().text();
  Status copied = ByHand(**source, **target).copy();
  ASSERT_TRUE(copied) << copied.error().text();
  std::string differences;
  shell(
      "rsync -naHAXS --checksum --delete -i --filter='-x trusted.link' "
      "--filter='-x trusted.SGI_ACL_*' " +
          from / "tree/ " + to / "tree/",
      &differences);
  EXPECT_EQ(differences, "");
  EXPECT_EQ(verified(from / "tree", to / "tree"), "");
  // Once more changes nothing, not even a ctime.
  auto before = (*target)->root().operator*();
  Result<Attributes> file = (*target)->stat(before, "large");
  ASSERT_TRUE(file);
  Result<Attributes> wanted = (*source)->stat((*source)->lookup((*source)->root(), "large")->fid);
  ASSERT_TRUE(wanted);
  ASSERT_TRUE((*target)->set_attributes(nullptr, before, "large", {*wanted, {}}));
  EXPECT_EQ((*target)->stat(before, "large")->ctime, file->ctime);
}

INSTANTIATE_TEST_SUITE_P(FileSystems, PosixTrees,
                         testing::Values(std::pair("dir", "dir"), std::pair("ext4", "xfs"), std::pair("xfs", "btrfs"),
                                         std::pair("btrfs", "ext4"), std::pair("tmpfs", "ext4"),
                                         std::pair("ext4", "tmpfs"), std::pair("xfs", "xfs")),
                         [](const auto& pair) { return std::string(pair.param.first) + "_to_" + pair.param.second; });

std::unique_ptr<PosixSource> open_source(const std::string& path, PosixSource::Options options = {}) {
  auto source = PosixSource::open(path, options);
  EXPECT_TRUE(source) << source.error().text();
  return source ? *std::move(source) : nullptr;
}

std::set<std::string> names_in(PosixSource& source, const Fid& dir, const FidHint& hint = nullptr) {
  std::set<std::string> names;
  Status listed = source.list(
      dir,
      [&](const SourceEntry& entry) {
        names.emplace(entry.name);
        return ok();
      },
      hint);
  EXPECT_TRUE(listed) << listed.error().text();
  return names;
}

TEST(PosixSource, AnObjectIsFoundUntilItIsGone) {
  Scratch scratch;
  make_dir(scratch / "dir");
  write_file(scratch / "dir/file", "12345");
  auto source = open_source(scratch.path());
  if (!source->by_handle()) GTEST_SKIP() << "needs CAP_DAC_READ_SEARCH";
  auto dir = source->lookup(source->root(), "dir");
  ASSERT_TRUE(dir);
  EXPECT_EQ(dir->attributes.type, FileType::directory);
  const Fid dir_fid = dir->fid, file_fid = source->lookup(dir_fid, "file")->fid;
  EXPECT_EQ(source->stat(file_fid)->size, 5u);
  auto held = source->open(file_fid);
  ASSERT_TRUE(held);
  ASSERT_EQ(shell("rm -r " + scratch / "dir"), 0);
  // Its inode lives on while it is open, here and in the cache of directories.
  EXPECT_TRUE(source->stat(file_fid).is(Code::not_found));
  EXPECT_TRUE(source->open(file_fid).is(Code::not_found));
  EXPECT_TRUE(source->stat(dir_fid).is(Code::not_found));
  EXPECT_TRUE(source->lookup(dir_fid, "file").is(Code::not_found));
  EXPECT_TRUE(source->list(dir_fid, [](const SourceEntry&) { return ok(); }).is(Code::not_found));
  EXPECT_TRUE(source->stat(Fid{1, 2, 3}).is(Code::not_found));
  EXPECT_TRUE(source->stat(Fid{}).is(Code::not_found));
}

TEST(PosixSource, OnlyPlainNamesAreLookedUp) {
  Scratch scratch;
  make_dir(scratch / "dir");
  write_file(scratch / "dir/file", "");
  auto source = open_source(scratch / "dir");
  for (const std::string& name : {std::string(""), std::string("."), std::string(".."), std::string("../dir"),
                                  std::string("/etc"), std::string("file\0", 5)})
    EXPECT_TRUE(source->lookup(source->root(), name).is(Code::invalid)) << name;
}

TEST(PosixSource, AHintSparesTheQuestionForTheFid) {
  Scratch scratch;
  write_file(scratch / "known", "");
  write_file(scratch / "unknown", "");
  auto source = open_source(scratch.path());
  Fid known{7, 7, 7};
  std::map<std::string, Fid> found;
  ASSERT_TRUE(source->list(
      source->root(),
      [&](const SourceEntry& entry) {
        found[std::string(entry.name)] = entry.fid;
        return ok();
      },
      [&](std::string_view name, const Attributes&) { return name == "known" ? std::optional(known) : std::nullopt; }));
  EXPECT_EQ(found["known"], known);
  EXPECT_EQ(found["unknown"], source->lookup(source->root(), "unknown")->fid);
}

TEST(PosixSource, ManyDirectoriesGoThroughTheCache) {
  Scratch scratch;
  std::vector<Fid> dirs;
  auto source = open_source(scratch.path());
  for (int i = 0; i < 600; i++) {
    make_dir(scratch / std::to_string(i));
    write_file(scratch / (std::to_string(i) + "/" + std::to_string(i)), "");
    dirs.push_back(source->lookup(source->root(), std::to_string(i))->fid);
  }
  if (!source->by_handle()) GTEST_SKIP() << "needs CAP_DAC_READ_SEARCH";
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 600; i++) {
      EXPECT_TRUE(source->lookup(dirs[i], std::to_string(i)));
      EXPECT_TRUE(source->lookup(dirs[i], std::to_string(i + 1)).is(Code::not_found));
    }
  }
}

TEST(PosixSource, WhatIsMountedOnTopIsNotThere) {
  Scratch scratch("ext4"), other("tmpfs");
  if (!scratch.missing().empty()) GTEST_SKIP() << scratch.missing();
  make_dir(scratch / "tree");
  make_dir(scratch / "tree/point");
  write_file(scratch / "tree/point/beneath", "");
  write_file(other / "on top", "");
  ASSERT_EQ(shell("mount --bind " + other.path() + " " + scratch / "tree/point"), 0);
  {
    auto cloned = open_source(scratch / "tree");
    auto point = cloned->lookup(cloned->root(), "point");
    ASSERT_TRUE(point);
    EXPECT_EQ(names_in(*cloned, point->fid), std::set<std::string>{"beneath"});
    auto plain = open_source(scratch / "tree", {.by_handle = true, .clone_mount = false});
    EXPECT_TRUE(plain->lookup(plain->root(), "point").is(Code::not_found));
    EXPECT_EQ(names_in(*plain, plain->root()), std::set<std::string>());
  }
  // Nothing of the source keeps the file system busy.
  EXPECT_EQ(shell("umount " + scratch / "tree/point"), 0);
  EXPECT_EQ(shell("umount " + scratch.path()), 0);
}

TEST(PosixSource, AMountingIsKnownByANameThatNoOtherHas) {
  Scratch scratch("ext4");
  if (!scratch.missing().empty()) GTEST_SKIP() << scratch.missing();
  make_dir(scratch / "tree");
  make_dir(scratch / "again");
  std::string again = scratch / "again";
  std::string first = open_source(scratch / "tree")->mounting();
  if (first.empty()) GTEST_SKIP() << "needs Linux 6.8";
  EXPECT_EQ(open_source(scratch / "tree")->mounting(), first);
  EXPECT_EQ(shell("mount -o remount,noatime " + scratch.path()), 0);
  EXPECT_EQ(open_source(scratch / "tree", {.clone_mount = false})->mounting(), first);
  std::set<std::string> names{first};
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(shell("mount --bind " + scratch / "tree" + " " + again), 0);
    EXPECT_TRUE(names.insert(open_source(again)->mounting()).second);
    ASSERT_EQ(shell("umount " + again), 0);
  }
}

TEST(PosixSource, ReadingLeavesNoTrace) {
  Scratch scratch("ext4");
  if (!scratch.missing().empty()) GTEST_SKIP() << scratch.missing();
  ASSERT_EQ(shell("mount -o remount,strictatime " + scratch.path()), 0);
  write_file(scratch / "file", "text");
  struct timespec old[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (scratch / "file").c_str(), old, 0), 0);
  ASSERT_EQ(::utimensat(AT_FDCWD, scratch.path().c_str(), old, 0), 0);
  auto source = open_source(scratch.path());
  names_in(*source, source->root());
  auto file = source->open(source->lookup(source->root(), "file")->fid);
  char byte;
  ASSERT_EQ(::pread((*file)->fd(), &byte, 1, 0), 1);
  EXPECT_EQ(source->stat(**file)->atime, (Time{1, 0}));
  EXPECT_EQ(source->stat(source->root())->atime, (Time{1, 0}));
}

// A locator that tells what was listed, as the mirror's index does.
struct Places {
  std::map<Fid, std::pair<Fid, std::string>> known;

  PosixSource::Locator locator() {
    return [this](const Fid& fid) -> std::optional<std::pair<Fid, std::string>> {
      auto place = known.find(fid);
      if (place == known.end()) return std::nullopt;
      return place->second;
    };
  }
  void learn(PosixSource& source, const Fid& dir) {
    std::vector<Fid> below;
    ASSERT_TRUE(source.list(dir, [&](const SourceEntry& entry) {
      known[entry.fid] = {dir, std::string(entry.name)};
      if (entry.attributes.type == FileType::directory) below.push_back(entry.fid);
      return ok();
    }));
    for (const Fid& fid : below) learn(source, fid);
  }
};

TEST(PosixSourceWalk, WithoutHandlesALocatorLeadsTheWay) {
  Scratch from, to;
  make_zoo(from.path());
  auto source = open_source(from.path(), {.by_handle = false, .clone_mount = false});
  EXPECT_FALSE(source->by_handle());
  Places places;
  source->set_locator(places.locator());
  places.learn(*source, source->root());
  auto target = PosixTarget::open(to.path());
  ASSERT_TRUE(target);
  Status copied = ByHand(*source, **target).copy();
  ASSERT_TRUE(copied) << copied.error().text();
  EXPECT_EQ(verified(from.path(), to.path()), "");
}

TEST(PosixSourceWalk, AWrongLocatorCannotLeadAstray) {
  Scratch scratch;
  make_dir(scratch / "dir");
  write_file(scratch / "dir/file", "");
  ASSERT_EQ(shell("ln -s dir " + scratch / "link"), 0);
  auto source = open_source(scratch.path(), {.by_handle = false, .clone_mount = false});
  Places places;
  source->set_locator(places.locator());
  places.learn(*source, source->root());
  Fid dir = source->lookup(source->root(), "dir")->fid, file = source->lookup(dir, "file")->fid;
  Fid link = source->lookup(source->root(), "link")->fid;
  ASSERT_TRUE(source->stat(file));
  auto wrong = [&](const Fid& parent, const std::string& name) {
    places.known[file] = {parent, name};
    Result<Attributes> found = source->stat(file);
    return !found && (found.is(Code::not_found) || found.is(Code::invalid) || found.is(Code::io));
  };
  EXPECT_TRUE(wrong(dir, "other"));
  EXPECT_TRUE(wrong(dir, ".."));
  EXPECT_TRUE(wrong(dir, "../dir/file"));
  EXPECT_TRUE(wrong(link, "file"));
  EXPECT_TRUE(wrong(source->root(), "dir"));
  EXPECT_TRUE(wrong(file, "file"));
}

// Somebody swaps a directory for a symlink that leads outside, again and again.
class Attack : public testing::TestWithParam<bool> {};

TEST_P(Attack, NothingOutsideIsEverRead) {
  Scratch scratch;
  make_dir(scratch / "inside");
  make_dir(scratch / "inside/door");
  make_dir(scratch / "outside");
  write_file(scratch / "inside/door/file", "inside");
  write_file(scratch / "outside/file", "OUTSIDE");
  write_file(scratch / "outside/secret", "OUTSIDE");
  ASSERT_EQ(shell("ln -s ../outside " + scratch / "inside/trap"), 0);
  auto source = open_source(scratch / "inside", {.by_handle = GetParam(), .clone_mount = true});
  if (GetParam() && !source->by_handle()) GTEST_SKIP() << "needs CAP_DAC_READ_SEARCH";
  Places places;
  source->set_locator(places.locator());
  places.learn(*source, source->root());
  std::atomic<bool> stop = false;
  std::thread attacker([&, door = scratch / "inside/door", trap = scratch / "inside/trap"] {
    while (!stop) ::renameat2(AT_FDCWD, door.c_str(), AT_FDCWD, trap.c_str(), RENAME_EXCHANGE);
  });
  int read = 0;
  for (int round = 0; round < 3000; round++) {
    for (const char* name : {"door", "trap"}) {
      auto found = source->lookup(source->root(), name);
      if (!found) continue;
      ASSERT_TRUE(found->attributes.type == FileType::symlink || found->attributes.type == FileType::directory);
      const Fid fid = found->fid;
      places.known[fid] = {source->root(), name};
      EXPECT_FALSE(source->lookup(fid, "secret"));
      auto file = source->lookup(fid, "file");
      if (!file) continue;
      places.known[file->fid] = {fid, "file"};
      auto opened = source->open(file->fid);
      if (!opened) continue;
      char text[8] = {};
      ASSERT_EQ(::pread((*opened)->fd(), text, 7, 0), 6);
      ASSERT_STREQ(text, "inside");
      read++;
      Status listed = source->list(fid, [](const SourceEntry& entry) {
        EXPECT_EQ(entry.name, "file");
        return ok();
      });
      ignore(listed, "the directory may have moved");
    }
  }
  stop = true;
  attacker.join();
  EXPECT_GT(read, 0);
}

INSTANTIATE_TEST_SUITE_P(PosixSource, Attack, testing::Values(true, false),
                         [](const auto& by) { return by.param ? "by_handle" : "by_walking"; });

TEST(PosixSource, APathIsFoundForAFid) {
  Scratch scratch;
  make_dir(scratch / "a");
  make_dir(scratch / "a/b");
  write_file(scratch / "a/b/file", "");
  ASSERT_EQ(::link((scratch / "a/b/file").c_str(), (scratch / "other").c_str()), 0);
  using Paths = std::vector<std::string>;
  for (bool by_handle : {true, false}) {
    auto source = open_source(scratch.path(), {.by_handle = by_handle, .clone_mount = by_handle});
    auto fid = [&](const std::string& path) { return fid_at(AT_FDCWD, (scratch / path).c_str())->fid; };
    EXPECT_EQ(*find_paths(*source, source->root()), Paths{""});
    EXPECT_EQ(*find_paths(*source, fid("a/b")), Paths{"a/b"});
    EXPECT_EQ(*find_paths(*source, fid("other")), (Paths{"a/b/file", "other"}));
    EXPECT_TRUE(find_paths(*source, Fid{1, 2, 0}).is(Code::not_found));
    auto below = open_source(scratch / "a", {.by_handle = by_handle, .clone_mount = by_handle});
    EXPECT_EQ(*find_paths(*below, fid("other")), Paths{"b/file"});
    EXPECT_TRUE(find_paths(*below, source->root()).is(Code::not_found));
  }
}

}  // namespace
}  // namespace reel::mirror::test

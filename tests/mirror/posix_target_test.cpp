// SPDX-License-Identifier: Apache-2.0
#include "tree/posix/posix_target.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <atomic>
#include <set>

#include "by_hand.h"
#include "scratch.h"
#include "tree/posix/posix_source.h"

namespace reel::mirror::test {
namespace {

class Target : public testing::Test {
 protected:
  void SetUp() override { open(scratch_.path()); }
  void open(const std::string& path) {
    auto target = PosixTarget::open(path);
    ASSERT_TRUE(target) << target.error().text();
    target_ = *std::move(target);
    root_ = *target_->root();
  }
  // What is there, as a change that would make it so.
  AttributeChange as_is(const std::string& name) {
    AttributeChange change;
    change.attributes = *target_->stat(root_, name);
    return change;
  }

  Scratch scratch_;
  std::unique_ptr<PosixTarget> target_;
  TargetDirPtr root_;
};

TEST_F(Target, NewObjectsAreWhatWasAskedFor) {
  mode_t before = ::umask(077);
  auto dir = target_->make_dir(root_, "dir");
  ASSERT_TRUE(dir);
  EXPECT_EQ(dir->mode & 0777, 0700u);
  EXPECT_NE(dir->ino, 0u);
  ASSERT_TRUE(target_->create(root_, "file", 0666, ""));
  ::umask(before);
  EXPECT_EQ(target_->stat(root_, "file")->mode, 0666u);
  EXPECT_TRUE(target_->create(root_, "file", 0600, "").is(Code::exists));
  EXPECT_TRUE(target_->make_dir(root_, "dir").is(Code::exists));
  EXPECT_EQ(target_->make_symlink(root_, "link", "/etc")->type, FileType::symlink);
  EXPECT_EQ(target_->make_node(root_, "fifo", FileType::fifo, 0)->type, FileType::fifo);
  EXPECT_TRUE(target_->make_node(root_, "x", FileType::regular, 0).is(Code::invalid));
  if (is_root()) {
    EXPECT_EQ(target_->make_node(root_, "null", FileType::char_device, makedev(1, 3))->rdev, makedev(1, 3));
  }
}

TEST_F(Target, RenameNeverReplaces) {
  write_file(scratch_ / "a", "a");
  write_file(scratch_ / "b", "b");
  EXPECT_TRUE(target_->rename(root_, "a", root_, "b").is(Code::exists));
  EXPECT_EQ(read_file(scratch_ / "b"), "b");
  EXPECT_TRUE(target_->rename(root_, "a", root_, "c"));
  EXPECT_TRUE(target_->rename(root_, "a", root_, "d").is(Code::not_found));
}

TEST_F(Target, NamesNeverLeadOut) {
  make_dir(scratch_ / "dir");
  ASSERT_TRUE(target_->make_symlink(root_, "out", "/tmp"));
  EXPECT_FALSE(target_->open_dir(root_, "out"));
  EXPECT_TRUE(target_->open_dir(root_, "..").is(Code::invalid));
  EXPECT_TRUE(target_->unlink(root_, "dir/../x").is(Code::invalid));
  EXPECT_TRUE(target_->create(root_, "", 0600, "").is(Code::invalid));
  EXPECT_TRUE(target_->open(root_, "out").is(Code::invalid));
  ASSERT_TRUE(target_->make_node(root_, "fifo", FileType::fifo, 0));
  EXPECT_TRUE(target_->open(root_, "fifo").is(Code::invalid));
}

TEST_F(Target, ListTellsAllAndCanBeNested) {
  make_dir(scratch_ / "dir");
  write_file(scratch_ / "dir/file", "");
  std::set<std::string> names;
  ASSERT_TRUE(target_->list(root_, [&](const TargetEntry& entry) -> Status {
    names.emplace(entry.name);
    TRY_ASSIGN(TargetDirPtr dir, target_->open_dir(root_, "dir"));
    return target_->list(dir, [&](const TargetEntry& below) {
      names.emplace(below.name);
      return ok();
    });
  }));
  EXPECT_EQ(names, (std::set<std::string>{"dir", "file"}));
}

TEST_F(Target, AttributesThatAreNotWantedGo) {
  write_file(scratch_ / "file", "");
  ASSERT_EQ(shell("setfattr -n user.old -v x " + scratch_ / "file && setfacl -m u:5:rwx " + scratch_ / "file"), 0);
  AttributeChange change = as_is("file");
  change.attributes.mode = 0640;
  change.attributes.mtime = {-77, 5};
  change.xattrs = {{"user.new", std::string("\0\1", 2)}};
  ASSERT_TRUE(target_->set_attributes(nullptr, root_, "file", change));
  std::string listed;
  shell("getfattr -d -m - " + scratch_ / "file --absolute-names | grep -v '^#' | grep -v '^$'", &listed);
  EXPECT_EQ(listed, "user.new=0sAAE=\n");
  EXPECT_EQ(target_->stat(root_, "file")->mode, 0640u);
  EXPECT_EQ(target_->stat(root_, "file")->mtime, (Time{-77, 5}));
  // By the open file it is the same, and nothing is left to do.
  Time ctime = target_->stat(root_, "file")->ctime;
  auto file = target_->open(root_, "file");
  ASSERT_TRUE(file);
  ASSERT_TRUE(target_->set_attributes(file->get(), nullptr, "", change));
  EXPECT_EQ(target_->stat(root_, "file")->ctime, ctime);
}

TEST_F(Target, AllThatCanBeSetIsSetWhenSomethingFails) {
  write_file(scratch_ / "file", "");
  AttributeChange change = as_is("file");
  change.attributes.mode = 0600;
  change.attributes.mtime = {1000, 1};
  change.xattrs = {{"user.name-that-is-longer-than-any-may-be" + std::string(250, 'x'), "v"}};
  EXPECT_FALSE(target_->set_attributes(nullptr, root_, "file", change));
  EXPECT_EQ(target_->stat(root_, "file")->mode, 0600u);
  EXPECT_EQ(target_->stat(root_, "file")->mtime, (Time{1000, 1}));
}

TEST_F(Target, SetuidSurvivesTheOwner) {
  if (!is_root()) GTEST_SKIP() << "needs root to change owners";
  write_file(scratch_ / "file", "");
  AttributeChange change = as_is("file");
  change.attributes.uid = 12;
  change.attributes.gid = 13;
  change.attributes.mode = 06755;
  ASSERT_TRUE(target_->set_attributes(nullptr, root_, "file", change));
  EXPECT_EQ(target_->stat(root_, "file")->mode, 06755u);
  change.attributes.uid = 14;
  ASSERT_TRUE(target_->set_attributes(nullptr, root_, "file", change));
  EXPECT_EQ(target_->stat(root_, "file")->mode, 06755u);
}

// The kernel tells of it once to each open file: neither may swallow what the other is to hear.
TEST_F(Target, WhatTheEarlyFlushCouldNotWriteIsAnErrorOfSync) {
  Scratch ext4("ext4");
  if (!ext4.missing().empty()) GTEST_SKIP() << ext4.missing();
  open(ext4.path());
  write_file(ext4 / "file", std::string(1 << 20, 'x'));
  int dir = ::open(ext4.path().c_str(), O_RDONLY | O_DIRECTORY);
  uint32_t without_journal = 2;
  ASSERT_EQ(::ioctl(dir, _IOR('X', 125, uint32_t), &without_journal), 0);  // FS_IOC_SHUTDOWN
  ::close(dir);
  std::atomic<int> failures{0};
  target_->begin_sync([&] { ++failures; });
  EXPECT_FALSE(target_->sync());
  EXPECT_EQ(failures, 1);
  EXPECT_FALSE(target_->sync());
}

TEST_F(Target, ImmutableObjectsAreChangedAllTheSame) {
  Scratch ext4("ext4");
  if (!ext4.missing().empty()) GTEST_SKIP() << ext4.missing();
  open(ext4.path());
  make_dir(ext4 / "dir");
  write_file(ext4 / "dir/locked", "x");
  write_file(ext4 / "dir/append", "x");
  ASSERT_EQ(shell("cd " + ext4 / "dir && chattr +i locked && chattr +a append && chattr +i ."), 0);
  auto dir = target_->open_dir(root_, "dir");
  ASSERT_TRUE(dir);
  ASSERT_TRUE(target_->create(*dir, "new", 0600, ""));
  auto locked = target_->open(*dir, "locked");
  ASSERT_TRUE(locked) << locked.error().text();
  AttributeChange change;
  change.attributes = *target_->stat(**locked);
  change.attributes.mode = 0711;
  change.attributes.inode_flags = FS_IMMUTABLE_FL | FS_NOATIME_FL;
  ASSERT_TRUE(target_->set_attributes(locked->get(), nullptr, "", change));
  EXPECT_EQ(target_->stat(**locked)->inode_flags, change.attributes.inode_flags);
  change.attributes.mode = 0700;
  ASSERT_TRUE(target_->set_attributes(nullptr, *dir, "locked", change));
  EXPECT_EQ(target_->stat(**locked)->inode_flags, change.attributes.inode_flags);
  EXPECT_EQ(target_->stat(**locked)->mode, 0700u);
  // A new name takes nothing from the object: nothing may look at its flags again in this batch.
  EXPECT_TRUE(target_->rename(*dir, "locked", root_, "moved"));
  EXPECT_TRUE(target_->stat(root_, "moved")->inode_flags & FS_IMMUTABLE_FL);
  EXPECT_TRUE(target_->link(root_, "moved", *dir, "linked"));
  EXPECT_TRUE(target_->stat(*dir, "linked")->inode_flags & FS_IMMUTABLE_FL);
  EXPECT_TRUE(target_->unlink(*dir, "linked"));
  EXPECT_TRUE(target_->stat(root_, "moved")->inode_flags & FS_IMMUTABLE_FL);
  EXPECT_TRUE(target_->unlink(*dir, "append"));
  EXPECT_TRUE(target_->unlink(root_, "moved"));
  ASSERT_EQ(shell("chattr +i " + ext4 / "dir"), 0);
  EXPECT_TRUE(target_->unlink(*dir, "new"));
  ASSERT_EQ(shell("chattr +a " + ext4 / "dir"), 0);
  EXPECT_TRUE(target_->remove_dir(root_, "dir"));
  EXPECT_TRUE(target_->sync());
}

TEST_F(Target, EveryFileSystemTakesTheFlagsItIsSaidToTake) {
  for (const char* kind : {"ext4", "xfs", "btrfs", "tmpfs"}) {
    Scratch scratch(kind);
    if (!scratch.missing().empty()) GTEST_SKIP() << scratch.missing();
    open(scratch.path());
    write_file(scratch / "file", "x");
    AttributeChange change = as_is("file");
    change.attributes.inode_flags = kMirroredFlags;
    Status set = target_->set_attributes(nullptr, root_, "file", change);
    ASSERT_TRUE(set) << kind << ": " << set.error().text();
    Fd file(::open((scratch / "file").c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(*get_flags(file.get()) | FS_DIRSYNC_FL, settable_flags(file.get()) | FS_DIRSYNC_FL) << kind;
    change.attributes.inode_flags = 0;
    ASSERT_TRUE(target_->set_attributes(nullptr, root_, "file", change)) << kind;
    EXPECT_EQ(*get_flags(file.get()), 0u) << kind;
  }
}

// Runs as nobody while it lives.
class AsNobody {
 public:
  AsNobody() { changed_ = ::seteuid(65534) == 0; }
  ~AsNobody() {
    if (changed_ && ::seteuid(0) != 0) ADD_FAILURE() << "cannot become root again";
  }

 private:
  bool changed_ = false;
};

TEST_F(Target, WithoutRootWhatIsPossibleIsDone) {
  if (!is_root()) GTEST_SKIP() << "needs root to become somebody else";
  ASSERT_EQ(::chmod(scratch_.path().c_str(), 0777), 0);
  ASSERT_EQ(shell("chmod 755 " + scratch_ / ".."), 0);
  make_dir(scratch_ / "from", 0777);
  make_dir(scratch_ / "to", 0777);
  AsNobody nobody;
  // Its own tree, full of modes that keep the owner out.
  std::string from = scratch_ / "from";
  make_dir(from + "/closed");
  write_file(from + "/closed/file", "text");
  ASSERT_EQ(::setxattr((from + "/closed/file").c_str(), "user.x", "y", 1, 0), 0);
  ASSERT_EQ(::chmod((from + "/closed/file").c_str(), 0444), 0);
  ASSERT_EQ(::chmod((from + "/closed").c_str(), 0555), 0);
  auto source = PosixSource::open(from);
  ASSERT_TRUE(source) << source.error().text();
  EXPECT_FALSE((*source)->by_handle());
  std::map<Fid, std::pair<Fid, std::string>> places;
  (*source)->set_locator([&](const Fid& fid) {
    auto place = places.find(fid);
    return place == places.end() ? std::nullopt : std::optional(place->second);
  });
  auto closed = (*source)->lookup((*source)->root(), "closed");
  ASSERT_TRUE(closed);
  const Fid closed_fid = closed->fid;
  places[closed_fid] = {(*source)->root(), "closed"};
  auto inside = (*source)->lookup(closed_fid, "file");
  ASSERT_TRUE(inside);
  const Fid file_fid = inside->fid;
  places[file_fid] = {closed_fid, "file"};
  open(scratch_ / "to");
  ByHand by_hand(**source, *target_);
  Status copied = by_hand.copy();
  ignore(copied, "the root belongs to somebody else and its attributes cannot be set");
  EXPECT_EQ(read_file(scratch_ / "to/closed/file"), "text");
  auto dir = target_->open_dir(root_, "closed");
  ASSERT_TRUE(dir);
  EXPECT_EQ(target_->stat(*dir, "")->mode, 0555u);
  EXPECT_EQ(target_->stat(*dir, "file")->mode, 0444u);
  // A closed directory opens for a change, and its mode comes back with its attributes.
  ASSERT_TRUE(target_->open(*dir, "file"));
  ASSERT_TRUE(target_->create(*dir, "more", 0600, ""));
  AttributeChange change;
  change.attributes = *(*source)->stat(closed_fid);
  ASSERT_TRUE(target_->set_attributes(nullptr, *dir, "", change));
  EXPECT_EQ(target_->stat(*dir, "")->mode, 0555u);
  EXPECT_TRUE(target_->unlink(*dir, "more"));
  // Owners are left alone, devices are refused.
  change.attributes.uid = 0;
  EXPECT_TRUE(target_->set_attributes(nullptr, *dir, "", change));
  EXPECT_TRUE(target_->make_node(root_, "null", FileType::char_device, 259).is(Code::permission));
}

// What cannot be kept is told, by name; all the rest is set.
TEST_F(Target, WithoutXattrsTheyAreTroubleAndTheRestIsSet) {
  Scratch bare("ramfs");
  if (!bare.missing().empty()) GTEST_SKIP() << bare.missing();
  open(bare.path());
  ASSERT_TRUE(target_->create(root_, "file", 0600, ""));
  AttributeChange change = as_is("file");
  change.attributes.mode = 0640;
  change.attributes.uid = 7;
  change.attributes.mtime = {1000, 5};
  EXPECT_TRUE(target_->set_attributes(nullptr, root_, "file", change));
  change.attributes.mode = 0644;
  change.xattrs = {{"user.note", "text"}};
  Status set = target_->set_attributes(nullptr, root_, "file", change);
  ASSERT_FALSE(set);
  EXPECT_NE(set.error().text().find("user.note"), std::string::npos) << set.error().text();
  Attributes now = *target_->stat(root_, "file");
  EXPECT_EQ(now.mode, 0644u);
  EXPECT_EQ(now.uid, 7u);
  EXPECT_EQ(now.mtime, (Time{1000, 5}));
}

}  // namespace
}  // namespace reel::mirror::test

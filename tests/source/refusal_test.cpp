// SPDX-License-Identifier: Apache-2.0
//
// Where following is not possible it says so, and what is possible instead; and file systems that
// need special care.
#include <grp.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support.h"

namespace reel::source {
namespace {

TEST(Refusal, missing_directory) {
  MemoryWriter writer;
  auto source = watch_local("/nowhere/at/all", writer, {});
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code(), Code::not_found) << source.error().text();
}

TEST(Refusal, not_a_directory) {
  TempDir dir;
  ASSERT_TRUE(shell("touch " + dir.path() + "/file"));
  MemoryWriter writer;
  auto source = watch_local(dir.path() + "/file", writer, {});
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code(), Code::invalid) << source.error().text();
}

TEST(Refusal, without_privilege) {
  TempDir dir;
  ASSERT_TRUE(shell("chmod 755 " + dir.path()));
  EXPECT_TRUE(in_child([&] {
    if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setuid(65534) != 0)) return false;
    MemoryWriter writer;
    auto source = watch_local(dir.path(), writer, {});
    return !source && source.error().code() == Code::permission &&
           source.error().text().find("CAP_SYS_ADMIN") != std::string::npos &&
           source.error().text().find("--once") != std::string::npos;
  }));
}

TEST(Refusal, kernel_file_system) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  MemoryWriter writer;
  auto source = watch_local("/proc", writer, {});
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code(), Code::unsupported) << source.error().text();
}

TEST(Refusal, overlay_needs_nfs_export) {
  REEL_SCRATCH_FS(fs, "ext4");
  std::string base = fs.path(), merged = base + "/merged";
  ASSERT_TRUE(shell("mkdir " + base + "/lower " + base + "/upper " + base + "/work " + merged));
  std::string dirs = "lowerdir=" + base + "/lower,upperdir=" + base + "/upper,workdir=" + base + "/work";
  if (!shell("mount -t overlay -o " + dirs + " overlay " + merged)) GTEST_SKIP() << "cannot mount an overlay";
  MemoryWriter writer;
  auto source = watch_local(merged, writer, {});
  bool refused = !source;
  std::string text = refused ? source.error().text() : "";
  Code code = refused ? source.error().code() : Code::io;
  if (!refused) source->reset();
  ASSERT_TRUE(shell("umount " + merged));
  ASSERT_TRUE(refused);
  EXPECT_EQ(code, Code::unsupported) << text;
  EXPECT_NE(text.find("nfs_export"), std::string::npos) << text;
  EXPECT_NE(text.find("--once"), std::string::npos) << text;
}

// Only the top level of a btrfs can be marked: a subvolume is watched through it.
TEST(Btrfs, subvolume_is_watched) {
  REEL_SCRATCH_FS(fs, "btrfs");
  TempDir elsewhere;
  std::ifstream mounts("/proc/self/mounts");
  std::string device, point, rest;
  while (mounts >> device >> point && std::getline(mounts, rest))
    if (point == fs.path()) break;
  ASSERT_TRUE(shell("btrfs subvolume create " + fs.path() + "/sub"));
  ASSERT_TRUE(shell("mount -t btrfs -o subvol=sub " + device + " " + elsewhere.path()));
  ASSERT_TRUE(fs.unmount());  // the top level is nowhere to be seen
  {
    MemoryWriter writer;
    auto source = watch_local(elsewhere.path(), writer, {});
    EXPECT_TRUE(source) << source.error().text();
    if (source) {
      EXPECT_TRUE(in_child([&] { return ::mkdir((elsewhere.path() + "/new").c_str(), 0700) == 0; }));
      EXPECT_TRUE((*source)->barrier());
      auto records = writer.after(1);
      EXPECT_EQ(records.size(), 1u) << to_text(records);
      if (!records.empty()) {
        EXPECT_EQ(records[0].target, fid_of(elsewhere.path() + "/new"));
        EXPECT_EQ(records[0].parent, fid_of(elsewhere.path()));
      }
      EXPECT_EQ(::umount2(elsewhere.path().c_str(), 0), 0) << "the source keeps the file system busy";
      EXPECT_TRUE(eventually(10, [&] { return (*source)->health().is(Code::not_found); }));
    }
  }
  ::umount2(elsewhere.path().c_str(), MNT_DETACH);
}

// The queue limit is raised for the moment in which a group is made, and no longer.
TEST(QueueLimit, is_put_back) {
  REEL_SCRATCH_FS(fs, "tmpfs");
  auto limit = [] {
    std::ifstream file("/proc/sys/fs/fanotify/max_queued_events");
    std::string text;
    std::getline(file, text);
    return text;
  };
  std::string before = limit();
  MemoryWriter writer;
  LocalOptions options;
  options.queue_events = 1u << 21;
  auto source = watch_local(fs.path(), writer, options);
  ASSERT_TRUE(source) << source.error().text();
  EXPECT_EQ(limit(), before);
}

// More events than the kernel's default limit while the source cannot read: none is lost.
TEST(QueueLimit, is_raised) {
  REEL_SCRATCH_FS(fs, "tmpfs");
  MemoryWriter writer;
  auto source = watch_local(fs.path(), writer, {});
  ASSERT_TRUE(source) << source.error().text();
  writer.hold(true);
  bool made = in_child([&] {
    for (int i = 0; i < 60000; ++i)
      if (::mknod((fs.path() + "/n" + std::to_string(i)).c_str(), S_IFREG | 0600, 0) != 0) return false;
    return true;
  });
  writer.hold(false);
  ASSERT_TRUE(made);
  ASSERT_TRUE((*source)->barrier());
  EXPECT_EQ(writer.gaps().size(), 1u) << writer.gaps().back();
  EXPECT_EQ(writer.last_index(), 60001u);
}

}  // namespace
}  // namespace reel::source

// SPDX-License-Identifier: Apache-2.0
//
// Calls that failed, or did less than asked, when they were recorded: a replay must not do what they did not.
#include <errno.h>
#include <fcntl.h>

#include "made_by_hand.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;
using trace::Synthetic;

class FailedCalls : public MadeByHand {};

uint64_t skipped(const Fidelity& made, Skip why) {
  return made.skipped[static_cast<size_t>(why)];
}

// mv(1) to another file system: rename cannot do it, so it copies and removes.
TEST_F(FailedCalls, WhatWasOnAnotherFileSystemIsNotRenamed) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.file("/a/f", FileKind::file, 100);
  trace.file("/b/f", FileKind::absent);
  Event rename = Synthetic::make(thread, Op::rename, -EXDEV);
  rename.path = trace.path("/a/f");
  rename.path2 = trace.path("/b/f");
  trace.call(rename);
  trace::Descriptor from = trace.open(thread, "/a/f", O_RDONLY, 0, 3);
  trace::Descriptor to = trace.open(thread, "/b/f", O_WRONLY | O_CREAT | O_EXCL, 0600, 4);
  trace.on_fd(thread, Op::read, from, 0, 4096, 100);
  trace.on_fd(thread, Op::write, to, 0, 100, 100);
  trace.on_path(thread, Op::unlink, "/a/f");
  trace.finish();
  Fidelity made = good();
  EXPECT_EQ(skipped(made, Skip::refused), 1u);
  EXPECT_TRUE(there("into/b/f"));
  EXPECT_FALSE(there("into/a/f"));
}

TEST_F(FailedCalls, WhatWasForbiddenOrHadNoRoomIsNotDone) {
  for (int reason : {EACCES, EPERM, EROFS, ENOSPC, EDQUOT, EFBIG, EMFILE, EFAULT, EOPNOTSUPP, EIO, EINVAL}) {
    SCOPED_TRACE(reason);
    options_.log = dir_.at("log" + std::to_string(reason));
    options_.into = dir_.at("into" + std::to_string(reason));
    Synthetic trace(options_.log);
    uint32_t thread = trace.process();
    trace.file("/f", FileKind::file, 100);
    trace::Descriptor fd = trace.open(thread, "/f", O_WRONLY, 0, 3);
    trace.on_fd(thread, Op::write, fd, 0, 1000, -reason);
    trace.on_path(thread, Op::unlink, "/f", -reason);
    trace.on_path(thread, Op::mkdir, "/d", -reason);
    Event open = Synthetic::make(thread, Op::open, -reason);
    open.path = trace.path("/g");
    open.flags = O_CREAT | O_WRONLY;
    trace.call(open);
    trace.on_fd(thread, Op::close, fd, 0, 0, 0);
    trace.finish();
    Fidelity made = good();
    EXPECT_EQ(skipped(made, Skip::refused), 4u);
    EXPECT_EQ(std::filesystem::file_size(options_.into + "/f"), 100u);
    EXPECT_FALSE(std::filesystem::exists(options_.into + "/d"));
    EXPECT_FALSE(std::filesystem::exists(options_.into + "/g"));
  }
}

TEST_F(FailedCalls, AShortWriteIsAsShort) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.file("/f", FileKind::absent);
  trace::Descriptor fd = trace.open(thread, "/f", O_WRONLY | O_CREAT, 0600, 3);
  trace.on_fd(thread, Op::write, fd, 0, 10000, 8192);
  trace.on_fd(thread, Op::pwrite, fd, 8000, 10000, 5000);
  Event parts = Synthetic::make(thread, Op::pwritev, 900);
  parts.fd = fd;
  parts.offset = 13000;
  parts.length = 4000;
  parts.arg = 4;
  trace.call(parts);
  trace.finish();
  good();
  EXPECT_EQ(std::filesystem::file_size(dir_.at("into/f")), 13900u);
}

TEST_F(FailedCalls, AnEmptyNameIsNowhere) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.call(Synthetic::make(thread, Op::mkdir, -ENOENT));
  trace.call(Synthetic::make(thread, Op::open, -ENOENT));
  trace.call(Synthetic::make(thread, Op::unlink, -ENOENT));
  trace.call(Synthetic::make(thread, Op::utimens, -ENOENT));
  trace.finish();
  EXPECT_EQ(skipped(good(), Skip::nowhere), 4u);
}

TEST_F(FailedCalls, WhatHasNothingBelowItIsADirectory) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  Event readlink = Synthetic::make(thread, Op::readlink, -EINVAL);  // it is there, and no symlink
  readlink.path = trace.path("/d");
  trace.call(readlink);
  trace.on_path(thread, Op::stat, "/d/f", -ENOENT);
  readlink.path = trace.path("/e");
  trace.call(readlink);
  trace.on_path(thread, Op::stat, "/e/f", -ENOTDIR);
  trace.finish();
  good();
}

// Two take one file away; the one that ended first came too late.
TEST_F(FailedCalls, WhoFoundNothingToRenameCameBehindWhoTookIt) {
  Synthetic trace(options_.log);
  uint32_t takes = trace.process(), late = trace.process();
  trace.file("/f", FileKind::file, 1);
  trace.file("/q", FileKind::directory, 0, 0755);
  auto rename = [&](uint32_t thread, const std::string& to, int64_t result, uint64_t duration) {
    Event event = Synthetic::make(thread, Op::rename, result);
    event.path = trace.path("/f");
    event.path2 = trace.path(to);
    trace.call(event, 1000, duration);
  };
  rename(takes, "/q/f", 0, 90'000);
  rename(late, "/q/g", -ENOENT, 10'000);
  trace.finish();
  for (int i = 0; i < 5; ++i) {
    options_.into = dir_.at("into" + std::to_string(i));
    good();
    EXPECT_TRUE(std::filesystem::exists(options_.into + "/q/f"));
  }
}

// Who is in a directory that is removed leaves it by "..".
TEST_F(FailedCalls, ARemovedDirectoryStillHasAParent) {
  Synthetic trace(options_.log);
  uint32_t thread = trace.process();
  trace.file("/a", FileKind::directory, 0, 0755);
  trace.on_path(thread, Op::rmdir, "/a");
  trace.on_path(thread, Op::stat, "/a/../a", -ENOENT);
  trace.on_path(thread, Op::chdir, "/a/..");
  Event mkdir = Synthetic::make(thread, Op::mkdir, 0);
  mkdir.path = trace.path("/a/../b");
  mkdir.mode = 0755;
  trace.call(mkdir);
  trace.finish();
  good();
  EXPECT_TRUE(there("into/b"));
}

}  // namespace
}  // namespace reel::replay

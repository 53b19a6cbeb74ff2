// SPDX-License-Identifier: Apache-2.0
//
// What recorders hear in another order than it happened, put together rightly.
#include "trace/collect/assemble/assembler.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/env.h"
#include "support/files.h"

namespace reel::trace {
namespace {

constexpr int kParent = 10, kChild = 20;

class Children : public ::testing::Test {
 protected:
  void SetUp() override {
    writer_ = *Writer::open(Env::posix(), dir_.at("log"));
    assembler_.emplace(*writer_, surroundings_, Filter{}, 0);
    assembler_->begin(kParent, "/");
    Origin origin;
    origin.pid = origin.tid = kParent;
    parent_ = *assembler_->thread(origin);
  }

  void child_lives_and_dies(uint64_t from, uint64_t to) {
    Origin origin;
    origin.pid = origin.tid = kChild;
    origin.ppid = kParent;
    origin.made_ns = from;
    take(*assembler_->thread(origin), Op::exit, to, to, 0);
    ASSERT_TRUE(assembler_->process_ended(kChild));
  }
  void take(uint32_t thread, Op op, uint64_t enter, uint64_t exit, int64_t result) {
    Raw raw;
    raw.event.op = static_cast<uint16_t>(op);
    raw.event.enter_ns = enter;
    raw.event.exit_ns = exit;
    raw.event.result = result;
    raw.event.fd = raw.event.fd2 = -1;
    ASSERT_TRUE(assembler_->take(thread, raw));
  }
  // The children that the parent's calls made, as the trace has them.
  std::vector<uint64_t> made() {
    EXPECT_TRUE(assembler_->finish());
    EXPECT_TRUE(writer_->commit());
    trace_ = *load(Env::posix(), dir_.at("log"));
    std::vector<uint64_t> children;
    for (const Event& event : trace_.events)
      if (event.thread == parent_ && event.op == Op::vfork) children.push_back(event.arg);
    return children;
  }

  test::TempDir dir_;
  LiveSurroundings surroundings_;
  std::unique_ptr<Writer> writer_;
  std::optional<Assembler> assembler_;
  uint32_t parent_ = 0;
  Trace trace_;
};

TEST_F(Children, OneThatEndsBeforeItsMakersCallReturnsIsThatOne) {
  child_lives_and_dies(150, 200);
  take(parent_, Op::vfork, 100, 300, kChild);
  EXPECT_EQ(made(), (std::vector<uint64_t>{2}));
  EXPECT_EQ(trace_.threads.size(), 2u);
}

// What a file's memory holds is one thing in the process that mapped it and in those that it forks.
TEST_F(Children, WhatIsInAMappingIsTheSameInAForkedChild) {
  wire::Object file{};
  file.inode = 7;
  file.links = 1;
  file.mode = 0100644;
  Raw open;
  open.event.op = static_cast<uint16_t>(Op::open);
  open.event.enter_ns = open.event.exit_ns = 10;
  open.event.result = 3;
  open.event.fd = open.event.fd2 = -1;
  open.path = "/dev/shm/f";
  open.object = file;
  ASSERT_TRUE(assembler_->take(parent_, open));
  Raw map = open;
  map.event.op = static_cast<uint16_t>(Op::mmap);
  map.event.enter_ns = map.event.exit_ns = 20;
  map.event.result = 0x10000;
  map.event.fd = 3;
  map.event.offset = 4096;
  map.event.length = 8192;
  map.path = {};
  map.object.reset();
  ASSERT_TRUE(assembler_->take(parent_, map));
  take(parent_, Op::fork, 30, 40, kChild);
  Origin origin;
  origin.pid = origin.tid = kChild;
  origin.ppid = kParent;
  origin.made_ns = 35;
  Raw lock;
  lock.event.op = static_cast<uint16_t>(Op::mutex_lock);
  lock.event.enter_ns = lock.event.exit_ns = 50;
  lock.event.fd = lock.event.fd2 = -1;
  lock.arg = 0x10010;
  for (uint32_t thread : {parent_, *assembler_->thread(origin)}) ASSERT_TRUE(assembler_->take(thread, lock));
  made();
  int locks = 0;
  for (const Event& event : trace_.events) {
    if (event.op != Op::mutex_lock) continue;
    ++locks;
    EXPECT_FALSE(event.object.is_zero()) << "thread " << event.thread;
    EXPECT_EQ(event.offset, 4096u + 0x10);
  }
  EXPECT_EQ(locks, 2);
}

TEST_F(Children, OneWithTheNumberOfAnEarlierOneIsAnother) {
  child_lives_and_dies(150, 200);
  take(parent_, Op::vfork, 100, 300, kChild);
  take(parent_, Op::wait, 310, 320, kChild);
  take(parent_, Op::vfork, 400, 500, kChild);
  EXPECT_EQ(made(), (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(trace_.threads.size(), 3u);
}

// A call that failed, as the first one on its names; the files are looked at when it is over for long.
class FailedFirst : public Children {
 protected:
  void SetUp() override {
    Children::SetUp();
    test::spill(from_, "x");
    test::spill(to_, "x");
  }
  void moves(int64_t result, bool first_was_there) {
    Raw raw;
    raw.event.op = static_cast<uint16_t>(Op::rename);
    raw.event.enter_ns = 100;
    raw.event.exit_ns = 200;
    raw.event.result = result;
    raw.event.fd = raw.event.fd2 = AT_FDCWD;
    raw.path = from_;
    raw.path2 = to_;
    raw.before = wire::Object{};
    raw.before->links = first_was_there ? 1 : 0;
    raw.before->mode = 0100644;
    ASSERT_TRUE(assembler_->take(parent_, raw));
  }
  // The initial states of the two names, as far as they are told.
  std::map<std::string, FileKind> told() {
    made();
    std::map<std::string, FileKind> kinds;
    for (const FileState& state : trace_.files)
      kinds[std::filesystem::path(trace_.string(state.path)).filename().string()] = state.kind;
    return kinds;
  }

  const std::string from_ = dir_.at("from"), to_ = dir_.at("to");
};

// That the target is there now is mv's doing, which copied because it could not rename.
TEST_F(FailedFirst, OfARenameToAnotherFileSystemSaysNothingOfTheTarget) {
  moves(-EXDEV, true);
  EXPECT_EQ(told(), (std::map<std::string, FileKind>{{"from", FileKind::file}}));
}

TEST_F(FailedFirst, OfARenameThatFoundItsTargetSaysSo) {
  moves(-EEXIST, true);
  EXPECT_EQ(told(), (std::map<std::string, FileKind>{{"from", FileKind::file}, {"to", FileKind::file}}));
}

TEST_F(FailedFirst, WhenSomethingWasMissingItWasWhatTheLookBeforeDidNotFind) {
  moves(-ENOENT, true);  // the directory of the other
  EXPECT_EQ(told(), (std::map<std::string, FileKind>{{"from", FileKind::file}}));
}

TEST_F(FailedFirst, WhatTheLookBeforeDidNotFindWasNotThere) {
  moves(-ENOENT, false);
  EXPECT_EQ(told(), (std::map<std::string, FileKind>{{"from", FileKind::absent}}));
}

// One name by two spellings: made by the one, it was not there for the other.
class Spelling : public Children {
 protected:
  void takes(Op op, const std::string& path, int64_t result) {
    Raw raw;
    raw.event.op = static_cast<uint16_t>(op);
    raw.event.enter_ns = raw.event.exit_ns = 100;
    raw.event.result = result;
    raw.event.fd = raw.event.fd2 = AT_FDCWD;
    raw.path = path;
    ASSERT_TRUE(assembler_->take(parent_, raw));
  }
  std::optional<FileKind> of(const std::string& path) {
    if (trace_.events.empty()) made();
    for (const FileState& state : trace_.files)
      if (trace_.string(state.path) == path) return state.kind;
    return std::nullopt;
  }
  const std::string top_ = dir_.path();
};

TEST_F(Spelling, ANameIsOneByAllWaysThatLeadToIt) {
  std::filesystem::create_directories(top_ + "/a/b");
  takes(Op::mkdir, top_ + "/a", 0);
  takes(Op::stat, top_ + "/a/b/.././../new", -ENOENT);
  std::filesystem::create_directories(top_ + "/new");
  takes(Op::mkdir, top_ + "/a/../new", 0);
  takes(Op::stat, top_ + "/new", 0);
  takes(Op::stat, top_ + "/.hidden/...", -ENOENT);
  EXPECT_EQ(of(top_ + "/new"), FileKind::absent);
  EXPECT_EQ(of(top_ + "/.hidden/..."), FileKind::absent);
}

TEST_F(Spelling, ButNotBeyondASymlink) {
  std::filesystem::create_directories(top_ + "/far/away");
  std::filesystem::create_directory_symlink("far/away", top_ + "/near");
  takes(Op::stat, top_ + "/near/../f", -ENOENT);
  EXPECT_EQ(of(top_ + "/near/../f"), FileKind::absent);
}

}  // namespace
}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// A Lustre as a tree, as far as a directory can imitate it: objects through .lustre/fid, FIDs as Lustre
// writes them into handles, files that only the archive has; and how many questions are on their way at
// once.
#include "tree/lustre_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>

#include "base/codec.h"
#include "mirror/engine.h"
#include "mirror/scratch.h"
#include "mirror/survey.h"
#include "tree/posix_target.h"
#include "verify/verify.h"

namespace reel::mirror {
namespace {

using test::Scratch;

TEST(LustreHandle, HoldsTheFidAndGivesItBack) {
  Fid fid{0x200000402, 0x7f3, 5};
  std::optional<FileHandle> handle = handle_of_fid(HandleFormat::lustre, fid);
  ASSERT_TRUE(handle);
  EXPECT_EQ(handle->raw()->handle_type, 0x97);
  ASSERT_EQ(handle->raw()->handle_bytes, 32u);
  EXPECT_EQ(fid_of_handle(0x97, handle->raw()->f_handle, 32), fid);
  EXPECT_EQ(fid_of_handle(0x97, handle->raw()->f_handle, 16), fid);
  EXPECT_EQ(handle_format(0x97, 32), HandleFormat::lustre);
  EXPECT_EQ(handle_format(0x97, 8), HandleFormat::opaque);
  // As a real one had them.
  EXPECT_TRUE(is_inode_of(HandleFormat::lustre, {0x200000402, 0x1, 0}, 144115205289279489u));
  EXPECT_TRUE(is_inode_of(HandleFormat::lustre, {0x200000402, 0xe, 0}, 144115205289279502u));
  EXPECT_FALSE(is_inode_of(HandleFormat::lustre, {0x200000402, 0x2, 0}, 144115205289279489u));
}

TEST(LustreTree, OpensThroughTheFidDirectory) {
  Scratch scratch;
  test::make_dir(scratch / ".lustre");
  test::make_dir(scratch / ".lustre/fid");
  test::write_file(scratch / ".lustre/fid/[0x200000402:0x3:0x0]", "text");
  ASSERT_EQ(::symlink("/etc/passwd", (scratch / ".lustre/fid/[0x200000402:0x4:0x0]").c_str()), 0);
  Fd root(open_at(AT_FDCWD, scratch.path().c_str(), O_RDONLY | O_DIRECTORY));
  Result<Fd> file = open_in_fid_directory(root.get(), {0x200000402, 3, 0}, O_RDONLY);
  ASSERT_TRUE(file);
  char text[5] = "";
  EXPECT_EQ(::read(file->get(), text, 4), 4);
  EXPECT_STREQ(text, "text");
  EXPECT_TRUE(open_in_fid_directory(root.get(), {0x200000402, 5, 0}, O_PATH).is(Code::not_found));
  // A symlink is opened itself, and never followed.
  Result<Fd> link = open_in_fid_directory(root.get(), {0x200000402, 4, 0}, O_PATH);
  ASSERT_TRUE(link) << link.error().text();
  EXPECT_EQ(find_at(link->get(), "")->attributes.type, FileType::symlink);
  EXPECT_FALSE(open_in_fid_directory(root.get(), {0x200000402, 4, 0}, O_RDONLY));
}

TEST(LustreTree, WhatIsNoLustreIsRefused) {
  Scratch scratch;
  Result<std::unique_ptr<PosixSource>> tree = open_lustre_tree(scratch.path(), "", false);
  ASSERT_TRUE(tree.is(Code::unsupported));
  EXPECT_NE(tree.error().text().find("there is no Lustre"), std::string::npos);
  EXPECT_TRUE(open_lustre_tree(scratch / "nothing", "", false).is(Code::not_found));
}

// "exists archived", as the recorded tour has it of sh1, and "exists archived released".
constexpr uint32_t kArchived = 0x9, kReleased = 0xd;

void set_hsm_flags(const std::string& path, uint32_t flags) {
  unsigned char value[24] = {};
  store_le(value + 4, flags);
  ASSERT_EQ(::setxattr(path.c_str(), "trusted.hsm", value, sizeof value, 0), 0);
}

class MemoryStore final : public Store {
 public:
  Result<std::optional<std::string>> get(std::string_view key) override {
    auto at = rows_.find(std::string(key));
    return at == rows_.end() ? std::optional<std::string>() : std::optional<std::string>(at->second);
  }
  Status scan(std::string_view prefix, std::string_view start,
              const std::function<bool(std::string_view, std::string_view)>& each) override {
    for (auto at = rows_.lower_bound(std::string(start)); at != rows_.end() && at->first.starts_with(prefix); ++at)
      if (!each(at->first, at->second)) break;
    return ok();
  }
  Status write(const StoreBatch& batch, Durable) override {
    for (const auto& item : batch.items) {
      if (item.value)
        rows_[item.key] = *item.value;
      else
        rows_.erase(item.key);
    }
    return ok();
  }

 private:
  std::map<std::string, std::string> rows_;
};

// A tree whose files have all been left alone for long.
class QuietTree final : public SourceTree {
 public:
  explicit QuietTree(SourceTree& tree) : tree_(tree) {}
  Fid root() const override { return tree_.root(); }
  Result<Attributes> stat(const Fid& fid) override { return tree_.stat(fid); }
  Result<SourceEntry> lookup(const Fid& parent, const std::string& name) override { return tree_.lookup(parent, name); }
  Status list(const Fid& dir, const std::function<Status(const SourceEntry&)>& each, const FidHint& hint) override {
    return tree_.list(dir, each, hint);
  }
  Result<std::string> read_link(const Fid& fid) override { return tree_.read_link(fid); }
  Result<std::vector<Xattr>> xattrs(const Fid& fid, File* file) override { return tree_.xattrs(fid, file); }
  Result<bool> being_written(File&) override { return false; }
  Result<std::unique_ptr<File>> open(const Fid& fid) override { return tree_.open(fid); }
  Result<Attributes> stat(File& file) override { return tree_.stat(file); }

 private:
  SourceTree& tree_;
};

// One scan of `source` into `target`; how many objects are in trouble at its end.
uint64_t scan(SourceTree& source, Store& store, const std::string& target, int64_t& now_s) {
  Pool pool(0);
  EngineHooks hooks;
  hooks.open_target = [&]() -> Result<std::unique_ptr<TargetTree>> {
    TRY_ASSIGN(std::unique_ptr<PosixTarget> opened, PosixTarget::open(target));
    return std::unique_ptr<TargetTree>(std::move(opened));
  };
  hooks.now_s = [&] { return now_s += 1000; };
  hooks.monotonic_ms = [&] { return now_s * 1000; };
  Engine engine(store, source, nullptr, pool, std::move(hooks), {});
  EXPECT_TRUE(engine.start());
  EXPECT_TRUE(engine.request_scan());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(engine.step());
  return engine.progress().troubles;
}

TEST(LustreTree, ReleasedFilesAreNotRecalled) {
  if (!test::is_root()) GTEST_SKIP() << "trusted.hsm can only be set by root";
  Scratch scratch("tmpfs");
  if (!scratch.missing().empty()) GTEST_SKIP() << scratch.missing();
  for (const char* dir : {"src", "dst", "dst/.reel", "dst/.reel/park"}) test::make_dir(scratch / dir);
  test::write_file(scratch / "src/known", "contents");
  PosixSource::Options options;
  options.is_lustre = true;
  std::unique_ptr<PosixSource> source = *PosixSource::open(scratch / "src", options);
  MemoryStore store;
  int64_t now_s = 1000000;
  auto scan_quiet = [&] {
    QuietTree quiet(*source);
    return scan(quiet, store, scratch / "dst", now_s);
  };
  ASSERT_EQ(scan_quiet(), 0u);
  // It goes into the archive, and a new file that is only there appears.
  set_hsm_flags(scratch / "src/known", kReleased);
  test::write_file(scratch / "src/new", "elsewhere");
  set_hsm_flags(scratch / "src/new", kReleased);
  EXPECT_EQ(scan_quiet(), 1u);
  EXPECT_EQ(test::read_file(scratch / "dst/known"), "contents");
  EXPECT_NE(::access((scratch / "dst/new").c_str(), F_OK), 0);
  // Whether a file that was just written had been copied whole nobody knows: that is no contents to keep.
  test::write_file(scratch / "src/fresh", "one");
  ASSERT_EQ(scan(*source, store, scratch / "dst", now_s), 1u);
  set_hsm_flags(scratch / "src/fresh", kReleased);
  EXPECT_EQ(scan(*source, store, scratch / "dst", now_s), 2u);
  // Asked to, or when it is back, it is copied; and Lustre's own attribute is not.
  options.recall = true;
  source = *PosixSource::open(scratch / "src", options);
  EXPECT_EQ(scan_quiet(), 0u);
  EXPECT_EQ(test::read_file(scratch / "dst/new"), "elsewhere");
  char value[64];
  EXPECT_LT(::getxattr((scratch / "dst/new").c_str(), "trusted.hsm", value, sizeof value), 0);
}

TEST(LustreTree, ArchivedFilesStillHaveTheirContents) {
  if (!test::is_root()) GTEST_SKIP() << "trusted.hsm can only be set by root";
  Scratch scratch("tmpfs");
  if (!scratch.missing().empty()) GTEST_SKIP() << scratch.missing();
  for (const char* dir : {"src", "dst", "dst/.reel", "dst/.reel/park"}) test::make_dir(scratch / dir);
  test::write_file(scratch / "src/archived", "contents");
  set_hsm_flags(scratch / "src/archived", kArchived);
  PosixSource::Options options;
  options.is_lustre = true;
  std::unique_ptr<PosixSource> source = *PosixSource::open(scratch / "src", options);
  MemoryStore store;
  int64_t now_s = 1000000;
  QuietTree quiet(*source);
  EXPECT_EQ(scan(quiet, store, scratch / "dst", now_s), 0u);
  EXPECT_EQ(test::read_file(scratch / "dst/archived"), "contents");
}

TEST(LustreTree, VerifyRecallsNothingUnlessAsked) {
  if (!test::is_root()) GTEST_SKIP() << "trusted.hsm can only be set by root";
  Scratch scratch("tmpfs");
  if (!scratch.missing().empty()) GTEST_SKIP() << scratch.missing();
  for (const char* dir : {"src", "dst"}) test::make_dir(scratch / dir);
  const std::vector<std::pair<std::string, uint32_t>> files = {{"archived", kArchived}, {"released", kReleased}};
  for (const auto& [name, flags] : files) {
    test::write_file(scratch / "src/" + name, "here");
    test::write_file(scratch / "dst/" + name, "else");
    for (const char* side : {"src/", "dst/"}) {
      struct timespec times[2] = {{1, 0}, {1, 0}};
      ASSERT_EQ(::utimensat(AT_FDCWD, (scratch / side + name).c_str(), times, 0), 0);
    }
    set_hsm_flags(scratch / "src/" + name, flags);
  }
  VerifyOptions options;
  options.is_lustre = true;
  std::string differ;
  VerifyEvents events;
  events.difference = [&](const Difference& difference) {
    if (!difference.path.empty()) differ += difference.path + " ";
  };
  Result<VerifySummary> found = verify(scratch / "src", scratch / "dst", options, events);
  ASSERT_TRUE(found);
  EXPECT_EQ(differ, "archived ");
  EXPECT_EQ(found->released, 1u);
  EXPECT_EQ(found->errors, 0u);
  options.recall = true;
  differ.clear();
  options.jobs = 1;
  found = verify(scratch / "src", scratch / "dst", options, events);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->released, 0u);
  EXPECT_NE(differ.find("released "), std::string::npos);
}

// Answers a question only when so many are waiting for theirs.
class WaitingSource final : public SourceTree {
 public:
  explicit WaitingSource(size_t together) : together_(together) {}
  Fid root() const override { return {1, 1, 0}; }
  Result<Attributes> stat(const Fid&) override { return meet(); }
  Result<SourceEntry> lookup(const Fid&, const std::string& name) override {
    TRY_ASSIGN(Attributes attributes, meet());
    return SourceEntry{name, {2, static_cast<uint32_t>(std::stoul(name)), 0}, attributes};
  }
  Status list(const Fid&, const std::function<Status(const SourceEntry&)>&, const FidHint&) override { return ok(); }
  Result<std::string> read_link(const Fid&) override { return std::string(); }
  Result<std::vector<Xattr>> xattrs(const Fid&, File*) override { return std::vector<Xattr>(); }
  Result<bool> being_written(File&) override { return false; }
  Result<std::unique_ptr<File>> open(const Fid&) override { return Error(Code::not_found, "nothing"); }
  Result<Attributes> stat(File&) override { return meet(); }
  size_t most() const { return most_; }

 private:
  Result<Attributes> meet() {
    std::unique_lock lock(mutex_);
    most_ = std::max(most_, ++waiting_);
    if (waiting_ >= together_) met_ = true;
    arrived_.notify_all();
    arrived_.wait_for(lock, std::chrono::seconds(60), [this] { return met_; });
    --waiting_;
    return Attributes{};
  }
  const size_t together_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  size_t waiting_ = 0, most_ = 0;
  bool met_ = false;
};

TEST(LustreTree, SixtyFourQuestionsAreOnTheirWayAtOnce) {
  MemoryStore store;
  Index index(store);
  WaitingSource source(64);
  Object root;
  root.fid = source.root();
  root.type = FileType::directory;
  ASSERT_TRUE(index.put(root));
  DirtySet dirty;
  for (int i = 0; i < 5000; ++i) dirty.entries.insert({root.fid, std::to_string(i)});
  Pool pool(63);
  Result<Survey> found = survey(dirty, {}, index, source, pool, nullptr, {});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->changes.size(), 5000u);
  EXPECT_GE(source.most(), 64u);
}

}  // namespace
}  // namespace reel::mirror

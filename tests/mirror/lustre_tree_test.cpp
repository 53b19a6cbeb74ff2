// SPDX-License-Identifier: Apache-2.0
//
// A Lustre as a tree, as far as a directory can imitate it: objects through .lustre/fid, FIDs as Lustre
// writes them into handles, files that only the archive has; and how many questions are on their way at
// once.
#include "tree/lustre/lustre_tree.h"

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
#include "mirror/plan/survey.h"
#include "mirror/scratch.h"
#include "support/memory_store.h"
#include "tree/lustre_layout.h"
#include "tree/posix/posix_target.h"
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

// A tree whose files have all been left alone for long.
class QuietTree : public SourceTree {
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
  Result<std::optional<uint64_t>> data_version(File& file) override { return tree_.data_version(file); }
  Result<std::string> layout(const Fid& fid, File* file) override { return tree_.layout(fid, file); }

 private:
  SourceTree& tree_;
};

struct ScanEnd {
  uint64_t troubles = 0, copied = 0, layouts_lost = 0;
  std::string notes;
};

// One scan of `source` into `target`.
ScanEnd scan_whole(SourceTree& source, Store& store, const std::string& target, int64_t& now_s,
                   const PosixTarget::Options& options) {
  Pool pool(0);
  ScanEnd end;
  EngineHooks hooks;
  hooks.note = [&](const std::string& text) { end.notes += text + "\n"; };
  hooks.open_target = [&]() -> Result<std::unique_ptr<TargetTree>> {
    TRY_ASSIGN(std::unique_ptr<PosixTarget> opened, PosixTarget::open(target, options));
    return std::unique_ptr<TargetTree>(std::move(opened));
  };
  hooks.now_s = [&] { return now_s += 1000; };
  hooks.monotonic_ms = [&] { return now_s * 1000; };
  Engine engine(store, source, nullptr, pool, std::move(hooks), {});
  EXPECT_TRUE(engine.start());
  EXPECT_TRUE(engine.request_scan());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(engine.step());
  end.troubles = engine.progress().troubles;
  end.copied = engine.counters().files_copied;
  end.layouts_lost = engine.counters().layouts_lost;
  return end;
}
// How many objects are in trouble at its end.
uint64_t scan(SourceTree& source, Store& store, const std::string& target, int64_t& now_s) {
  return scan_whole(source, store, target, now_s, {}).troubles;
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
  std::map<std::string, std::string> rows;
  test::MemoryStore store{rows};
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
  std::map<std::string, std::string> rows;
  test::MemoryStore store{rows};
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

// --- layouts: tmpfs keeps any trusted attribute, and so can play both Lustres ---

std::string layout(uint32_t magic, uint32_t pattern, uint16_t stripes, uint16_t objects) {
  std::string value(32 + size_t{24} * objects, 'o');
  store_le(value.data(), magic);
  store_le(value.data() + 4, pattern);
  store_le<uint32_t>(value.data() + 24, 1 << 20);
  store_le<uint16_t>(value.data() + 28, stripes);
  store_le<uint16_t>(value.data() + 30, 0);
  return value;
}
constexpr uint32_t kPlain = 0x0bd10bd0, kForeign = 0x0bd70bd0;

void set_layout(const std::string& path, const std::string& value) {
  ASSERT_EQ(::setxattr(path.c_str(), "trusted.lov", value.data(), value.size(), 0), 0);
}
std::string layout_at(const std::string& path) {
  char value[4096];
  ssize_t size = ::getxattr(path.c_str(), "trusted.lov", value, sizeof value);
  return size < 0 ? "none" : std::string(value, static_cast<size_t>(size));
}

class TwoLustres : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::is_root()) GTEST_SKIP() << "trusted.lov can only be set by root";
    if (!scratch.missing().empty()) GTEST_SKIP() << scratch.missing();
    for (const char* dir : {"src", "src/dir", "dst", "dst/.reel", "dst/.reel/park"}) test::make_dir(scratch / dir);
    source_options.is_lustre = true;
    target_options.is_lustre = true;
  }
  ScanEnd scan() {
    std::unique_ptr<PosixSource> source = *PosixSource::open(scratch / "src", source_options);
    QuietTree quiet(*source);
    return scan_whole(quiet, store, scratch / "dst", now_s, target_options);
  }

  Scratch scratch{"tmpfs"};
  PosixSource::Options source_options;
  PosixTarget::Options target_options;
  std::map<std::string, std::string> rows;
  test::MemoryStore store{rows};
  int64_t now_s = 1000000;
};

TEST_F(TwoLustres, NewFilesGetTheLayoutOfTheirSource) {
  test::write_file(scratch / "src/dir/file", "contents");
  set_layout(scratch / "src/dir/file", layout(kPlain, 1, 4, 4));
  test::write_file(scratch / "src/none", "no layout of its own");
  ScanEnd end = scan();
  EXPECT_EQ(end.troubles, 0u);
  EXPECT_EQ(end.layouts_lost, 0u);
  std::string wanted = *portable_layout(layout(kPlain, 1, 4, 0));
  EXPECT_EQ(layout_at(scratch / "dst/dir/file"), wanted);
  EXPECT_EQ(test::read_file(scratch / "dst/dir/file"), "contents");
  EXPECT_EQ(layout_at(scratch / "dst/none"), "none");
}

TEST_F(TwoLustres, DefaultLayoutsOfDirectoriesFollow) {
  set_layout(scratch / "src/dir", layout(kPlain, 1, 2, 0));
  ASSERT_EQ(scan().troubles, 0u);
  EXPECT_EQ(layout_at(scratch / "dst/dir"), *portable_layout(layout(kPlain, 1, 2, 0)));
  EXPECT_EQ(layout_at(scratch / "dst"), "none");
  set_layout(scratch / "src/dir", layout(kPlain, 1, 0xffff, 0));
  ASSERT_EQ(scan().troubles, 0u);
  EXPECT_EQ(layout_at(scratch / "dst/dir"), *portable_layout(layout(kPlain, 1, 0xffff, 0)));
}

TEST_F(TwoLustres, WhatTheTargetsAdminChoseStaysWhereTheSourceSaysNothing) {
  set_layout(scratch / "dst", layout(kPlain, 1, 8, 0));
  ASSERT_EQ(scan().troubles, 0u);
  EXPECT_EQ(layout_at(scratch / "dst"), layout(kPlain, 1, 8, 0));
}

TEST_F(TwoLustres, ALayoutThatCannotBeCarriedIsToldAndTheFileIsThere) {
  test::write_file(scratch / "src/foreign", "contents");
  set_layout(scratch / "src/foreign", layout(kForeign, 1, 1, 0));
  set_layout(scratch / "src/dir", layout(kForeign, 1, 1, 0));
  ScanEnd end = scan();
  EXPECT_EQ(end.troubles, 0u);
  EXPECT_EQ(end.layouts_lost, 2u);
  EXPECT_NE(end.notes.find("foreign: has the target's default layout"), std::string::npos) << end.notes;
  EXPECT_EQ(test::read_file(scratch / "dst/foreign"), "contents");
}

TEST_F(TwoLustres, ALayoutThatTheTargetRefusesIsToldAndTheFileIsThere) {
  std::unique_ptr<PosixTarget> target = *PosixTarget::open(scratch / "dst", target_options);
  std::string refused(70000, ' ');  // larger than any attribute
  std::unique_ptr<File> file = *target->create(*target->root(), "file", 0600, refused);
  ASSERT_TRUE(file->layout_refused);
  EXPECT_EQ(::pwrite(file->fd(), "contents", 8, 0), 8);
  EXPECT_EQ(test::read_file(scratch / "dst/file"), "contents");
  EXPECT_FALSE(target->set_layout(*target->root(), refused));
}

TEST_F(TwoLustres, OneLustreIsNoneOfIt) {
  test::write_file(scratch / "src/file", "contents");
  set_layout(scratch / "src/file", layout(kPlain, 1, 4, 4));
  set_layout(scratch / "src/dir", layout(kPlain, 1, 4, 0));
  target_options.is_lustre = false;
  EXPECT_EQ(scan().layouts_lost, 0u);
  EXPECT_EQ(layout_at(scratch / "dst/file"), "none");
  EXPECT_EQ(layout_at(scratch / "dst/dir"), "none");
}

// --- data versions ---

// A file that another client writes to while it is copied, within one tick of ctime: only its version tells.
class WrittenUnseen final : public QuietTree {
 public:
  WrittenUnseen(SourceTree& tree, std::string path) : QuietTree(tree), path_(std::move(path)) {}
  Result<Attributes> stat(const Fid& fid) override { return as_before(QuietTree::stat(fid)); }
  Result<Attributes> stat(File& file) override { return as_before(QuietTree::stat(file)); }
  Result<std::optional<uint64_t>> data_version(File&) override {
    if (++asked_ == 2) {  // it was copied
      test::write_file(path_, "new");
      ++version_;
    }
    return std::optional(version_);
  }
  Result<std::unique_ptr<File>> open(const Fid& fid) override {
    TRY_ASSIGN(std::unique_ptr<File> file, QuietTree::open(fid));
    TRY_ASSIGN(file->as_opened, as_before(std::move(*file->as_opened)));
    return file;
  }
  int asked() const { return asked_; }

 private:
  static Result<Attributes> as_before(Result<Attributes> found) {
    if (found && found->type == FileType::regular) found->ctime = found->mtime = {5, 0};
    return found;
  }
  const std::string path_;
  int asked_ = 0;
  uint64_t version_ = 7;
};

TEST(LustreTree, AChangeThatOnlyTheDataVersionTellsIsCopiedAgain) {
  Scratch scratch;
  for (const char* dir : {"src", "dst", "dst/.reel", "dst/.reel/park"}) test::make_dir(scratch / dir);
  test::write_file(scratch / "src/file", "old");
  std::unique_ptr<PosixSource> source = *PosixSource::open(scratch / "src");
  WrittenUnseen written(*source, scratch / "src/file");
  std::map<std::string, std::string> rows;
  test::MemoryStore store{rows};
  int64_t now_s = 1000000;
  ScanEnd end = scan_whole(written, store, scratch / "dst", now_s, {});
  EXPECT_EQ(end.troubles, 0u);
  EXPECT_EQ(test::read_file(scratch / "dst/file"), "new");
  EXPECT_EQ(end.copied, 2u);
  EXPECT_EQ(written.asked(), 4);
}

TEST(LustreTree, ElsewhereThereIsNoDataVersion) {
  Scratch scratch;
  test::write_file(scratch / "file", "text");
  PosixSource::Options options;
  options.is_lustre = true;
  std::unique_ptr<PosixSource> source = *PosixSource::open(scratch.path(), options);
  Fid fid = source->lookup(source->root(), "file")->fid;
  std::unique_ptr<File> file = *source->open(fid);
  Result<std::optional<uint64_t>> version = source->data_version(*file);
  ASSERT_TRUE(version) << version.error().text();
  EXPECT_FALSE(version->has_value());
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
  std::map<std::string, std::string> rows;
  test::MemoryStore store(rows);
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
  EXPECT_EQ(found->lookups, 5000u);
  EXPECT_GE(source.most(), 64u);
}

}  // namespace
}  // namespace reel::mirror

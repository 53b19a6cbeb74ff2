// SPDX-License-Identifier: Apache-2.0
#include "verify/verify.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "scratch.h"
#include "tree/posix/posix_attributes.h"

namespace reel::mirror::test {
namespace {

struct Told {
  std::vector<std::string> lines, errors;
  VerifySummary summary;
};

Told compare(const std::string& source, const std::string& target, VerifyOptions options = {}) {
  Told found;
  VerifyEvents events;
  events.difference = [&](const Difference& d) { found.lines.push_back(to_line(d)); };
  events.error = [&](const Error& e) { found.errors.push_back(e.text()); };
  Result<VerifySummary> summary = verify(source, target, options, events);
  EXPECT_TRUE(summary) << summary.error().text();
  if (summary) found.summary = *summary;
  std::sort(found.lines.begin(), found.lines.end());
  EXPECT_EQ(found.summary.differences, found.lines.size());
  EXPECT_EQ(found.summary.errors, found.errors.size());
  return found;
}

// Two equal trees to break.
class Verify : public testing::Test {
 protected:
  void SetUp() override {
    make_dir(scratch_ / "a");
    make_dir(a("dir"));
    write_file(a("dir/file"), "contents");
    write_file(a("dir/other"), "other");
    ASSERT_EQ(shell("ln " + a("dir/file") + " " + a("second")), 0);
    ASSERT_EQ(shell("ln -s text " + a("link")), 0);
    ASSERT_EQ(shell("cp -a --sparse=always " + scratch_ / "a " + scratch_ / "b"), 0);
    ASSERT_EQ(lines(), std::vector<std::string>());
  }
  std::string a(const std::string& name) { return scratch_ / ("a/" + name); }
  std::string b(const std::string& name) { return scratch_ / ("b/" + name); }
  std::vector<std::string> lines(VerifyLevel level = VerifyLevel::full) {
    VerifyOptions options;
    options.level = level;
    return compare(scratch_ / "a", scratch_ / "b", options).lines;
  }
  // The change, but with the times as they were.
  void change(const std::string& command) {
    ASSERT_EQ(
        shell("cp -a --attributes-only " + scratch_ / "b " + scratch_ / "times && cd " + scratch_ / "b && " + command +
              "; cd ../times && find . -depth -exec touch -c -h -r '{}' '../b/{}' ';' 2>/dev/null; "
              "cd .. && rm -rf times"),
        0)
        << command;
  }

  Scratch scratch_;
};

using Lines = std::vector<std::string>;

TEST_F(Verify, MissingAndExtraNames) {
  change("mv dir/other dir/another");
  EXPECT_EQ(lines(VerifyLevel::stat), (Lines{"extra dir/another", "missing dir/other"}));
}

TEST_F(Verify, WhatIsMissingWithADirectoryIsOneLine) {
  change("rm -r dir");
  Lines found = lines();
  EXPECT_NE(std::find(found.begin(), found.end(), "missing dir"), found.end());
  EXPECT_EQ(found.size(), 1u);
}

TEST_F(Verify, TypesModesAndSymlinks) {
  change("rm dir/other && mkfifo dir/other");
  EXPECT_EQ(lines(), Lines{"differs dir/other: type file != fifo"});
  change("rm dir/other && printf other > dir/other && chmod 0604 dir/other && ln -sfn txet link");
  set_mtime(b("dir/other"), 1, 0);
  set_mtime(a("dir/other"), 1, 0);
  EXPECT_EQ(lines(VerifyLevel::stat),
            (Lines{"differs dir/other: mode 0644 != 0604", "differs link: symlink text != txet"}));
}

TEST_F(Verify, TimesToTheNanosecond) {
  set_mtime(a("dir"), -1, 1);
  set_mtime(b("dir"), -1, 2);
  EXPECT_EQ(lines(VerifyLevel::stat), Lines{"differs dir: mtime 1969-12-31T23:59:59.000000001Z != "
                                            "1969-12-31T23:59:59.000000002Z"});
}

TEST_F(Verify, OwnersAndDevices) {
  if (!is_root()) GTEST_SKIP() << "needs root to change owners";
  change("chown 7:8 dir/other && mknod dir/node c 1 3");
  ASSERT_EQ(shell("mknod " + a("dir/node") + " c 1 5 && touch -r " + b("dir/node") + " " + a("dir/node") +
                  " && touch -r " + b("dir") + " " + a("dir")),
            0);
  EXPECT_EQ(lines(VerifyLevel::stat), (Lines{"differs dir/node: device 1:5 != 1:3", "differs dir/other: gid 0 != 8",
                                             "differs dir/other: uid 0 != 7"}));
}

TEST_F(Verify, HardLinksBothWays) {
  change("rm second && cp -a dir/file second");
  Lines apart = lines(VerifyLevel::stat);
  ASSERT_EQ(apart.size(), 1u);
  EXPECT_NE(apart[0].find("hard links"), std::string::npos) << apart[0];
  change("rm second && ln dir/file second && ln -f dir/file dir/other");
  Lines together = lines(VerifyLevel::stat);
  EXPECT_TRUE(std::any_of(together.begin(), together.end(),
                          [](const std::string& line) { return line.find("hard links") != std::string::npos; }));
}

TEST_F(Verify, MetaSeesAttributesThatStatDoesNot) {
  change("setfattr -n user.only.here -v v dir/other && setfacl -m u:5:r dir");
  EXPECT_EQ(lines(VerifyLevel::stat), Lines());
  Lines found = lines(VerifyLevel::meta);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0], "differs dir/other: xattr user.only.here absent != \"v\"");
  EXPECT_EQ(found[1].find("differs dir: xattr system.posix_acl_access absent != "), 0u);
}

TEST_F(Verify, FlagsWhereBothSidesHaveThem) {
  change("chattr +d dir/other");
  Lines found = lines(VerifyLevel::meta);
  if (found.empty()) GTEST_SKIP() << "this file system has no inode flags";
  EXPECT_EQ(found, Lines{"differs dir/other: flags none != d"});
}

TEST_F(Verify, FullSeesContents) {
  change("printf othez > dir/other");
  EXPECT_EQ(lines(VerifyLevel::meta), Lines());
  EXPECT_EQ(lines(), Lines{"differs dir/other: contents at byte 4"});
}

TEST_F(Verify, FullSeesHoles) {
  write_file(a("big"), std::string(1 << 20, '\0'));
  ASSERT_EQ(shell("cp --sparse=always -p " + a("big") + " " + b("big")), 0);
  set_mtime(b("big"), 5, 5);
  set_mtime(a("big"), 5, 5);
  ASSERT_EQ(shell("touch -r " + a("") + " " + b("")), 0);
  EXPECT_EQ(lines(VerifyLevel::meta), Lines());
  EXPECT_EQ(lines(), Lines{"differs big: holes at byte 0 data != hole"});
}

TEST_F(Verify, SmallHolesDependOnBlockSizeAndAreNoDifference) {
  std::string text(1 << 20, 'x');
  std::fill(text.begin() + 8192, text.begin() + 40000, '\0');
  write_file(a("big"), text);
  ASSERT_EQ(shell("cp --sparse=always -p " + a("big") + " " + b("big") + " && touch -r " + a("") + " " + b("")), 0);
  set_mtime(a("big"), 5, 5);
  set_mtime(b("big"), 5, 5);
  EXPECT_EQ(lines(), Lines());
}

TEST_F(Verify, PathsAreSafeToPrint) {
  write_file(a("new\nline\x1b[31m\xff"), "");
  ASSERT_EQ(shell("touch -r " + b("") + " " + a("")), 0);
  EXPECT_EQ(lines(), Lines{"missing new\\nline\\033[31m\\377"});
}

TEST_F(Verify, TheMirrorsOwnDirectoryIsLeftOut) {
  change("mkdir .reel dir/.reel");
  EXPECT_EQ(lines(), Lines{"extra dir/.reel"});
}

TEST_F(Verify, WhatIsExcludedIsOnNeitherSide) {
  change("touch dir/new.o && rm dir/other");
  VerifyOptions options;
  options.excluded = [](const std::string& path, bool is_dir) {
    return !is_dir && (path.ends_with(".o") || path == "dir/other");
  };
  EXPECT_EQ(compare(scratch_ / "a", scratch_ / "b", options).lines, Lines());
}

TEST_F(Verify, ManyThreadsSeeEachObjectOnce) {
  for (int dir = 0; dir < 10; dir++) {
    make_dir(a("d" + std::to_string(dir)));
    for (int file = 0; file < 100; file++) write_file(a("d" + std::to_string(dir) + "/" + std::to_string(file)), "x");
  }
  ASSERT_EQ(shell("rm -rf " + b("") + " && cp -a " + scratch_ / "a " + scratch_ / "b"), 0);
  write_file(b("d7/77"), "y");
  set_mtime(b("d7/77"), 9, 9);
  set_mtime(a("d7/77"), 9, 9);
  VerifyOptions options;
  options.jobs = 8;
  Told found = compare(scratch_ / "a", scratch_ / "b", options);
  EXPECT_EQ(found.lines, Lines{"differs d7/77: contents at byte 0"});
  EXPECT_EQ(found.summary.objects, 6u + 10 + 1000);
}

// Deeper than a path may be long: made and dated by going down.
void make_deep(const std::string& root, int levels) {
  Fd at(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct timespec times[2] = {{0, UTIME_OMIT}, {1, 0}};
  for (int level = 0; level <= levels; level++) {
    ASSERT_TRUE(at);
    if (level < levels) {
      ASSERT_EQ(::mkdirat(at.get(), "a-long-name-of-a-directory", 0755), 0);
    }
    ASSERT_EQ(::futimens(at.get(), times), 0);
    if (level < levels) at = Fd(open_at(at.get(), "a-long-name-of-a-directory", O_RDONLY));
  }
}

TEST_F(Verify, HundredsOfLevelsDeep) {
  for (const char* side : {"a", "b"}) make_deep(scratch_ / side, 400);
  Told found = compare(scratch_ / "a", scratch_ / "b");
  EXPECT_EQ(found.lines, Lines());
  EXPECT_EQ(found.errors, Lines());
  EXPECT_EQ(found.summary.objects, 6u + 400);
}

TEST_F(Verify, ARootThatIsNotThereIsAnError) {
  EXPECT_TRUE(verify(scratch_ / "a", scratch_ / "nothing", {}, {}).is(Code::not_found));
}

}  // namespace
}  // namespace reel::mirror::test

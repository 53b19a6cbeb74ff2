// SPDX-License-Identifier: Apache-2.0
#include "mirror/posix_source.h"

#include "by_hand.h"
#include "mirror/posix_target.h"
#include "mirror/verify.h"
#include "scratch.h"

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
  shell("rsync -naHAXS --checksum --delete -i --filter='-x trusted.link' "
        "--filter='-x trusted.SGI_ACL_*' " + from / "tree/ " + to / "tree/", &differences);
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

INSTANTIATE_TEST_SUITE_P(
    FileSystems, PosixTrees,
    testing::Values(std::pair("dir", "dir"), std::pair("ext4", "xfs"), std::pair("xfs", "btrfs"),
                    std::pair("btrfs", "ext4"), std::pair("tmpfs", "ext4"),
                    std::pair("ext4", "tmpfs"), std::pair("xfs", "xfs")),
    [](const auto& pair) {
      return std::string(pair.param.first) + "_to_" + pair.param.second;
    });

}  // namespace
}  // namespace reel::mirror::test

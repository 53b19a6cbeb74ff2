// SPDX-License-Identifier: Apache-2.0
//
// Values that the kernel understands: it takes them, and they mean what was recorded.
#include "replay/play/xattr_value.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/files.h"
#include "trace/posix_acl.h"

namespace reel::replay {
namespace {

constexpr const char* kAccess = "system.posix_acl_access";

class XattrValue : public ::testing::Test {
 protected:
  void SetUp() override {
    test::spill(file_, "x");
    if (::getxattr(file_.c_str(), kAccess, nullptr, 0) < 0 && errno == EOPNOTSUPP)
      GTEST_SKIP() << "a file system with ACLs";
  }
  // The mode that the file has once it has been given such a value, and the length that it gives back.
  std::pair<mode_t, ssize_t> given(const std::string& value) {
    EXPECT_EQ(::setxattr(file_.c_str(), kAccess, value.data(), value.size(), 0), 0) << errno;
    struct stat s {};
    EXPECT_EQ(::stat(file_.c_str(), &s), 0);
    return {s.st_mode & 0777u, ::getxattr(file_.c_str(), kAccess, nullptr, 0)};
  }

  test::TempDir dir_;
  const std::string file_ = dir_.at("f");
};

TEST_F(XattrValue, AnAclOfThreeEntriesIsAMode) {
  for (mode_t mode : {0u, 0640u, 0751u, 0777u, 0417u}) {
    auto [now, length] = given(xattr_value(kAccess, 28, trace::kModeOfAcl | mode));
    EXPECT_EQ(now, mode);
    EXPECT_LT(length, 0) << "it is nothing but a mode";
  }
}

TEST_F(XattrValue, OneThatNamesUsersPermitsAsMuchAndIsAsLong) {
  for (uint64_t entries : {4, 5, 6, 7, 20}) {
    uint64_t size = 4 + 8 * entries;
    auto [now, length] = given(xattr_value(kAccess, size, trace::kModeOfAcl | 0751u));
    EXPECT_EQ(now, 0751u);
    EXPECT_EQ(length, static_cast<ssize_t>(size));
  }
}

TEST_F(XattrValue, WhatItPermitsIsReadBack) {
  for (uint64_t entries : {3, 4, 5, 7}) {
    std::string value = xattr_value(kAccess, 4 + 8 * entries, 0653);
    EXPECT_EQ(trace::mode_of_acl(value.data(), value.size()), trace::kModeOfAcl | 0653u);
  }
  std::string value = xattr_value(kAccess, 4 + 8 * 8, 0653);
  EXPECT_EQ(trace::mode_of_acl(value.data(), value.size()), 0u) << "longer than what is looked at";
  EXPECT_EQ(trace::mode_of_acl("any", 3), 0u);
}

TEST_F(XattrValue, CapabilitiesAreTaken) {
  for (uint64_t size : {20, 24}) {
    std::string value = xattr_value("security.capability", size, 0);
    ASSERT_EQ(value.size(), size);
    int result = ::setxattr(file_.c_str(), "security.capability", value.data(), value.size(), 0);
    EXPECT_TRUE(result == 0 || errno == EPERM || errno == EOPNOTSUPP) << errno;
  }
}

TEST_F(XattrValue, OthersMayBeAnything) {
  EXPECT_EQ(xattr_value("user.note", 9, 0), "");
  EXPECT_EQ(xattr_value("security.capability", 9, 0), "");
}

}  // namespace
}  // namespace reel::replay

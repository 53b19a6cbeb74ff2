// SPDX-License-Identifier: Apache-2.0
//
// Positions in several streams.
#include "log/position.h"

#include <gtest/gtest.h>

#include "log_testing.h"

namespace reel::log {
namespace {

TEST(Position, ReachesAnotherOnlyInEveryStream) {
  Position end("mdt0", 5);
  end.set("mdt1", 7);
  Position at("mdt0", 9);
  EXPECT_FALSE(at.reaches(end));
  at.set("mdt1", 6);
  EXPECT_FALSE(at.reaches(end));
  at.set("mdt1", 7);
  EXPECT_TRUE(at.reaches(end));
  EXPECT_FALSE(end.reaches(at));
  EXPECT_TRUE(at.reaches(Position()));
  EXPECT_EQ(at.total(), 16u);
}

TEST(Position, IsLimitedByTheEndOfALog) {
  Position at("mdt0", 9);
  at.set("mdt1", 3);
  Position end("mdt0", 4);
  EXPECT_TRUE(at.limit(end));
  EXPECT_EQ(at, Position("mdt0", 4));
  EXPECT_FALSE(at.limit(end));
}

TEST(Position, TextGoesBothWays) {
  Position at("local", 12);
  at.set("mdt10", 7);
  EXPECT_EQ(at.text(), "local=12 mdt10=7");
  EXPECT_EQ(must(Position::parse(at.text())), at);
  EXPECT_EQ(must(Position::parse("")), Position());
  EXPECT_EQ(must(Position::parse("0")), Position());
  EXPECT_EQ(must(Position::parse("17")), Position("local", 17));  // of version 1
  for (const char* bad : {"a", "=3", "a=", "a=b", "a=0", "a=1  b=2", "a=-1"})
    EXPECT_TRUE(Position::parse(bad).is(Code::corrupt)) << bad;
}

}  // namespace
}  // namespace reel::log

// SPDX-License-Identifier: Apache-2.0
#include "mirror/plan/filter.h"

#include <filesystem>
#include <map>
#include <set>

#include "scratch.h"

namespace reel::mirror::test {
namespace {

bool excluded(const std::string& rule, const std::string& path, bool is_dir = false) {
  Filter filter;
  Status added = filter.rule(rule);
  EXPECT_TRUE(added) << rule;
  return filter.decide(path, is_dir) == Decision::exclude;
}

TEST(Filter, WithoutRulesAllIsIncluded) {
  EXPECT_EQ(Filter().decide("a/b", false), Decision::include);
}

TEST(Filter, APatternWithoutSlashMatchesTheLastName) {
  EXPECT_TRUE(excluded("- *.o", "a.o"));
  EXPECT_TRUE(excluded("- *.o", "deep/down/a.o"));
  EXPECT_FALSE(excluded("- *.o", "a.o/inside"));
  EXPECT_TRUE(excluded("exclude core", "x/core"));
  EXPECT_FALSE(excluded("- core", "x/encore"));
}

TEST(Filter, SlashesAnchorAndAskForDirectories) {
  EXPECT_TRUE(excluded("- /a", "a"));
  EXPECT_FALSE(excluded("- /a", "b/a"));
  EXPECT_TRUE(excluded("- a/", "b/a", true));
  EXPECT_FALSE(excluded("- a/", "b/a", false));
  EXPECT_TRUE(excluded("- a/b", "x/a/b"));
  EXPECT_FALSE(excluded("- a/b", "x/ca/b"));
}

TEST(Filter, DoubleStarsCrossNames) {
  EXPECT_TRUE(excluded("- a/**/z", "a/b/c/z"));
  EXPECT_FALSE(excluded("- a/*/z", "a/b/c/z"));
  EXPECT_TRUE(excluded("- **/z", "z"));
  EXPECT_TRUE(excluded("- d/***", "d", true));
  EXPECT_TRUE(excluded("- d/***", "d/e"));
  EXPECT_FALSE(excluded("- d/**", "d", true));
}

TEST(Filter, ManyStarsTakeNoTimeToSpeakOf) {
  std::string text(250, 'a');
  EXPECT_FALSE(excluded("- *a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
  EXPECT_FALSE(excluded("- **a**a**a**a**a**a**a**a**a**a**b", text));
}

TEST(Filter, TheFirstMatchDecides) {
  Filter filter;
  ASSERT_TRUE(filter.include("keep.o"));
  ASSERT_TRUE(filter.exclude("*.o"));
  EXPECT_EQ(filter.decide("keep.o", false), Decision::include);
  EXPECT_EQ(filter.decide("drop.o", false), Decision::exclude);
  ASSERT_TRUE(filter.rule("!"));
  EXPECT_TRUE(filter.empty());
}

TEST(Filter, FilesHoldRules) {
  Scratch scratch;
  write_file(scratch / "patterns", "# comment\n\n*.tmp\n+ not this\n");
  write_file(scratch / "rules", "; comment\n- *.bak\n. " + scratch / "patterns-of-rules\n");
  write_file(scratch / "patterns-of-rules", "+ x\n- *\n");
  Filter filter;
  ASSERT_TRUE(filter.exclude_from(scratch / "patterns"));
  EXPECT_EQ(filter.decide("a.tmp", false), Decision::exclude);
  EXPECT_EQ(filter.decide("not this", false), Decision::include);
  Filter merged;
  ASSERT_TRUE(merged.rule("merge " + scratch / "rules"));
  EXPECT_EQ(merged.decide("a.bak", false), Decision::exclude);
  EXPECT_EQ(merged.decide("x", false), Decision::include);
  EXPECT_EQ(merged.decide("y", false), Decision::exclude);
}

TEST(Filter, WhatItDoesNotKnowItRefuses) {
  Scratch scratch;
  write_file(scratch / "circle", ". " + scratch / "circle\n");
  for (const std::string& rule :
       {std::string(""), std::string("-"), std::string("- "), std::string(": .rsync-filter"), std::string("P x"),
        std::string("-x y"), std::string("! x"), ". " + scratch / "circle"})
    EXPECT_TRUE(Filter().rule(rule).is(Code::invalid)) << rule;
  EXPECT_TRUE(Filter().rule(". " + scratch / "nothing here").is(Code::not_found));
}

// Against rsync itself: random rules over a random tree whose names are made of few letters.
class Names {
 public:
  explicit Names(uint64_t seed) : random_(seed) {}

  std::string name() {
    std::string text;
    for (uint64_t n = 1 + random_() % 3; n > 0; n--) text += "abc-]"[random_() % 5];
    return text;
  }
  std::string pattern() {
    static const char* const kParts[] = {"a",   "b", "c",  "ab",   "*",    "**",    "***",  "?",
                                         "/",   "/", "*/", "[ab]", "[!a]", "[a-b]", "[]a]", "[[:alpha:]]",
                                         "\\a", "-", "[",  "**/",  "/**",  "\\*",   "]"};
    std::string text;
    for (uint64_t n = 1 + random_() % 5; n > 0; n--) text += kParts[random_() % std::size(kParts)];
    if (random_() % 4 == 0) text = "/" + text;
    return text;
  }
  uint64_t operator()() { return random_(); }

 private:
  std::mt19937_64 random_;
};

void make_tree(const std::string& at, const std::string& below, int depth, Names& names,
               std::map<std::string, bool>& tree) {
  for (uint64_t n = 2 + names() % 4; n > 0; n--) {
    std::string path = below + names.name();
    if (tree.count(path)) continue;
    bool is_dir = depth > 0 && names() % 2;
    tree[path] = is_dir;
    if (is_dir) {
      make_dir(at + "/" + path);
      make_tree(at, path + "/", depth - 1, names, tree);
    } else {
      write_file(at + "/" + path, "");
    }
  }
}

std::set<std::string> kept(const Filter& filter, const std::map<std::string, bool>& tree) {
  std::set<std::string> paths;
  for (const auto& [path, is_dir] : tree) {
    size_t slash = path.rfind('/');
    if (slash != path.npos && !paths.count(path.substr(0, slash) + "/")) continue;
    if (filter.decide(path, is_dir) == Decision::include) paths.insert(path + (is_dir ? "/" : ""));
  }
  return paths;
}

TEST(Filter, DecidesAsRsyncDoes) {
  if (shell("rsync --version") != 0) GTEST_SKIP() << "rsync is not installed";
  Names names(seed());
  size_t left_out = 0;
  for (int round = 0; round < 200; round++) {
    Scratch scratch;
    std::map<std::string, bool> tree;
    make_tree(scratch.path(), "", 3, names, tree);
    std::string rules;
    Filter filter;
    for (uint64_t n = 1 + names() % 3; n > 0; n--) {
      static const char* const kKinds[] = {"- ", "- ", "+ ", "-! "};
      std::string rule = kKinds[names() % 4] + names.pattern();
      rules += rule + "\n";
      ASSERT_TRUE(filter.rule(rule));
    }
    Scratch aside;
    write_file(aside / "rules", rules);
    std::string output;
    ASSERT_EQ(shell("rsync -n -r -8 --out-format=%n --filter='. " + aside / "rules' " + scratch / " " + aside / "out/",
                    &output),
              0)
        << output;
    std::set<std::string> expected;
    for (size_t at = 0, end; (end = output.find('\n', at)) != output.npos; at = end + 1) {
      std::string line = output.substr(at, end - at);
      if (tree.count(line) || (line.ends_with('/') && tree.count(line.substr(0, line.size() - 1))))
        expected.insert(line);
    }
    ASSERT_EQ(kept(filter, tree), expected) << "rules:\n" << rules;
    left_out += tree.size() - expected.size();
  }
  EXPECT_GT(left_out, 0u);
}

}  // namespace
}  // namespace reel::mirror::test

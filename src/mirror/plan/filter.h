// SPDX-License-Identifier: Apache-2.0
//
// Which names a mirror leaves out: rsync's filter rules. The first rule that matches decides; what no
// rule matches is included. An excluded directory hides everything below it: the caller does not
// descend, and asks about a path only after its parents.
//
// Rules: "- PATTERN" or "exclude PATTERN", "+ PATTERN" or "include PATTERN", ". FILE" or "merge FILE"
// (rules from a file), "!" or "clear" (forgets the rules so far); "-! PATTERN" matches what the
// pattern does not. Patterns: a leading / ties it to the root of the tree, a trailing / lets it match
// directories only; * matches within one name, ** across them, ? one byte, [...] one of a class;
// "DIR/***" is DIR and all below. A pattern with a / inside or a ** is matched against the end of the
// path, any other against the last name. Backslash takes a wildcard's meaning away, but only in
// patterns that have wildcards.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "reel/result.h"

namespace reel::mirror {

enum class Decision { include, exclude };

class Filter {
 public:
  // --exclude, --include: a pattern, or "- PATTERN", "+ PATTERN", "!".
  Status exclude(const std::string& text);
  Status include(const std::string& text);
  // --exclude-from, --include-from: one such pattern a line; empty lines and those that begin with
  // ; or # are comments.
  Status exclude_from(const std::string& file);
  Status include_from(const std::string& file);
  // --filter: one rule. invalid: a kind of rule Reel does not have, or no rule at all.
  Status rule(const std::string& text);

  bool empty() const { return rules_.empty(); }
  // All rules in one text, to see whether two filters are the same.
  std::string text() const;
  // `path`: relative to the root of the tree, without a leading slash.
  Decision decide(std::string_view path, bool is_dir) const;

 private:
  struct Rule {
    std::string pattern;  // without the slashes that anchor it or ask for a directory
    Decision decision = Decision::exclude;
    bool negated = false;  // decides for what does not match
    bool dir_only = false;
    bool anchored = false;
    bool wild = false;      // has * ? or [
    bool crosses = false;   // has **
    bool leads = false;     // begins with **
    bool ends_all = false;  // ends with ***
    size_t slashes = 0;
  };

  Status add(std::string_view pattern, Decision decision, bool negated);
  Status add_bare(std::string_view text, Decision decision);
  Status add_file(const std::string& file, const std::function<Status(const std::string&)>& each);
  static bool matches(const Rule& rule, std::string_view path, bool is_dir);

  std::vector<Rule> rules_;
  int merge_depth_ = 0;
};

}  // namespace reel::mirror

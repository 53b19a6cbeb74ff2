// SPDX-License-Identifier: Apache-2.0
#include "mirror/plan/filter.h"

#include <cctype>
#include <cerrno>
#include <fstream>

namespace reel::mirror {
namespace {

constexpr int kMergeDepthMax = 16;

bool in_named_class(std::string_view name, unsigned char c) {
  struct Named {
    std::string_view name;
    int (*test)(int);
  };
  static constexpr Named kNamed[] = {{"alnum", std::isalnum}, {"alpha", std::isalpha}, {"blank", std::isblank},
                                     {"cntrl", std::iscntrl}, {"digit", std::isdigit}, {"graph", std::isgraph},
                                     {"lower", std::islower}, {"print", std::isprint}, {"punct", std::ispunct},
                                     {"space", std::isspace}, {"upper", std::isupper}, {"xdigit", std::isxdigit}};
  for (const Named& named : kNamed) {
    if (named.name == name) return named.test(c) != 0;
  }
  return false;
}

// Matches the class that begins behind the '[' before `at`; moves `at` behind its ']'. A class that
// does not end matches nothing.
bool in_class(std::string_view pattern, size_t& at, unsigned char c) {
  bool inverted = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
  if (inverted) at++;
  bool found = false;
  auto byte_at = [&](size_t i) { return static_cast<unsigned char>(pattern[i]); };
  for (bool first = true;; first = false) {
    if (at >= pattern.size()) return false;
    if (pattern[at] == ']' && !first) break;
    if (pattern[at] == '[' && at + 1 < pattern.size() && pattern[at + 1] == ':') {
      size_t end = pattern.find(":]", at + 2);
      if (end == pattern.npos) return false;
      found |= in_named_class(pattern.substr(at + 2, end - at - 2), c);
      at = end + 2;
      continue;
    }
    if (pattern[at] == '\\' && ++at >= pattern.size()) return false;
    unsigned char low = byte_at(at++), high = low;
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      at++;
      if (pattern[at] == '\\' && ++at >= pattern.size()) return false;
      high = byte_at(at++);
    }
    found |= low <= c && c <= high;
  }
  at++;
  return found != inverted && c != '/';
}

// Whether the whole of `text` matches. On a mismatch the last star takes one byte more, and when a
// single star would have to take a slash, the last double star does.
bool wild_match(std::string_view pattern, std::string_view text) {
  struct Star {
    size_t pattern = std::string_view::npos, text = 0;
  };
  Star single, crossing;
  size_t p = 0, t = 0;
  while (true) {
    bool more = p < pattern.size();
    if (more && pattern[p] == '*') {
      size_t stars = 0;
      for (; p < pattern.size() && pattern[p] == '*'; p++) stars++;
      if (stars > 1) {
        crossing = {p, t};
        single = Star();
      } else {
        single = {p, t};
      }
      continue;
    }
    if (!more && t == text.size()) return true;
    if (more && t < text.size()) {
      size_t next = p + 1;
      bool same;
      if (pattern[p] == '?')
        same = text[t] != '/';
      else if (pattern[p] == '[')
        same = in_class(pattern, next, static_cast<unsigned char>(text[t]));
      else if (pattern[p] == '\\' && next < pattern.size())
        same = pattern[next++] == text[t];
      else
        same = pattern[p] == text[t];
      if (same) {
        p = next;
        t++;
        continue;
      }
    }
    if (single.pattern != pattern.npos && single.text < text.size() && text[single.text] != '/') {
      p = single.pattern;
      t = ++single.text;
    } else if (crossing.pattern != pattern.npos && crossing.text < text.size()) {
      p = crossing.pattern;
      t = ++crossing.text;
      single = Star();
    } else {
      return false;
    }
  }
}

}  // namespace

Status Filter::add(std::string_view pattern, Decision decision, bool negated) {
  if (pattern.empty()) return Error(Code::invalid, "a filter rule without a pattern");
  Rule rule;
  rule.decision = decision;
  rule.negated = negated;
  if (pattern.size() > 1 && pattern.ends_with('/')) {
    rule.dir_only = true;
    pattern.remove_suffix(1);
  }
  for (char c : pattern) rule.slashes += c == '/';
  rule.wild = pattern.find_first_of("*?[") != pattern.npos;
  rule.crosses = pattern.find("**") != pattern.npos;
  rule.leads = pattern.starts_with("**");
  rule.ends_all = pattern.ends_with("***");
  if (pattern.starts_with('/')) {
    rule.anchored = true;
    pattern.remove_prefix(1);
  }
  rule.pattern = pattern;
  rules_.push_back(std::move(rule));
  return ok();
}

Status Filter::add_bare(std::string_view text, Decision decision) {
  if (text == "!") {
    rules_.clear();
    return ok();
  }
  if (text.starts_with("- ") || text.starts_with("+ ")) {
    decision = text[0] == '-' ? Decision::exclude : Decision::include;
    text.remove_prefix(2);
  }
  return add(text, decision, false);
}

Status Filter::exclude(const std::string& text) {
  return add_bare(text, Decision::exclude);
}
Status Filter::include(const std::string& text) {
  return add_bare(text, Decision::include);
}

Status Filter::exclude_from(const std::string& file) {
  return add_file(file, [&](const std::string& line) { return exclude(line); });
}
Status Filter::include_from(const std::string& file) {
  return add_file(file, [&](const std::string& line) { return include(line); });
}

Status Filter::add_file(const std::string& file, const std::function<Status(const std::string&)>& each) {
  if (merge_depth_ == kMergeDepthMax)
    return Error(Code::invalid, "filter file " + file + ": files that merge each other");
  std::ifstream in(file);
  if (!in) return Error::from_errno(errno, "read filter file " + file);
  merge_depth_++;
  Status status = ok();
  std::string line;
  for (size_t number = 1; status && std::getline(in, line); number++) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty() || line[0] == ';' || line[0] == '#') continue;
    status = each(line);
    if (!status) status = std::move(status).error().with(file + " line " + std::to_string(number));
  }
  merge_depth_--;
  if (status && in.bad()) return Error(Code::io, "read filter file " + file);
  return status;
}

Status Filter::rule(const std::string& text) {
  static constexpr std::pair<std::string_view, char> kLong[] = {
      {"exclude", '-'}, {"include", '+'}, {"merge", '.'}, {"clear", '!'}};
  std::string_view rest = text;
  char kind = rest.empty() ? '\0' : rest[0];
  size_t length = 1;
  for (const auto& [name, letter] : kLong) {
    if (!rest.starts_with(name)) continue;
    kind = letter;
    length = name.size();
  }
  rest.remove_prefix(std::min(length, rest.size()));
  if (kind == '!') {
    if (!rest.empty()) return Error(Code::invalid, "filter rule \"" + text + "\": text after \"!\"");
    rules_.clear();
    return ok();
  }
  if (kind != '-' && kind != '+' && kind != '.')
    return Error(Code::invalid,
                 "filter rule \"" + text + "\": begins with none of - + . ! exclude include merge clear");
  // Modifiers, with or without a comma before them, up to the blank.
  if (rest.starts_with(',')) rest.remove_prefix(1);
  bool negated = false;
  char within = '\0';  // of a merged file: all its lines are patterns of this kind
  while (!rest.empty() && rest[0] != ' ' && rest[0] != '_') {
    if (kind != '.' && rest[0] == '!')
      negated = true;
    else if (kind == '.' && (rest[0] == '-' || rest[0] == '+'))
      within = rest[0];
    else
      return Error(Code::invalid,
                   "filter rule \"" + text + "\": the modifier \"" + rest[0] + "\" is not one of Reel's");
    rest.remove_prefix(1);
  }
  if (!rest.empty()) rest.remove_prefix(1);
  if (rest.empty()) return Error(Code::invalid, "filter rule \"" + text + "\": nothing follows");
  if (kind == '.') {
    std::string file(rest);
    if (within == '-') return exclude_from(file);
    if (within == '+') return include_from(file);
    return add_file(file, [&](const std::string& line) { return rule(line); });
  }
  return add(rest, kind == '-' ? Decision::exclude : Decision::include, negated);
}

bool Filter::matches(const Rule& rule, std::string_view path, bool is_dir) {
  if (rule.dir_only && !is_dir) return false;
  std::string held;
  std::string_view text = path;
  if (rule.slashes == 0 && !rule.crosses) {
    text = path.substr(path.rfind('/') + 1);
    return rule.wild ? wild_match(rule.pattern, text) : rule.pattern == text;
  }
  bool all_below = is_dir && rule.ends_all;
  if (rule.leads || all_below) {
    // "**/x" matches x at the root, "x/***" matches the directory x.
    held.append(rule.leads ? "/" : "").append(path).append(all_below ? "/" : "");
    text = held;
  }
  auto match = [&](std::string_view tail) { return rule.wild ? wild_match(rule.pattern, tail) : rule.pattern == tail; };
  if (rule.anchored || rule.leads) return match(text);
  if (rule.crosses) {
    // It may begin at any name.
    for (size_t at = 0;;) {
      if (match(text.substr(at))) return true;
      size_t slash = text.find('/', at);
      if (slash == text.npos) return false;
      at = slash + 1;
    }
  }
  // As many names from the end as the pattern has.
  size_t at = text.size();
  for (size_t names = 0; names <= rule.slashes; names++) {
    if (at == 0) return false;
    size_t slash = text.rfind('/', at - 1);
    if (slash == text.npos) return names == rule.slashes && match(text);
    at = slash;
  }
  return match(text.substr(at + 1));
}

std::string Filter::text() const {
  std::string text;
  for (const Rule& rule : rules_) {
    text += rule.decision == Decision::exclude ? '-' : '+';
    if (rule.negated) text += '!';
    if (rule.dir_only) text += 'd';
    text += rule.anchored ? " /" : " ";
    text += rule.pattern;
    text += '\0';
  }
  return text;
}

Decision Filter::decide(std::string_view path, bool is_dir) const {
  for (const Rule& rule : rules_) {
    if (matches(rule, path, is_dir) != rule.negated) return rule.decision;
  }
  return Decision::include;
}

}  // namespace reel::mirror

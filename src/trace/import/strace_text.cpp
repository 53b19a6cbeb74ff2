// SPDX-License-Identifier: Apache-2.0
//
// Reading strace's notation of arguments.
#include "trace/import/strace_text.h"

#include <cctype>
#include <charconv>

#include "trace/import/strace_names.h"

namespace reel::trace {
namespace {

constexpr int kDeepest = 16;  // strace nests structures three deep

bool is_octal(char c) {
  return c >= '0' && c <= '7';
}
bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

class Parser {
 public:
  Parser(std::string_view text, size_t at) : text_(text), at_(at) {}

  size_t at() const { return at_; }

  // Fields up to `close`, which is passed.
  bool fields(char close, std::vector<StraceField>& items, bool& abridged, int depth) {
    if (depth > kDeepest) return false;
    skip_blanks();
    if (take(close)) return true;
    for (;;) {
      skip_blanks();
      if (text_.substr(at_).starts_with("...")) {
        at_ += 3;
        abridged = true;
      } else {
        StraceField& field = items.emplace_back();
        if (!key(field.key)) return false;
        if (!value(field.value, depth + 1)) return false;
      }
      skip_blanks();
      if (take(close)) return true;
      if (!take(',')) return false;
    }
  }

  bool value(StraceValue& to, int depth) {
    if (!simple_value(to, depth)) return false;
    // What it became by the call: `[0] => [4096]`. The program gave the first.
    skip_blanks();
    if (!text_.substr(at_).starts_with("=>")) return true;
    at_ += 2;
    skip_blanks();
    StraceValue after;
    return depth <= kDeepest && value(after, depth + 1);
  }

  bool result(StraceValue& to) {
    size_t begin = at_;
    while (at_ < text_.size() && (is_word(text_[at_]) || text_[at_] == '-')) ++at_;
    to.text = text_.substr(begin, at_ - begin);
    std::optional<uint64_t> number = strace_number(to.text);
    if (!number) return false;
    to.kind = StraceValue::Kind::number;
    to.number = *number;
    return at_ == text_.size() || text_[at_] != '<' || leads_to(to);
  }

 private:
  bool simple_value(StraceValue& to, int depth) {
    if (depth > kDeepest || at_ >= text_.size()) return false;
    switch (text_[at_]) {
      case '"':
        to.kind = StraceValue::Kind::text;
        if (!string(to.text)) return false;
        to.abridged = text_.substr(at_).starts_with("...");
        if (to.abridged) at_ += 3;
        return skip_comment();
      case '[':
        ++at_;
        to.kind = StraceValue::Kind::list;
        return fields(']', to.items, to.abridged, depth) && skip_comment();
      case '{':
        ++at_;
        to.kind = StraceValue::Kind::structure;
        return fields('}', to.items, to.abridged, depth) && skip_comment();
      default:
        return word(to);
    }
  }

  void skip_blanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }

  bool take(char wanted) {
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  bool skip_comment() {
    size_t begin = at_;
    skip_blanks();
    if (!text_.substr(at_).starts_with("/*")) {
      at_ = begin;
      return true;
    }
    size_t end = text_.find("*/", at_ + 2);
    if (end == std::string_view::npos) return false;
    at_ = end + 2;
    return true;
  }

  // `name=` before a value; the '=' of `==` is none.
  bool key(std::string& to) {
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    if (end == at_ || end + 1 >= text_.size() || text_[end] != '=' || text_[end + 1] == '=' || text_[end + 1] == '>')
      return true;
    to = text_.substr(at_, end - at_);
    at_ = end + 1;
    return true;
  }

  // One character behind a backslash, in C's way.
  bool escape(std::string& to) {
    if (at_ >= text_.size()) return false;
    char c = text_[at_++];
    if (is_octal(c)) {
      unsigned byte = static_cast<unsigned>(c - '0');
      for (int i = 0; i < 2 && at_ < text_.size() && is_octal(text_[at_]); ++i)
        byte = byte * 8 + static_cast<unsigned>(text_[at_++] - '0');
      to += static_cast<char>(byte);
      return byte < 256;
    }
    if (c == 'x') {
      unsigned byte = 0;
      auto got = std::from_chars(text_.data() + at_, text_.data() + std::min(at_ + 2, text_.size()), byte, 16);
      if (got.ec != std::errc()) return false;
      at_ = static_cast<size_t>(got.ptr - text_.data());
      to += static_cast<char>(byte);
      return true;
    }
    static constexpr std::string_view kNames = "abfnrtv\\\"'", kBytes = "\a\b\f\n\r\t\v\\\"'";
    size_t known = kNames.find(c);
    if (known == std::string_view::npos) return false;
    to += kBytes[known];
    return true;
  }

  bool string(std::string& to) {
    for (++at_; at_ < text_.size();) {
      char c = text_[at_++];
      if (c == '"') return true;
      if (c != '\\')
        to += c;
      else if (!escape(to))
        return false;
    }
    return false;
  }

  // What a descriptor leads to: <...>, with its own '<' and '>' escaped when it is a path. Those of sockets are
  // `TCP:[1.2.3.4:5->6.7.8.9:10]`, of devices `/dev/null<char 1:3>`.
  bool leads_to(StraceValue& to) {
    std::string what;
    int depth = 1;
    size_t path_end = std::string::npos;
    for (++at_; at_ < text_.size();) {
      char c = text_[at_++];
      if (c == '\\') {
        if (!escape(what)) return false;
        continue;
      }
      if (c == '<') {
        ++depth;
        path_end = std::min(path_end, what.size());
      }
      bool arrow = c == '>' && what.ends_with('-') && !what.starts_with('/');
      if (c == '>' && !arrow && --depth == 0) {
        if (what.starts_with('/') && path_end != std::string::npos) what.resize(path_end);
        to.leads = std::move(what);
        to.deleted = text_.substr(at_).starts_with("(deleted)");
        if (to.deleted) at_ += 9;
        return true;
      }
      what += c;
    }
    return false;
  }

  bool word(StraceValue& to) {
    std::string what;
    int depth = 0;
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (depth == 0 && (c == ',' || c == ')' || c == ']' || c == '}')) break;
      if (depth == 0 && text_.substr(at_).starts_with("=>")) break;
      if (text_.substr(at_).starts_with("/*")) {
        if (!skip_comment()) return false;
        continue;
      }
      bool is_descriptor =
          !what.empty() && (what == "AT_FDCWD" || what.find_first_not_of("0123456789") == std::string::npos);
      if (c == '<' && is_descriptor && !text_.substr(at_).starts_with("<<")) {
        if (!leads_to(to)) return false;
        // The kernel's own mark; of other descriptors strace puts it behind.
        constexpr std::string_view kDeleted = " (deleted)";
        if (what == "AT_FDCWD" && to.leads->ends_with(kDeleted)) to.leads->resize(to.leads->size() - kDeleted.size());
        continue;
      }
      if (c == '"') {
        std::string inside;
        if (!string(inside)) return false;
        what += inside;
        continue;
      }
      if (c == '(' || c == '[') ++depth;
      if (c == ')' || c == ']') --depth;
      what += c;
      ++at_;
    }
    if (depth != 0) return false;
    to.text = trimmed(what);
    if (to.text.empty()) return false;
    if (std::optional<uint64_t> number = strace_number(to.text)) {
      to.kind = StraceValue::Kind::number;
      to.number = *number;
    }
    return true;
  }

  std::string_view text_;
  size_t at_;
};

}  // namespace

const StraceValue* StraceValue::field(std::string_view key) const {
  for (const StraceField& item : items)
    if (item.key == key) return &item.value;
  return nullptr;
}

bool parse_strace_arguments(std::string_view text, size_t& at, std::vector<StraceField>& arguments) {
  Parser parser(text, at);
  bool abridged = false;
  if (!parser.fields(')', arguments, abridged, 0) || abridged) return false;
  at = parser.at();
  return true;
}

bool parse_strace_result(std::string_view text, size_t& at, StraceValue& value) {
  Parser parser(text, at);
  if (!parser.result(value)) return false;
  at = parser.at();
  return true;
}

}  // namespace reel::trace

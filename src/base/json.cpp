// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <charconv>

namespace reel {
namespace {

constexpr int kDepthMax = 64;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Json> document() {
    Json json;
    TRY(value(json, 0));
    skip_blanks();
    if (at_ != text_.size()) return wrong("something follows the value");
    return json;
  }

 private:
  Error wrong(const char* what) const { return {Code::invalid, "JSON, byte " + std::to_string(at_) + ": " + what}; }
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  void skip_blanks() {
    while (!at_end() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) ++at_;
  }
  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Status value(Json& json, int depth) {
    if (depth > kDepthMax) return wrong("nested too deeply");
    skip_blanks();
    if (at_end()) return wrong("a value is missing");
    if (peek() == '{') return object(json, depth);
    if (peek() == '[') return array(json, depth);
    if (peek() == '"') {
      json.kind = Json::Kind::string;
      return string(json.text);
    }
    if (take("null")) return ok();
    if (take("true") || take("false")) {
      json.kind = Json::Kind::boolean;
      json.truth = text_[at_ - 2] == 'u';
      return ok();
    }
    return number(json);
  }

  Status number(Json& json) {
    size_t begin = at_;
    while (!at_end() && std::string_view("+-.eE0123456789").find(peek()) != std::string_view::npos) ++at_;
    if (at_ == begin) return wrong("no value");
    json.kind = Json::Kind::number;
    json.text = text_.substr(begin, at_ - begin);
    double unused = 0;
    auto [end, failed] = std::from_chars(json.text.data(), json.text.data() + json.text.size(), unused);
    bool out_of_range = failed == std::errc::result_out_of_range;
    if ((failed != std::errc() && !out_of_range) || end != json.text.data() + json.text.size())
      return wrong("no number");
    return ok();
  }

  Status array(Json& json, int depth) {
    json.kind = Json::Kind::array;
    ++at_;
    skip_blanks();
    if (take("]")) return ok();
    while (true) {
      TRY(value(json.items.emplace_back(), depth + 1));
      skip_blanks();
      if (take("]")) return ok();
      if (!take(",")) return wrong("a comma or ] is missing");
    }
  }

  Status object(Json& json, int depth) {
    json.kind = Json::Kind::object;
    ++at_;
    skip_blanks();
    if (take("}")) return ok();
    while (true) {
      skip_blanks();
      if (peek() != '"') return wrong("a name is missing");
      auto& [name, member] = json.members.emplace_back();
      TRY(string(name));
      skip_blanks();
      if (!take(":")) return wrong("a colon is missing");
      TRY(value(member, depth + 1));
      skip_blanks();
      if (take("}")) return ok();
      if (!take(",")) return wrong("a comma or } is missing");
    }
  }

  Status string(std::string& out) {
    ++at_;
    while (true) {
      if (at_end()) return wrong("a string has no end");
      char c = text_[at_++];
      if (c == '"') return ok();
      if (static_cast<unsigned char>(c) < 0x20) return wrong("a control byte in a string");
      if (c != '\\') {
        out += c;
        continue;
      }
      TRY(escape(out));
    }
  }

  Status escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    char c = peek();
    ++at_;
    if (size_t known = kLetters.find(c); known != std::string_view::npos && c != '\0') {
      out += kMeanings[known];
      return ok();
    }
    if (c != 'u') return wrong("an unknown escape");
    TRY_ASSIGN(uint32_t point, four_digits());
    if (point >= 0xd800 && point < 0xdc00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      TRY_ASSIGN(uint32_t low, four_digits());
      if (low < 0xdc00 || low > 0xdfff) return wrong("half a surrogate pair");
      append_utf8(0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00), out);
      return ok();
    }
    if (point >= 0xdc80 && point <= 0xdcff) {
      out += static_cast<char>(point - 0xdc00);
      return ok();
    }
    if (point >= 0xd800 && point <= 0xdfff) return wrong("half a surrogate pair");
    append_utf8(point, out);
    return ok();
  }

  Result<uint32_t> four_digits() {
    uint32_t point = 0;
    if (text_.size() - at_ < 4) return wrong("an escape is cut off");
    const char* begin = text_.data() + at_;
    auto [end, failed] = std::from_chars(begin, begin + 4, point, 16);
    if (failed != std::errc() || end != begin + 4) return wrong("an escape without four digits");
    at_ += 4;
    return point;
  }

  static void append_utf8(uint32_t point, std::string& out) {
    auto tail = [&](unsigned shift) { out += static_cast<char>(0x80 | ((point >> shift) & 0x3f)); };
    if (point < 0x80) {
      out += static_cast<char>(point);
    } else if (point < 0x800) {
      out += static_cast<char>(0xc0 | point >> 6);
      tail(0);
    } else if (point < 0x10000) {
      out += static_cast<char>(0xe0 | point >> 12);
      tail(6);
      tail(0);
    } else {
      out += static_cast<char>(0xf0 | point >> 18);
      tail(12);
      tail(6);
      tail(0);
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

template <class T>
std::optional<T> whole(const Json& json) {
  T value{};
  const char* end = json.text.data() + json.text.size();
  if (json.kind != Json::Kind::number) return std::nullopt;
  auto [stopped, failed] = std::from_chars(json.text.data(), end, value);
  return failed == std::errc() && stopped == end ? std::optional<T>(value) : std::nullopt;
}

}  // namespace

const Json* Json::find(std::string_view name) const {
  for (const auto& [key, value] : members)
    if (key == name) return &value;
  return nullptr;
}

std::optional<uint64_t> Json::as_unsigned() const {
  return whole<uint64_t>(*this);
}
std::optional<int64_t> Json::as_signed() const {
  return whole<int64_t>(*this);
}

Result<Json> parse_json(std::string_view text) {
  return Parser(text).document();
}

}  // namespace reel

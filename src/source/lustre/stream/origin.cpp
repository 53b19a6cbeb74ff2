// SPDX-License-Identifier: Apache-2.0
//
// The origin file: text in, text out.
#include "source/lustre/stream/origin.h"

#include <charconv>
#include <sstream>

namespace reel::source::lustre {
namespace {

constexpr const char* kFirstLine = "reel-origin 1";
constexpr size_t kMaxSize = 1u << 20;

template <class T>
bool number(const std::string& text, T& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// "35 offset -2"
bool span(std::istringstream& line, Origin::Span& result) {
  std::string from, word, offset;
  return line >> from >> word >> offset && word == "offset" && number(from, result.from) &&
         number(offset, result.offset);
}

}  // namespace

void Origin::trim(uint64_t last) {
  while (!spans.empty() && spans.back().from > last) spans.pop_back();
  if (spans.size() > 1) spans.erase(spans.begin(), spans.end() - 1);
}

uint64_t Origin::mdt_index(uint64_t at) const {
  for (auto s = spans.rbegin(); s != spans.rend(); ++s)
    if (s->from <= at) return static_cast<uint64_t>(static_cast<int64_t>(at) - s->offset);
  return 0;
}

std::string Origin::text() const {
  std::ostringstream out;
  out << kFirstLine << "\nmdt " << mdt << "\nuser " << user << "\nincarnation " << incarnation << "\nowes_gap "
      << (owes_gap ? 1 : 0) << '\n';
  for (const Span& s : spans) out << "from " << s.from << " offset " << s.offset << '\n';
  out << "end\n";
  return out.str();
}

Result<Origin> Origin::parse(const std::string& text) {
  Origin origin;
  std::istringstream in(text);
  std::string line;
  if (!std::getline(in, line) || !line.starts_with("reel-origin ")) return Error(Code::corrupt, "not an origin file");
  if (line != kFirstLine) return Error(Code::newer, "written by a newer reel: " + line);
  bool ended = false;
  while (!ended && std::getline(in, line)) {
    std::istringstream words(line);
    std::string key, value;
    Span s;
    words >> key;
    bool good = true;
    if (key == "from") {
      good = span(words, s) && (origin.spans.empty() || origin.spans.back().from < s.from);
      origin.spans.push_back(s);
    } else if (key == "mdt") {
      good = static_cast<bool>(words >> origin.mdt);
    } else if (key == "user") {
      good = static_cast<bool>(words >> origin.user);
    } else if (key == "incarnation") {
      good = words >> value && number(value, origin.incarnation);
    } else if (key == "owes_gap") {
      good = words >> value && (value == "0" || value == "1");
      origin.owes_gap = value == "1";
    } else {
      ended = good = key == "end";
    }
    if (!good) return Error(Code::corrupt, "a line that is not understood: " + line);
  }
  if (!ended) return Error(Code::corrupt, "it is cut off");
  return origin;
}

Result<Origin> Origin::load(Env& env, const std::string& path) {
  TRY_ASSIGN(std::string text, read_file(env, path, kMaxSize));
  Result<Origin> origin = parse(text);
  if (!origin) return std::move(origin).error().with(path);
  return origin;
}

Status Origin::save(Env& env, const std::string& dir, const std::string& path) const {
  return replace_file(env, dir, path, text());
}

}  // namespace reel::source::lustre

// SPDX-License-Identifier: Apache-2.0
#include "log/position.h"

#include <algorithm>
#include <charconv>

namespace reel::log {
namespace {

constexpr const char* kFirstStream = "local";  // the only one there was in version 1

bool parse_index(std::string_view text, uint64_t& index) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), index);
  return !text.empty() && failed == std::errc() && end == text.data() + text.size();
}

}  // namespace

uint64_t Position::at(const std::string& stream) const {
  auto found = ends_.find(stream);
  return found == ends_.end() ? 0 : found->second;
}

void Position::set(const std::string& stream, uint64_t index) {
  if (index == 0)
    ends_.erase(stream);
  else
    ends_[stream] = index;
}

bool Position::reaches(const Position& other) const {
  return std::all_of(other.ends_.begin(), other.ends_.end(),
                     [&](const auto& end) { return at(end.first) >= end.second; });
}

bool Position::limit(const Position& end) {
  Position limited;
  for (const auto& [stream, index] : ends_) limited.set(stream, std::min(index, end.at(stream)));
  bool changed = !(limited == *this);
  *this = std::move(limited);
  return changed;
}

uint64_t Position::total() const {
  uint64_t sum = 0;
  for (const auto& [stream, index] : ends_) sum += index;
  return sum;
}

std::string Position::text() const {
  std::string text;
  for (const auto& [stream, index] : ends_) text += (text.empty() ? "" : " ") + stream + "=" + std::to_string(index);
  return text;
}

Result<Position> Position::parse(const std::string& text) {
  Position position;
  uint64_t index = 0;
  if (parse_index(text, index)) return Position(kFirstStream, index);
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find(' ', at), text.size());
    std::string_view word = std::string_view(text).substr(at, end - at);
    size_t equals = word.rfind('=');
    if (equals == std::string_view::npos || equals == 0 || !parse_index(word.substr(equals + 1), index) || index == 0)
      return Error(Code::corrupt, "\"" + text + "\" is no position in a log");
    position.set(std::string(word.substr(0, equals)), index);
    at = end + 1;
  }
  return position;
}

}  // namespace reel::log

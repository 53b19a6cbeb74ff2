// SPDX-License-Identifier: Apache-2.0
#include "mirror/barriers.h"

namespace reel::mirror {

Status Barriers::load() {
  open_.clear();
  Status bad = ok();
  TRY(index_.scan_raw("B", [&](std::string_view key, std::string_view value) {
    Result<log::Position> position = log::Position::parse(std::string(value));
    if (position)
      open_.emplace(number_of_row(key), *std::move(position));
    else
      bad = std::move(position).error().with("index, a barrier");
    return bad.has_value();
  }));
  return bad;
}

void Barriers::add(uint64_t number, const log::Position& position) {
  index_.put_raw(numbered_row('B', number), position.text());
  open_[number] = position;
}

void Barriers::retire(const log::Position& cursor) {
  while (!open_.empty() && cursor.reaches(open_.begin()->second)) {
    index_.put_raw(numbered_row('B', open_.begin()->first), std::nullopt);
    open_.erase(open_.begin());
  }
}

bool Barriers::limit(const log::Position& end) {
  bool changed = false;
  for (auto& [number, position] : open_) {
    if (!position.limit(end)) continue;
    changed = true;
    index_.put_raw(numbered_row('B', number), position.text());
  }
  return changed;
}

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
#include "mirror/mend/lost_writes.h"

#include <cstdlib>

namespace reel::mirror {
namespace {

constexpr const char* kReached = "reached";
constexpr const char* kSuspect = "suspect";
constexpr const char* kCopiedFrom = "copied_from";

}  // namespace

Status LostWrites::load(const SourceTree& source, const std::string& boot) {
  TRY_ASSIGN(std::optional<std::string> reached, index_.meta(kReached));
  reached_s_ = reached ? std::strtoll(reached->c_str(), nullptr, 10) : 0;
  TRY_ASSIGN(std::optional<std::string> from, index_.meta(kSuspect));
  from_s_ = untold_from_s_ = INT64_MAX;
  if (from && !from->empty()) {
    char* end = nullptr;
    from_s_ = std::strtoll(from->c_str(), &end, 10);
    // A reel that knew of one time only meant both.
    untold_from_s_ = *end == ' ' ? std::strtoll(end, nullptr, 10) : from_s_;
  }
  here_ = boot + " " + source.mounting();
  is_known_ = !source.mounting().empty();
  has_fine_ctime_ = source.has_fine_ctime();
  TRY_ASSIGN(std::optional<std::string> copied_from, index_.meta(kCopiedFrom));
  is_same_ = copied_from == here_;
  return ok();
}

void LostWrites::begin() {
  is_same_ = true;
  index_.put_meta(kCopiedFrom, here_);
}

void LostWrites::reached(int64_t now_s) {
  reached_s_ = now_s;
  index_.put_meta(kReached, std::to_string(now_s));
}

// is_same_ stays as it was: of a later gap, too, it is not known what went before it.
void LostWrites::unwatched(std::optional<int64_t> last_s) {
  int64_t last = last_s.value_or(reached_s_);
  bool is_kept = is_same_ && is_known_;
  int64_t untold = has_fine_ctime_ ? INT64_MAX : last - limits_.read_s;
  suspect(is_kept ? untold : last - limits_.written_back_s, untold);
  index_.put_meta(kCopiedFrom, here_);
}

void LostWrites::started_without_log() {
  if (is_same_) return;
  suspect(reached_s_ - limits_.written_back_s, INT64_MAX);
  index_.put_meta(kCopiedFrom, here_);
}

void LostWrites::suspect(int64_t from_s, int64_t untold_from_s) {
  from_s_ = std::min(from_s_, from_s);
  untold_from_s_ = std::min(untold_from_s_, untold_from_s);
  if (from_s_ != INT64_MAX) index_.put_meta(kSuspect, std::to_string(from_s_) + " " + std::to_string(untold_from_s_));
}

void LostWrites::looked() {
  from_s_ = untold_from_s_ = INT64_MAX;
  index_.put_meta(kSuspect, "");
}

}  // namespace reel::mirror

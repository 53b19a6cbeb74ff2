// SPDX-License-Identifier: Apache-2.0
#include "mirror/lost_writes.h"

#include <cstdlib>

namespace reel::mirror {
namespace {

constexpr const char* kReached = "reached";
constexpr const char* kSuspect = "suspect";

}  // namespace

Status LostWrites::load() {
  TRY_ASSIGN(std::optional<std::string> reached, index_.meta(kReached));
  reached_s_ = reached ? std::strtoll(reached->c_str(), nullptr, 10) : 0;
  TRY_ASSIGN(std::optional<std::string> from, index_.meta(kSuspect));
  from_s_ = from && !from->empty() ? std::strtoll(from->c_str(), nullptr, 10) : INT64_MAX;
  return ok();
}

void LostWrites::reached(int64_t now_s) {
  reached_s_ = now_s;
  index_.put_meta(kReached, std::to_string(now_s));
}

void LostWrites::suspect(std::optional<int64_t> last_s) {
  from_s_ = std::min(from_s_, last_s.value_or(reached_s_) - written_back_s_);
  index_.put_meta(kSuspect, std::to_string(from_s_));
}

void LostWrites::looked() {
  from_s_ = INT64_MAX;
  index_.put_meta(kSuspect, "");
}

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// MdtStream: what goes wrong, and who is told.
#include "source/lustre/stream/stream.h"

namespace reel::source::lustre {

void Stream::tell(EventKind kind, const std::string& text) {
  if (options_.event) options_.event({kind, mdt_.name(), text});
}

void Stream::tell_once(EventKind kind, const std::string& text) {
  uint32_t bit = 1u << static_cast<unsigned>(kind);
  if ((told_ & bit) == 0) tell(kind, text);
  told_ |= bit;
}

Status Stream::owe_gap(EventKind kind, const std::string& why) {
  tell(kind, why);
  gap_ = gap_.empty() ? why : gap_ + "; " + why;
  origin_.owes_gap = true;
  return save_origin();
}

// Whatever the MDT holds now is new to us.
Result<Step> Stream::index_back(const std::string& why) {
  TRY(owe_gap(EventKind::index_back, why));
  position_ = 0;
  at_end_ = false;
  catching_up_ = true;
  tail_.start(0, 0, true);
  marks_.clear();
  looked_ = false;
  return Step::worked;
}

Result<Step> Stream::end(EventKind kind, Code code, const std::string& why) {
  tail_.close();
  {
    std::lock_guard lock(mutex_);
    error_ = Error(code, mdt_.name() + ": " + why);
    state_.problem = why;
  }
  TRY(owe_gap(kind, why));
  if (kind == EventKind::failed) return Step::ended;
  // Told to readers at once; owed all the same, to whatever follows.
  TRY(append_gap(why, position_ + 1));
  TRY(writer_->commit());
  return Step::ended;
}

Step Stream::away(const Error& error) {
  tail_.close();
  {
    std::lock_guard lock(mutex_);
    state_.problem = error.text();
  }
  if (!gone_) tell(EventKind::mdt_gone, error.text());
  gone_ = was_gone_ = true;
  looked_ = false;
  return Step::away;
}

void Stream::back() {
  if (!gone_) return;
  gone_ = false;
  tell(EventKind::mdt_back, "it answers again");
  std::lock_guard lock(mutex_);
  state_.problem.clear();
}

void Stream::publish() {
  std::lock_guard lock(mutex_);
  state_.last = writer_->last_index();
  state_.released = released_;
  state_.mdt_index = position_;
}

}  // namespace reel::source::lustre

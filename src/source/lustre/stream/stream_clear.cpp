// SPDX-License-Identifier: Apache-2.0
//
// MdtStream: clearing at the MDT. Only that makes records safe to act on, and tells whether somebody clears in
// our name.
#include <algorithm>
#include <cerrno>

#include "base/kill_point.h"
#include "source/lustre/stream/stream.h"

namespace reel::source::lustre {

// What is in our log is durable: it may be cleared, and then acted on.
Result<Step> Stream::clear() {
  kill_point("lustre.clear");
  Status done = mdt_.clear(user_.id, position_);
  if (done) {
    kill_point("lustre.cleared");
    catching_up_ = false;
    last_clear_ms_ = now_ms();
    released_ = writer_->last_index();
    return Step::worked;
  }
  switch (done.error().sys_errno()) {
    case EINVAL:
      return index_back("the MDT's log ends before index " + std::to_string(position_) + ", which it had given");
    case ENOENT:
      break;
    default:
      return away(done.error());
  }
  Status there = mdt_.check_user(user_);
  if (there.is(Code::not_found)) {
    return end(EventKind::user_lost, Code::gap,
               "there is no user " + user_.text() + " any more: evicted, or deregistered");
  }
  if (!there && !there.is(Code::unsupported)) return away(there.error());
  if (catching_up_) return catch_up();
  if (there.is(Code::unsupported))
    return end(EventKind::user_lost, Code::gap,
               "the user " + user_.text() + " cannot clear index " + std::to_string(position_) +
                   ": evicted, or given to somebody else");
  return end(EventKind::cleared_by_other, Code::gap,
             "somebody has cleared behind index " + std::to_string(position_) + " in the name of " + user_.text());
}

// A new user owns nothing that is older than he is, and cannot clear it; what is there of it, others hold.
Result<Step> Stream::catch_up() {
  if (!at_end_) return Step::worked;
  if (!tail_.chunks().empty()) {
    take_all_ = true;
    return Step::worked;
  }
  Result<Fence> fence = mdt_.fence();  // makes a record
  if (!fence) return away(fence.error());
  return *fence == Fence::committed ? Step::idle : cannot_clear_yet();
}

Step Stream::cannot_clear_yet() {
  return away(Error(Code::not_found, "there is no record yet that user " + user_.text() +
                                         " could clear: change anything on this MDT, or make .reel/" + short_name() +
                                         " on it"));
}

// The MDT has given no record yet. Only clearing tells whether somebody clears in our name, and there is
// nothing to clear: unless there never was a record, one has to come before anything is sure.
Result<Step> Stream::clear_nothing() {
  if (!at_end_ || !tail_.chunks().empty()) {  // it comes
    take_all_ = true;
    return Step::idle;
  }
  if (mdt_.view().current_index == 0u) {
    released_ = writer_->last_index();
    return Step::worked;
  }
  Result<Fence> fence = mdt_.fence();
  if (!fence) return away(fence.error());
  return *fence == Fence::committed ? Step::idle : cannot_clear_yet();
}

// Releases what is in our log, and serves the tickets whose end it has reached, with our user still there.
Result<Step> Stream::serve_marks() {
  if (!gap_.empty()) return Step::idle;
  bool wanted = !marks_.empty() && marks_.front().mdt_index <= position_;
  bool due = now_ms() - last_clear_ms_ >= static_cast<uint64_t>(options_.clear_s) * 1000;
  if (wanted) {
    TRY_ASSIGN(Step looked, look());
    if (looked != Step::worked || !gap_.empty()) return looked;
  }
  if (released_ != writer_->last_index() || wanted || due) {
    TRY_ASSIGN(Step cleared, position_ == 0 ? clear_nothing() : clear());
    if (cleared != Step::worked || !gap_.empty()) return cleared;
  }
  if (released_ != writer_->last_index()) return Step::idle;
  for (; !marks_.empty() && marks_.front().mdt_index <= position_; marks_.pop_front()) served_ = marks_.front().ticket;
  return Step::idle;
}

}  // namespace reel::source::lustre

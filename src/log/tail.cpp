// SPDX-License-Identifier: Apache-2.0
//
// The two ends of a stream: where it ends now, and what may go at its beginning.
#include "log/tail.h"

#include <algorithm>

#include "base/kill_point.h"
#include "log/log.h"

namespace reel::log {

Result<uint64_t> Tail::last_index() {
  TRY_ASSIGN(std::vector<SegmentEntry> segments, list_segments(env_, dir_, stream_));
  if (segments.empty()) return last_;
  const SegmentEntry& newest = segments.back();
  if (!segment_ || segment_->entry().first_index != newest.first_index) {
    TRY_ASSIGN(segment_, Segment::open(env_, newest));
    last_ = std::max(last_, newest.first_index - 1);
  }
  TRY(walk());
  return last_;
}

Status Tail::walk() {
  for (;;) {
    TRY_ASSIGN(Segment::Look look, segment_->look(true));
    if (look == Segment::Look::block) {
      last_ = std::max(last_, segment_->block().last_index);
      segment_->skip();
      continue;
    }
    if (look == Segment::Look::end) return ok();
    TRY_ASSIGN(bool found, segment_->resync());
    if (found) continue;
    segment_->move_to(segment_->offset());  // look afresh next time: a writer may cut and go on here
    return ok();
  }
}

Result<uint64_t> current_index(Env& env, const std::string& dir, const std::string& stream) {
  return Tail(env, dir, stream).last_index();
}

Status purge_segments(Env& env, const std::string& dir, const std::string& stream, uint64_t cleared) {
  TRY_ASSIGN(std::vector<SegmentEntry> segments, list_segments(env, dir, stream));
  bool removed = false;
  for (size_t i = 0; i + 1 < segments.size() && segments[i + 1].first_index <= cleared + 1; ++i) {
    kill_point("log.purge.before");
    Status gone = env.unlink(segments[i].path);
    kill_point("log.purge.after");
    if (!gone && !gone.is(Code::not_found)) return gone;  // not_found: another process was first
    removed = true;
  }
  return removed ? env.sync_dir(stream_dir(dir, stream)) : ok();
}

}  // namespace reel::log

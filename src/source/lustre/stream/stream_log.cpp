// SPDX-License-Identifier: Apache-2.0
//
// MdtStream: records and GAPs into our log.
#include <algorithm>

#include "base/kill_point.h"
#include "log/text/lustre_wire.h"
#include "source/lustre/stream/stream.h"

namespace reel::source::lustre {

Status Stream::append_gap(const std::string& why, uint64_t next) {
  // At the index that is missing before `next`, or behind the last one: then all move up.
  int64_t before = static_cast<int64_t>(next) - 1 + offset();
  uint64_t at = std::max(writer_->last_index() + 1, static_cast<uint64_t>(std::max<int64_t>(before, 0)));
  int64_t moved = static_cast<int64_t>(at) + 1 - static_cast<int64_t>(next);
  if (origin_.spans.empty() || moved != offset()) {
    origin_.spans.push_back({at, moved});
    TRY(save_origin());
  }
  uint64_t now = env_.realtime_ns();
  Record record;
  record.index = at;
  record.time = pack_time(now / 1'000'000'000, static_cast<uint32_t>(now % 1'000'000'000));
  record.type = RecordType::gap;
  std::string text = why;
  if (moved != 0) text += "; index of the MDT from here: ours - " + std::to_string(moved);
  record.name = text;
  TRY(writer_->append(record));
  return ok();
}

Status Stream::append_chunk(const Chunk& chunk) {
  if (chunk.bytes.empty()) {
    tell(chunk.kind, chunk.why);
    if (!gap_.empty()) return ok();  // comes with the GAP that is owed
    return append_gap(chunk.why, chunk.last + 1);
  }
  Record record;
  for (size_t at = 0; at < chunk.bytes.size();) {
    TRY_ASSIGN(size_t used, log::decode_lustre(chunk.bytes.data() + at, chunk.bytes.size() - at, record));
    at += used;
    if (!gap_.empty()) {
      TRY(append_gap(gap_, record.index));
      gap_.clear();
    }
    record.index = static_cast<uint64_t>(static_cast<int64_t>(record.index) + offset());
    TRY(writer_->append(record));
  }
  return ok();
}

Status Stream::append(size_t chunks) {
  bool owed = !gap_.empty();
  for (size_t i = 0; i < chunks; ++i) TRY(append_chunk(tail_.chunks()[i]));
  if (chunks > 0) position_ = tail_.chunks()[chunks - 1].last;
  tail_.forget(chunks);
  if (!gap_.empty()) {  // there was no record to put it before
    if (chunks == 0) position_ = std::max(position_, known_index_);
    TRY(append_gap(gap_, position_ + 1));
    gap_.clear();
    if (tail_.chunks().empty()) tail_.settle_at(position_);
  }
  known_index_ = 0;
  kill_point("lustre.commit");
  TRY(writer_->commit());
  kill_point("lustre.committed");
  if (owed) {
    origin_.owes_gap = false;
    TRY(save_origin());
  }
  return ok();
}

}  // namespace reel::source::lustre

// SPDX-License-Identifier: Apache-2.0
//
// The reader of a stream. Every block says which index was written before it, so a reader notices
// what is missing however it got lost, and says so once: damage without a lost record is no error.
#include <algorithm>
#include <optional>
#include <utility>

#include "log/block/block.h"
#include "log/log.h"
#include "log/segment.h"

namespace reel::log {
namespace {

using Look = Segment::Look;

class StreamReader : public Reader {
 public:
  StreamReader(Env& env, std::string dir, std::string stream, uint64_t start, const LogKey* key)
      : env_(env),
        dir_(std::move(dir)),
        stream_(std::move(stream)),
        start_(std::max<uint64_t>(start, 1)),
        seen_(start_ - 1) {
    if (key) key_ = *key;
  }

  Status begin();
  Result<bool> next(Record& record) override;
  uint64_t lost_up_to() const override { return lost_up_to_; }
  Status seek_time(uint64_t time) override;

 private:
  enum class Move {
    block,    // a good block lies ahead
    again,    // we are somewhere else now: look there
    segment,  // nothing more in this segment
    wait,     // nothing more for now
  };

  Status enter(const SegmentEntry& entry);
  Result<Move> next_block();
  Result<Move> behind_damage(bool closed);
  Result<std::optional<SegmentEntry>> segment_after();
  Result<Look> look();
  Status open_block();
  Result<bool> next_in_block(Record& record);
  Status check_order(uint64_t prev_index);
  bool unwanted(const BlockHeader& block) const;
  Error lost(uint64_t up_to, const std::string& why);
  std::string here() const;
  const LogKey* key() const { return key_ ? &*key_ : nullptr; }

  Env& env_;
  std::string dir_, stream_;
  std::optional<LogKey> key_;
  uint64_t start_;         // nothing below is delivered
  uint64_t seen_;          // every index up to this one was delivered, skipped or reported lost
  uint64_t min_time_ = 0;  // skip records until one is as late as this
  uint64_t lost_up_to_ = 0;
  std::unique_ptr<Segment> segment_;
  std::optional<uint64_t> damage_at_;  // damage up to the end of the stream, reported already
  bool damaged_ = false;               // damage lies between the last good block and here
  bool in_block_ = false;
  std::optional<Segment::Payload> payload_;  // of the block looked at
  BlockDecoder decoder_;
};

std::string StreamReader::here() const {
  return segment_->entry().path + " at offset " + std::to_string(segment_->offset());
}

Error StreamReader::lost(uint64_t up_to, const std::string& why) {
  std::string range = "records from " + std::to_string(seen_ + 1);
  range += up_to == 0 ? " on" : " to " + std::to_string(up_to);
  lost_up_to_ = up_to;
  seen_ = std::max(seen_, up_to);
  return Error(Code::corrupt, here() + ": " + why + "; " + range + " are lost");
}

Status StreamReader::begin() {
  TRY_ASSIGN(std::vector<SegmentEntry> segments, list_segments(env_, dir_, stream_));
  if (segments.empty()) return Error(Code::not_found, stream_dir(dir_, stream_) + ": no segments");
  auto after = std::upper_bound(segments.begin(), segments.end(), start_,
                                [](uint64_t index, const SegmentEntry& s) { return index < s.first_index; });
  const SegmentEntry& first = after == segments.begin() ? segments.front() : *(after - 1);
  TRY(enter(first));
  // What was there before the oldest segment has been purged; that is no loss.
  seen_ = std::max(seen_, segment_->header() ? segment_->header()->prev_index : first.first_index - 1);
  return ok();
}

Status StreamReader::enter(const SegmentEntry& entry) {
  TRY_ASSIGN(segment_, Segment::open(env_, entry, key()));
  in_block_ = false;
  damage_at_.reset();
  return ok();
}

Result<std::optional<SegmentEntry>> StreamReader::segment_after() {
  TRY_ASSIGN(std::vector<SegmentEntry> segments, list_segments(env_, dir_, stream_));
  for (SegmentEntry& entry : segments)
    if (entry.first_index > segment_->entry().first_index) return std::optional(std::move(entry));
  return std::optional<SegmentEntry>();
}

// The bytes at the offset are no good block. `closed`: the segment gets no more.
Result<StreamReader::Move> StreamReader::behind_damage(bool closed) {
  TRY_ASSIGN(bool found, segment_->resync());
  if (found || closed) {
    damaged_ = true;
    return found ? Move::again : Move::segment;
  }
  // To the end of the stream. A writer that opens it cuts this off and goes on here, with the same
  // indexes: so stay, and count nothing of it as seen.
  uint64_t at = segment_->offset();
  segment_->move_to(at);
  if (damage_at_ == at) return Move::wait;
  damage_at_ = at;
  return lost(0, "no good block up to the end");
}

// What lies at the offset, the payload unpacked if there is one to read.
Result<Look> StreamReader::look() {
  TRY_ASSIGN(Look look, segment_->look(min_time_ != 0));
  if (look != Look::block || unwanted(segment_->block())) return look;
  TRY_ASSIGN(payload_, segment_->payload());
  return payload_ ? Look::block : Look::bad;
}

Result<StreamReader::Move> StreamReader::next_block() {
  TRY_ASSIGN(Look look, this->look());
  if (look == Look::block) return Move::block;
  TRY_ASSIGN(std::optional<SegmentEntry> after, segment_after());
  // If there is a next segment, this one is complete now, but may have grown since it was looked
  // at; and what looked bad may have been read half before and half after a writer cut a torn tail.
  segment_->move_to(segment_->offset());
  TRY_ASSIGN(look, this->look());
  if (look == Look::block) return Move::block;
  if (!after) {
    if (look == Look::bad) return behind_damage(false);
    return Move::wait;  // nothing, or a part of a block: it is being written
  }
  if (look != Look::end) {
    TRY_ASSIGN(Move move, behind_damage(true));
    if (move != Move::segment) return move;
  }
  TRY(enter(*after));
  if (segment_->header()) TRY(check_order(segment_->header()->prev_index));
  return Move::again;
}

// What is next follows on `prev_index`; if that is not where we are, the rest between is lost.
Status StreamReader::check_order(uint64_t prev_index) {
  bool was_damaged = std::exchange(damaged_, false);
  if (prev_index <= seen_) return ok();
  return lost(prev_index, was_damaged ? "damage before this place" : "blocks are missing before this one");
}

// Nothing in the block is to be delivered: a seal, what was read already, or too early.
bool StreamReader::unwanted(const BlockHeader& block) const {
  return block.count == 0 || block.last_index <= seen_ || (min_time_ != 0 && block.max_time < min_time_);
}

// Starts on the block looked at, or passes it over.
Status StreamReader::open_block() {
  const BlockHeader& block = segment_->block();
  TRY(check_order(block.prev_index));
  if (unwanted(block)) {
    seen_ = std::max(seen_, block.last_index);
    segment_->skip();
    return ok();
  }
  decoder_.start(block.first_index, block.count, payload_->data, payload_->size, (block.flags & kBlockColumns) != 0);
  in_block_ = true;
  return ok();
}

// The next record of the block that is wanted; false at its end.
Result<bool> StreamReader::next_in_block(Record& record) {
  for (;;) {
    BlockDecoder::Step step = decoder_.next(record);
    if (step == BlockDecoder::Step::record) {
      if (record.index <= seen_) continue;
      seen_ = record.index;
      if (record.time < min_time_) continue;
      min_time_ = 0;
      return true;
    }
    in_block_ = false;
    uint64_t last = segment_->block().last_index;
    segment_->skip();
    if (step == BlockDecoder::Step::bad) return lost(last, "the block before this place can not be decoded");
    seen_ = std::max(seen_, last);
    return false;
  }
}

Result<bool> StreamReader::next(Record& record) {
  for (;;) {
    if (in_block_) {
      TRY_ASSIGN(bool found, next_in_block(record));
      if (found) return true;
    }
    TRY_ASSIGN(Move move, next_block());
    if (move == Move::wait) return false;
    if (move == Move::block) TRY(open_block());
  }
}

Status StreamReader::seek_time(uint64_t time) {
  min_time_ = time;
  // The last segment with nothing as late as this before it; times are not in order, but the latest
  // time so far is.
  TRY_ASSIGN(std::vector<SegmentEntry> segments, list_segments(env_, dir_, stream_));
  for (auto entry = segments.rbegin(); entry != segments.rend(); ++entry) {
    if (entry->first_index <= segment_->entry().first_index) return ok();
    TRY_ASSIGN(std::unique_ptr<Segment> segment, Segment::open(env_, *entry, key()));
    if (!segment->header() || segment->header()->max_time >= time) continue;
    seen_ = std::max(seen_, segment->header()->prev_index);
    segment_ = std::move(segment);
    in_block_ = false;
    damage_at_.reset();
    return ok();
  }
  return ok();
}

}  // namespace

Result<std::unique_ptr<Reader>> Reader::open(Env& env, const std::string& dir, const std::string& stream,
                                             uint64_t start, const LogKey* key) {
  auto reader = std::make_unique<StreamReader>(env, dir, stream, start, key);
  Status begun = reader->begin();
  if (!begun) return std::move(begun).error().with("read stream " + stream + " of log " + dir);
  return std::unique_ptr<Reader>(std::move(reader));
}

}  // namespace reel::log

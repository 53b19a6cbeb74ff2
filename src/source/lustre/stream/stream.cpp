// SPDX-License-Identifier: Apache-2.0
//
// MdtStream: from the start, and one pass at a time.
#include "source/lustre/stream/stream.h"

#include "log/text/lustre_wire.h"

namespace reel::source::lustre {
namespace {

constexpr int kChangedInARow = 5;  // then it is no crash of the MDT any more, and told as a problem

}  // namespace

// Why the log does not simply go on; empty when it does.
Result<std::string> Stream::load_origin() {
  Result<Origin> origin = Origin::load(env_, origin_path_);
  bool unusable = origin.is(Code::not_found) || origin.is(Code::corrupt);
  if (!origin && !unusable) return std::move(origin).error();
  uint64_t last = writer_->last_index();
  bool first = origin.is(Code::not_found) && last == 0;
  std::string why;
  if (first)
    why = "first start: not followed before";
  else if (!origin)
    why = "what the log holds of the MDT is not known: " + origin.error().text();
  else if (origin->mdt != mdt_.name())
    why = "the log is of another MDT, " + origin->mdt;
  if (why.empty()) {
    origin_ = std::move(*origin);
    origin_.trim(last);
    if (origin_.spans.empty())
      why = "nothing of what was followed before is in the log";
    else if (origin_.owes_gap)
      why = "records may have been missed before the last stop";
    else if (origin_.user != user_.text())
      why = "followed as another user before, " + origin_.user;
  } else {
    int64_t known = origin ? 0 : static_cast<int64_t>(last);
    origin_ = Origin{};
    if (known > 0) origin_.spans.push_back({last, known});
  }
  origin_.mdt = mdt_.name();
  origin_.user = user_.text();
  return why;
}

// raw_sum() of the last record as the MDT gave it; 0 when that is a GAP, or not known.
Result<uint64_t> Stream::sum_of_last() {
  uint64_t last = writer_->last_index();
  if (last == 0) return uint64_t{0};
  Result<std::unique_ptr<log::Reader>> reader = log::Reader::open(env_, options_.log_dir, state_.stream, last);
  if (reader.is(Code::not_found)) return uint64_t{0};
  if (!reader) return std::move(reader).error();
  Record record;
  Result<bool> found = (*reader)->next(record);
  if (!found || !*found || record.index != last || record.type == RecordType::gap) return uint64_t{0};
  record.index = position_;
  std::string raw;
  if (!log::encode_lustre(record, raw)) return uint64_t{0};
  return raw_sum(raw.data(), raw.size());
}

Status Stream::start() {
  TRY(make_dirs(env_, options_.log_dir));
  TRY(make_dirs(env_, options_.state_dir));
  TRY_ASSIGN(writer_, log::Writer::open(env_, options_.log_dir, state_.stream, options_.writer));
  TRY_ASSIGN(std::string why, load_origin());
  position_ = origin_.mdt_index(writer_->last_index());
  TRY_ASSIGN(uint64_t sum, sum_of_last());
  tail_.start(position_, sum, !why.empty());
  catching_up_ = true;  // the last run may have ended before its first clear
  if (why.empty()) {
    tell(EventKind::started, "goes on behind index " + std::to_string(position_));
  } else {
    TRY(owe_gap(EventKind::started, why));
  }
  publish();
  return ok();
}

Step Stream::step(uint64_t ticket) {
  if (error()) return Step::ended;
  if (tail_.ticket() < ticket && ticket > served_) tail_.close();
  Result<Step> result = pass(ticket);
  if (!result) {
    Error error = std::move(result).error();
    Result<Step> ended = end(EventKind::failed, error.code(), error.text());
    ignore(ended, "it ends");
    publish();
    return Step::ended;
  }
  publish();
  return *result;
}

Result<Step> Stream::pass(uint64_t ticket) {
  bool due = !looked_ || now_ms() - last_look_ms_ >= static_cast<uint64_t>(options_.look_s) * 1000;
  if (due) {
    TRY_ASSIGN(Step looked, look());
    if (looked != Step::worked) return looked;
  }
  Result<Tail::Filled> filled = tail_.fill(ticket);
  if (!filled) return away(filled.error());
  back();
  at_end_ = *filled == Tail::Filled::end;
  if (*filled == Tail::Filled::again) return Step::idle;
  if (*filled == Tail::Filled::reused) {
    if (tail_.chunks().empty())
      return index_back("index " + std::to_string(position_) + " is another record than it was");
    reread("the MDT has lost what it had not committed");
    return Step::worked;
  }
  if (*filled == Tail::Filled::broken)
    return end(EventKind::failed, Code::unsupported,
               "records behind index " + std::to_string(position_) + " cannot be read (" + tail_.why() +
                   "): this Lustre may be newer than this reel");
  if (at_end_ && tail_.ticket() > (marks_.empty() ? served_.load() : marks_.back().ticket))
    marks_.push_back({tail_.ticket(), tail_.last_worthwhile()});
  TRY_ASSIGN(Step step, settle());
  return *filled == Tail::Filled::more && step == Step::idle ? Step::worked : step;
}

void Stream::reread(const std::string& why) {
  tell(EventKind::tail_changed, why + "; it is read again");
  tail_.drop();
  marks_.clear();
  undone_ = true;
  looked_ = false;
}

// How many of the chunks a crash of the MDT can no longer change.
size_t Stream::believable(Fence fence) {
  if (fence == Fence::committed) {
    tail_.confirm_hole();
    return tail_.chunks().size();
  }
  tell_once(EventKind::no_fence, "its commits cannot be forced; records are believed after " +
                                     std::to_string(options_.commit_wait_ms / 1000) + " s");
  return tail_.aged(options_.commit_wait_ms);
}

Result<Step> Stream::settle() {
  size_t count = 0;
  bool hole = tail_.waits_for_hole();
  bool all = take_all_ || !gap_.empty();
  take_all_ = false;
  if (tail_.worthwhile() || hole || (all && !tail_.chunks().empty())) {
    Result<Fence> fence = mdt_.fence();
    if (!fence) return away(fence.error());
    count = believable(*fence);
    if (count == 0 && hole && *fence == Fence::committed) return Step::worked;
  }
  if (count > 0) {
    Result<bool> same = tail_.still_there(count);
    if (!same) return away(same.error());
    if (!*same) {
      reread("the MDT does not hold any more what it gave a moment ago");
      if (++changed_in_a_row_ < kChangedInARow) return Step::worked;
      return away(Error(Code::conflict, "the MDT gives other records each time it is asked"));
    }
  }
  changed_in_a_row_ = 0;
  bool gap_alone = !gap_.empty() && at_end_ && tail_.chunks().empty();
  if (count == 0 && !gap_alone) return serve_marks();
  TRY(append(count));
  TRY_ASSIGN(Step served, serve_marks());
  return served == Step::idle ? Step::worked : served;
}

Result<std::unique_ptr<MdtStream>> MdtStream::open(Mdt& mdt, const MdtUser& user, const LustreOptions& options,
                                                   Env& env) {
  auto stream = std::make_unique<Stream>(mdt, user, options, env);
  TRY(stream->start());
  return std::unique_ptr<MdtStream>(std::move(stream));
}

}  // namespace reel::source::lustre

// SPDX-License-Identifier: Apache-2.0
//
// MdtStream: the protocol of mdt_stream.h, one pass at a time.
#include "source/lustre/mdt_stream.h"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <mutex>

#include "base/kill_point.h"
#include "log/lustre_wire.h"
#include "source/lustre/tail.h"

namespace reel::source::lustre {
namespace {

constexpr int kChangedInARow = 5;  // then it is no crash of the MDT any more, and told as a problem

class Stream final : public MdtStream {
 public:
  Stream(Mdt& mdt, MdtUser user, const LustreOptions& options, Env& env)
      : mdt_(mdt), user_(std::move(user)), options_(options), env_(env), tail_(mdt, options_, env) {
    state_.stream = "mdt" + std::to_string(mdt.index());
    state_.mdt = mdt.name();
    origin_path_ = options_.state_dir + "/" + mdt.name() + ".origin";
  }

  Status start();
  Step step(uint64_t ticket) override;
  uint64_t served() const override { return served_; }
  StreamState state() const override {
    std::lock_guard lock(mutex_);
    return state_;
  }
  std::optional<Error> error() const override {
    std::lock_guard lock(mutex_);
    if (error_) return error_->clone();
    return std::nullopt;
  }

 private:
  struct Mark {  // the end of the MDT's log as a descriptor of this ticket saw it
    uint64_t ticket = 0, mdt_index = 0;
  };

  // start
  Result<std::string> load_origin();
  Result<uint64_t> sum_of_last();

  // step; errors are our own log's and end the stream
  Result<Step> pass(uint64_t ticket);
  Result<Step> look();
  Result<std::optional<Step>> check_view(const MdtView& view);
  Status check_restart(const MdtView& view);
  Result<std::optional<Step>> check_user(const MdtView& view);
  Result<Step> settle();
  size_t believable(Fence fence);
  Status append(size_t chunks);
  Status append_chunk(const Chunk& chunk);
  Status append_gap(const std::string& why, uint64_t next);
  Result<Step> clear();
  Result<Step> catch_up();
  Result<Step> clear_nothing();
  Step cannot_clear_yet();
  Result<Step> serve_marks();

  // what goes wrong
  void tell(EventKind kind, const std::string& text);
  void tell_once(EventKind kind, const std::string& text);
  Status owe_gap(EventKind kind, const std::string& why);
  Result<Step> index_back(const std::string& why);
  Result<Step> end(EventKind kind, Code code, const std::string& why);
  Step away(const Error& error);
  void reread(const std::string& why);
  void back();
  Status save_origin() { return origin_.save(env_, options_.state_dir, origin_path_); }
  void publish();

  std::string short_name() const { return mdt_.name().substr(mdt_.name().rfind('-') + 1); }  // "MDT0001"
  uint64_t now_ms() { return env_.monotonic_ns() / 1'000'000; }
  int64_t offset() const { return origin_.spans.empty() ? 0 : origin_.spans.back().offset; }

  Mdt& mdt_;
  const MdtUser user_;
  const LustreOptions options_;
  Env& env_;
  std::string origin_path_;
  Origin origin_;
  std::unique_ptr<log::Writer> writer_;
  Tail tail_;

  std::string gap_;             // why a GAP is owed; empty: none is
  uint64_t known_index_ = 0;    // with a GAP owed at the first start: the MDT had come this far
  uint64_t position_ = 0;       // MDT index of the last record in our log
  uint64_t released_ = 0;
  bool at_end_ = false;         // the last look at the MDT's log came to its end
  bool catching_up_ = false;    // our user may be younger than our position
  bool take_all_ = false;       // also what is not worthwhile
  uint64_t last_clear_ms_ = 0;
  bool looked_ = false;
  uint64_t last_look_ms_ = 0;
  bool undone_ = false;         // the MDT has lost records that we had read
  bool gone_ = false, was_gone_ = false, open_logged_ = false;
  int changed_in_a_row_ = 0;
  uint32_t told_ = 0;           // bit per EventKind of tell_once
  std::deque<Mark> marks_;
  std::atomic<uint64_t> served_{0};

  mutable std::mutex mutex_;
  StreamState state_;
  std::optional<Error> error_;
};

// --- start ---

// Why the log does not simply go on; empty when it does.
Result<std::string> Stream::load_origin() {
  Result<Origin> origin = Origin::load(env_, origin_path_);
  bool unusable = origin.is(Code::not_found) || origin.is(Code::corrupt);
  if (!origin && !unusable) return std::move(origin).error();
  uint64_t last = writer_->last_index();
  bool first = origin.is(Code::not_found) && last == 0;
  std::string why;
  if (first) why = "first start: not followed before";
  else if (!origin) why = "what the log holds of the MDT is not known: " + origin.error().text();
  else if (origin->mdt != mdt_.name()) why = "the log is of another MDT, " + origin->mdt;
  if (why.empty()) {
    origin_ = std::move(*origin);
    origin_.trim(last);
    if (origin_.spans.empty()) why = "nothing of what was followed before is in the log";
    else if (origin_.owes_gap) why = "records may have been missed before the last stop";
    else if (origin_.user != user_.text()) why = "followed as another user before, " + origin_.user;
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

// --- step ---

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
    if (tail_.chunks().empty()) return index_back("index " + std::to_string(position_) + " is another record than it was");
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

// --- our log ---

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

// --- the MDT ---

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
    return end(EventKind::user_lost, Code::gap, "there is no user " + user_.text() + " any more: evicted, or deregistered");
  }
  if (!there && !there.is(Code::unsupported)) return away(there.error());
  if (catching_up_) return catch_up();
  if (there.is(Code::unsupported))
    return end(EventKind::user_lost, Code::gap, "the user " + user_.text() + " cannot clear index " + std::to_string(position_) +
                                                    ": evicted, or given to somebody else");
  return end(EventKind::cleared_by_other, Code::gap, "somebody has cleared behind index " + std::to_string(position_) +
                                                         " in the name of " + user_.text());
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
                                         " could clear: change anything on this MDT, or make .reel/" + short_name() + " on it"));
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

// --- looks ---

Result<Step> Stream::look() {
  MdtView view = mdt_.view();
  if (!gap_.empty() && view.current_index) {
    // What has an index by now is in the log, or was cleared, when it is opened next: see to it that it is written.
    Result<Fence> fence = mdt_.fence();
    if (!fence) return away(fence.error());
    MdtView after = mdt_.view();
    bool same = *fence == Fence::committed && after.current_index && *after.current_index >= *view.current_index && after.incarnation == view.incarnation;
    known_index_ = same ? *view.current_index : 0;
  }
  TRY_ASSIGN(std::optional<Step> user, check_user(view));
  if (user) return *user;
  TRY_ASSIGN(std::optional<Step> wrong, check_view(view));
  if (wrong) return *wrong;
  looked_ = true;
  was_gone_ = false;
  last_look_ms_ = now_ms();
  TRY(check_restart(view));
  return Step::worked;
}

// What was not committed when the MDT went down is done again by the clients, as far as they are still
// there; the rest is undone, and nothing tells of it. Somebody may have seen it.
Status Stream::check_restart(const MdtView& view) {
  bool restarted = view.incarnation ? origin_.incarnation != 0 && origin_.incarnation != *view.incarnation : undone_;
  // What the server tells is of its last recovery.
  bool once = view.incarnation && *view.incarnation == origin_.incarnation + 1;
  bool nobody_missing = once && view.evicted && *view.evicted == 0;
  bool is_new = view.incarnation && origin_.incarnation != *view.incarnation;
  undone_ = false;
  if (is_new) origin_.incarnation = *view.incarnation;
  if (restarted && !nobody_missing && gap_.empty())
    return owe_gap(EventKind::mdt_restarted, "the MDT was restarted; what clients that did not come back had done was undone");
  return is_new ? save_origin() : ok();
}

// nullopt: nothing is wrong.
Result<std::optional<Step>> Stream::check_user(const MdtView& view) {
  if (view.users) {
    auto mine = std::find_if(view.users->begin(), view.users->end(), [&](const MdtUser& u) { return u.id == user_.id; });
    if (mine == view.users->end()) {
      TRY_ASSIGN(Step ended, end(EventKind::user_lost, Code::gap, "there is no user " + user_.text() + ": evicted, or never registered"));
      return std::optional(ended);
    }
    if (mine->name != user_.name) {
      TRY_ASSIGN(Step ended, end(EventKind::user_lost, Code::gap, "user " + user_.text() + " is " + mine->text() + " now"));
      return std::optional(ended);
    }
  } else {
    Status there = mdt_.check_user(user_);
    if (there.is(Code::not_found)) {
      TRY_ASSIGN(Step ended, end(EventKind::user_lost, Code::gap, "there is no user " + user_.text() + ": evicted, or never registered"));
      return std::optional(ended);
    }
    if (there.is(Code::unsupported))
      return std::optional(away(Error(Code::unsupported, "nobody can tell whether user " + user_.text() +
                                                             " is still registered: register one with a name, or let reel ask the MDS (lctl)")));
    if (!there) return std::optional(away(there.error()));
  }
  // Ids are given out again after a restart of the MDT; without a name nobody can tell.
  bool certain = !user_.name.empty();
  bool restarted = view.incarnation ? *view.incarnation != origin_.incarnation : was_gone_ || !looked_;
  if (!certain && restarted && gap_.empty())
    TRY(owe_gap(EventKind::user_unverified, "the MDT may have been restarted, and user " + user_.text() + ", who has no name, be another"));
  return std::optional<Step>();
}

Result<std::optional<Step>> Stream::check_view(const MdtView& view) {
  if (view.current_index && *view.current_index < position_) {
    TRY_ASSIGN(Step step, index_back("the MDT's log ends at " + std::to_string(*view.current_index) + ", before index " +
                                     std::to_string(position_) + ", which it had given"));
    return std::optional(step);
  }
  uint64_t lacking = view.mask ? needed_mask() & ~*view.mask : 0;
  if (lacking != 0) {
    TRY_ASSIGN(Step ended, end(EventKind::mask_lacks, Code::gap,
                               "types that a mirror needs are not logged: " + format_mask(lacking) + " (mdd.*.changelog_mask)"));
    return std::optional(ended);
  }
  if (view.audit && !*view.audit) {
    TRY_ASSIGN(Step ended, end(EventKind::audit_off, Code::gap,
                               "a nodemap has audit_mode 0: what its clients change is not logged (nodemap.*.audit_mode)"));
    return std::optional(ended);
  }
  bool open_logged = view.mask && (*view.mask & mask_bit(RecordType::open)) != 0;
  if (open_logged && !open_logged_)
    TRY(owe_gap(EventKind::open_logged, "OPEN is logged: a user's closes of a file are told with his last one only"));
  open_logged_ = open_logged;
  if (!view.mask || !view.users || !view.audit)
    tell_once(EventKind::not_verified, "mask, users and audit mode cannot be asked for; lctl on the MDS is needed for that");
  return std::optional<Step>();
}

// --- what goes wrong ---

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

}  // namespace

Result<std::unique_ptr<MdtStream>> MdtStream::open(Mdt& mdt, const MdtUser& user, const LustreOptions& options, Env& env) {
  auto stream = std::make_unique<Stream>(mdt, user, options, env);
  TRY(stream->start());
  return std::unique_ptr<MdtStream>(std::move(stream));
}

}  // namespace reel::source::lustre

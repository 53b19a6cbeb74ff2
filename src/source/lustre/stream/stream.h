// SPDX-License-Identifier: Apache-2.0
//
// The one MdtStream (mdt_stream.h says what it promises). stream.cpp has its start and its passes,
// stream_log.cpp what it writes to our log, stream_clear.cpp the clearing at the MDT and with it the release of
// records and tickets, stream_look.cpp its looks at users, mask and restarts of the MDT, stream_trouble.cpp events and
// ends.
#pragma once

#include <deque>
#include <mutex>

#include "source/lustre/stream/mdt_stream.h"
#include "source/lustre/stream/tail.h"

namespace reel::source::lustre {

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

  // stream.cpp
  Result<std::string> load_origin();
  Result<uint64_t> sum_of_last();

  // Errors of what follows are our own log's, and end the stream.
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

  std::string gap_;           // why a GAP is owed; empty: none is
  uint64_t known_index_ = 0;  // with a GAP owed at the first start: the MDT had come this far
  uint64_t position_ = 0;     // MDT index of the last record in our log
  uint64_t released_ = 0;
  bool at_end_ = false;       // the last look at the MDT's log came to its end
  bool catching_up_ = false;  // our user may be younger than our position
  bool take_all_ = false;     // also what is not worthwhile
  uint64_t last_clear_ms_ = 0;
  bool looked_ = false;
  uint64_t last_look_ms_ = 0;
  bool undone_ = false;  // the MDT has lost records that we had read
  bool gone_ = false, was_gone_ = false, open_logged_ = false;
  int changed_in_a_row_ = 0;
  uint32_t told_ = 0;  // bit per EventKind of tell_once
  std::deque<Mark> marks_;
  std::atomic<uint64_t> served_{0};

  mutable std::mutex mutex_;
  StreamState state_;
  std::optional<Error> error_;
};

}  // namespace reel::source::lustre

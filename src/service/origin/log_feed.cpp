// SPDX-License-Identifier: Apache-2.0
#include "service/origin/log_feed.h"

namespace reel::service {
namespace {

class StreamReader {
 public:
  StreamReader(std::string dir, std::string stream, const Inflow& inflow, Env& env)
      : dir_(std::move(dir)), stream_(std::move(stream)), inflow_(inflow), env_(env) {}

  void start_after(uint64_t index) {
    start_ = index + 1;
    reader_.reset();
    held_ = false;
  }

  Result<bool> next(Record& record) {
    if (!reader_) {
      Result<std::unique_ptr<log::Reader>> reader = log::Reader::open(env_, dir_, stream_, start_);
      if (reader.is(Code::not_found)) return false;
      TRY_ASSIGN(reader_, std::move(reader));
    }
    if (!held_) {
      TRY_ASSIGN(bool more, reader_->next(next_));
      if (!more) return false;
    }
    // Only what a crash of the machine leaves in the log may move the cursor: else the log could
    // begin again below it, and what it then says would be skipped.
    held_ = next_.index > released_ && next_.index > (released_ = inflow_.released(stream_));
    if (held_) return false;
    record = next_;
    return true;
  }

 private:
  const std::string dir_, stream_;
  const Inflow& inflow_;
  Env& env_;
  uint64_t start_ = 1;
  uint64_t released_ = 0;  // as it was when it was last asked for: it only rises
  std::unique_ptr<log::Reader> reader_;
  Record next_;        // a view into the reader
  bool held_ = false;  // next_ was read and not given yet
};

class LogFeed final : public mirror::Feed {
 public:
  LogFeed(const std::string& dir, const Inflow& inflow, Env& env) : inflow_(inflow) {
    for (const std::string& stream : inflow.streams()) readers_.emplace_back(dir, stream, inflow, env);
  }

  const std::vector<std::string>& streams() const override { return inflow_.streams(); }

  Result<bool> next(Record& record, size_t& stream) override {
    for (size_t tried = 0; tried < readers_.size(); ++tried) {
      stream = turn_;
      turn_ = (turn_ + 1) % readers_.size();
      Result<bool> got = readers_[stream].next(record);
      if (!got) return std::move(got).error().with("log, stream " + streams()[stream]);
      if (*got) return true;
    }
    return false;
  }

  Status start_after(const log::Position& position) override {
    for (size_t i = 0; i < readers_.size(); ++i) readers_[i].start_after(position.at(streams()[i]));
    return ok();
  }

  log::Position last() override { return inflow_.end(); }

 private:
  const Inflow& inflow_;
  std::vector<StreamReader> readers_;
  size_t turn_ = 0;
};

}  // namespace

std::unique_ptr<mirror::Feed> make_log_feed(const std::string& log_dir, const Inflow& inflow, Env& env) {
  return std::make_unique<LogFeed>(log_dir, inflow, env);
}

}  // namespace reel::service

// SPDX-License-Identifier: Apache-2.0
//
// Reading the end of an MDT's changelog, twice.
#include "source/lustre/stream/tail.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/codec.h"
#include "log/block/format.h"
#include "log/text/lustre_wire.h"

namespace reel::source::lustre {
namespace {

constexpr size_t kReadBytes = 1u << 20;
constexpr int kPollMs = 200;         // a stop is noticed after this
constexpr int kBadTries = 3;         // reads of a record that cannot be decoded, before it is given up
constexpr int kBadInARow = 4;        // records given up one after the other, before all is
constexpr size_t kBatchesKept = 16;  // read and not believed yet, while there is no fence
constexpr int kVerifyPolls = 50;     // without news, before the MDT counts as away

constexpr size_t kHeadSize = 64;
uint64_t index_of(const char* record) {
  return load_le<uint64_t>(record + 8);
}

}  // namespace

uint64_t raw_sum(const char* bytes, size_t size) {
  return log::checksum(bytes, size) | 1;
}

Tail::Tail(Mdt& mdt, const LustreOptions& options, Env& env)
    : mdt_(mdt), options_(options), env_(env), buffer_(kReadBytes) {}

void Tail::start(uint64_t position, uint64_t sum, bool any_first) {
  settled_ = position;
  settled_sum_ = sum;
  settled_any_first_ = any_first;
  drop();
}

void Tail::settle_at(uint64_t position) {
  if (position > settled_) start(position, 0, false);
  settled_any_first_ = any_first_ = false;
}

void Tail::drop() {
  chunks_.clear();
  device_.reset();
  last_ = settled_;
  last_sum_ = settled_sum_;
  last_worthwhile_ = settled_;
  any_first_ = settled_any_first_;
  seek_to_ = 0;
  worthwhile_ = false;
  other_tries_ = 0;
  hole_ = Hole{};
}

void Tail::forget(size_t count) {
  for (; count > 0; --count) {
    settled_ = chunks_.front().last;
    chunks_.pop_front();
  }
  settled_any_first_ = false;
  if (!chunks_.empty()) {
    settled_sum_ = 0;  // of a record that is not the last one read
    return;
  }
  settled_sum_ = last_sum_;
  worthwhile_ = false;
}

bool Tail::worthwhile() const {
  return worthwhile_ || chunks_.size() >= kBatchesKept;
}

size_t Tail::aged(int64_t age_ms) const {
  int64_t now = now_ms();
  auto young = std::find_if(chunks_.begin(), chunks_.end(), [&](const Chunk& c) { return now - c.read_ms < age_ms; });
  return static_cast<size_t>(young - chunks_.begin());
}

Status Tail::open(uint64_t ticket) {
  TRY_ASSIGN(device_, mdt_.open_device());
  TRY(device_->set_flags(kNidBe));
  // The last record we have is read again if it is still there, to see that it is the same.
  uint64_t from = std::max(last_, seek_to_);
  if (from > 1) TRY(device_->seek(from));
  ticket_ = ticket;
  descriptor_gave_ = false;
  return ok();
}

Result<Tail::Filled> Tail::fill(uint64_t ticket) {
  if (chunks_.size() >= kBatchesKept) return Filled::slow;
  if (!device_) TRY(open(ticket));
  size_t got_bytes = 0;
  while (got_bytes < options_.batch_bytes) {
    TRY_ASSIGN(ChangelogDevice::Poll ready, device_->poll(kPollMs));
    if (!ready.readable && !ready.end && !ready.error) return Filled::slow;
    Result<size_t> got = device_->read(buffer_.data(), buffer_.size());
    if (!got && (got.error().sys_errno() == EAGAIN || got.error().sys_errno() == EINTR)) continue;
    if (!got) return std::move(got).error();
    if (*got == 0 && ready.readable) return Error(Code::io, mdt_.name() + " has records and gives none", EIO);
    if (*got == 0) {
      device_.reset();
      return Filled::end;
    }
    got_bytes += *got;
    Took took = take(buffer_.data(), std::min(*got, buffer_.size()));
    if (took == Took::all) continue;
    device_.reset();
    switch (took) {
      case Took::hole:
        return Filled::hole;
      case Took::again:
        return Filled::again;
      case Took::reused:
        return Filled::reused;
      default:
        return Filled::broken;
    }
  }
  return Filled::more;
}

void Tail::add_missing(uint64_t from, uint64_t to, EventKind kind, std::string why) {
  Chunk chunk;
  chunk.first = from;
  chunk.last = last_ = to;
  last_sum_ = 0;
  chunk.read_ms = now_ms();
  chunk.kind = kind;
  chunk.why = std::move(why);
  chunks_.push_back(std::move(chunk));
  worthwhile_ = true;
  last_worthwhile_ = to;
}

void Tail::add_records(const char* bytes, size_t size, uint64_t first, uint64_t last) {
  if (size == 0) return;
  int64_t now = now_ms();
  bool joins = !chunks_.empty() && !chunks_.back().bytes.empty() && chunks_.back().bytes.size() < options_.batch_bytes;
  if (!joins) {
    chunks_.emplace_back();
    chunks_.back().first = first;
    chunks_.back().bytes.reserve(options_.batch_bytes + kReadBytes);
  }
  chunks_.back().bytes.append(bytes, size);
  chunks_.back().last = last;
  chunks_.back().read_ms = now;
}

// How far the answer goes that begins here, as far as it can be understood.
uint64_t Tail::seen_to(const char* bytes, size_t size) const {
  uint64_t last = 0;
  Record record;
  while (size > 0) {
    Result<size_t> used = log::decode_lustre(bytes, size, record);
    if (!used) break;
    last = std::max(last, record.index);
    bytes += *used;
    size -= *used;
  }
  return last;
}

// At the index after last_ there is something that is not a record.
Tail::Took Tail::bad_record(std::string why) {
  why_ = std::move(why);
  if (bad_at_ != last_ + 1) bad_tries_ = 0;
  bad_at_ = last_ + 1;
  if (++bad_tries_ < kBadTries) return Took::again;
  if (last_ == 0 || ++bad_in_a_row_ >= kBadInARow) return Took::broken;
  add_missing(bad_at_, bad_at_, EventKind::undecodable, why_);
  seek_to_ = last_ + 1;
  return Took::again;
}

// Is the gap in the numbers before `next` one that has to be waited for? When not, it is noted.
bool Tail::must_wait(uint64_t next, const char* rest, size_t rest_size) {
  uint64_t from = last_ + 1, to = next - 1;
  if (hole_.at == from && now_ms() - hole_.since_ms >= options_.hole_wait_ms) confirm_hole();
  if (to > hole_.confirmed_to) {
    hole_ = {from, seen_to(rest, rest_size), 0, hole_.at == from ? hole_.since_ms : now_ms()};
    return true;
  }
  add_missing(from, to, EventKind::records_missing,
              "indexes " + std::to_string(from) + " to " + std::to_string(to) + " of " + mdt_.name() + " are missing");
  return false;
}

void Tail::took(const Record& record) {
  any_first_ = false;
  descriptor_gave_ = true;
  bad_in_a_row_ = 0;
  if (hole_.at != 0 && record.index >= hole_.at) hole_.at = 0;
  last_ = record.index;
  if (record.target == mdt_.fence_object() && !record.target.is_zero()) return;
  worthwhile_ = true;
  last_worthwhile_ = last_;
}

Tail::Took Tail::take(const char* bytes, size_t size) {
  size_t at = 0, run = 0, used = 0;  // [run, at) is taken and not in a chunk yet; its last record has `used` bytes
  uint64_t run_first = 0;
  auto keep = [&] {
    if (at == run) return;
    last_sum_ = raw_sum(bytes + at - used, used);
    add_records(bytes + run, at - run, run_first, last_);
    run = at;
  };
  Record record;
  while (at < size) {
    Result<size_t> decoded = log::decode_lustre(bytes + at, size - at, record);
    bool known = decoded && record.index <= last_;
    bool in_row = decoded && record.index == last_ + 1;
    if (!in_row) keep();
    if (!decoded) return bad_record(decoded.error().text());
    if (known && descriptor_gave_)
      return bad_record("index " + std::to_string(record.index) + " comes after " + std::to_string(last_));
    if (known) {
      bool other = record.index == last_ && last_sum_ != 0 && raw_sum(bytes + at, *decoded) != last_sum_;
      if (other) return ++other_tries_ < kBadTries ? Took::again : Took::reused;
      if (record.index == last_) other_tries_ = 0;
      at += *decoded;
      run = at;
      continue;
    }
    if (!in_row && !any_first_ && must_wait(record.index, bytes + at, size - at)) return Took::hole;
    if (run == at) run_first = record.index;
    used = *decoded;
    at += used;
    took(record);
  }
  keep();
  return Took::all;
}

Result<bool> Tail::still_there(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (chunks_[i].bytes.empty()) continue;
    TRY_ASSIGN(bool same, still_there(chunks_[i]));
    if (!same) return false;
  }
  return true;
}

Result<bool> Tail::still_there(const Chunk& chunk) {
  TRY_ASSIGN(std::unique_ptr<ChangelogDevice> device, mdt_.open_device());
  TRY(device->set_flags(kNidBe));
  if (chunk.first > 1) TRY(device->seek(chunk.first));
  size_t at = 0;
  int polls = 0;
  while (at < chunk.bytes.size()) {
    TRY_ASSIGN(ChangelogDevice::Poll ready, device->poll(kPollMs));
    if (!ready.readable && !ready.end && !ready.error) {
      if (++polls >= kVerifyPolls) return Error(Code::timeout, mdt_.name() + " does not answer", ETIMEDOUT);
      continue;
    }
    Result<size_t> got = device->read(buffer_.data(), buffer_.size());
    if (!got && (got.error().sys_errno() == EAGAIN || got.error().sys_errno() == EINTR)) continue;
    if (!got) return std::move(got).error();
    if (*got == 0) return false;
    size_t begin = 0;  // what is before our first record
    while (at == 0 && begin + kHeadSize <= *got && index_of(&buffer_[begin]) < chunk.first) {
      Record record;
      Result<size_t> used = log::decode_lustre(&buffer_[begin], *got - begin, record);
      if (!used) return false;
      begin += *used;
    }
    size_t size = std::min(*got - begin, chunk.bytes.size() - at);
    if (std::memcmp(&buffer_[begin], chunk.bytes.data() + at, size) != 0) return false;
    at += size;
  }
  return true;
}

}  // namespace reel::source::lustre

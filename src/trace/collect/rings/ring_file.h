// SPDX-License-Identifier: Apache-2.0
//
// A ring file (trace/wire.h) seen by the collector, which reads while its thread writes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "reel/result.h"
#include "trace/collect/raw.h"
#include "trace/wire.h"

namespace reel::trace {

class RingFile {
 public:
  enum class Look { event, nothing, pending };

  // corrupt: it is no ring, or not complete yet. not_found, io.
  static Result<std::unique_ptr<RingFile>> open(const std::string& path);
  ~RingFile();
  RingFile(const RingFile&) = delete;
  RingFile& operator=(const RingFile&) = delete;

  const wire::RingHeader& header() const { return *header_; }
  const std::string& path() const { return path_; }
  bool closed() const { return __atomic_load_n(&header_->closed, __ATOMIC_ACQUIRE) != 0; }

  // What comes next. pending: its writer is in the middle of it, or died there.
  Look look();
  Raw& event() { return raw_; }  // after Look::event; its views last as long as the ring
  void skip();                   // what look() found
  size_t at() const { return at_; }
  void begin_at(size_t at) { at_ = at; }
  // Before and after what was taken so far is written to the log.
  void note_going() { __atomic_store_n(&header_->going, at_, __ATOMIC_RELEASE); }
  void note_in_log() { __atomic_store_n(&header_->in_log, header_->going, __ATOMIC_RELEASE); }
  bool is_in_log() const { return header_->in_log == at_; }
  uint64_t damaged() const { return damaged_; }

 private:
  RingFile(std::string path, wire::RingHeader* header, size_t size)
      : path_(std::move(path)), header_(header), size_(size) {}

  std::string path_;
  wire::RingHeader* header_;
  size_t size_;
  size_t at_ = wire::kRingStart;
  uint32_t event_size_ = 0;
  Raw raw_;
  uint64_t damaged_ = 0;  // events that could not be understood
};

}  // namespace reel::trace

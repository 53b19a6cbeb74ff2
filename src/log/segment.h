// SPDX-License-Identifier: Apache-2.0
//
// One segment file seen as a row of blocks: walk them by their headers, unpack one, and after
// damage find the next good one. Also the list of a stream's segments.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "log/block/format.h"
#include "reel/log_key.h"
#include "reel/result.h"

struct ZSTD_DCtx_s;

namespace reel::log {

struct SegmentEntry {
  uint64_t first_index = 0;
  std::string path;
};

// The segments of a stream, by first index. not_found: no such stream.
Result<std::vector<SegmentEntry>> list_segments(Env& env, const std::string& dir, const std::string& stream);

class Segment {
 public:
  enum class Look {
    block,    // a good header, and its payload lies within the file
    end,      // nothing more
    partial,  // a block that has begun and not ended: being written, or torn
    bad,      // bytes that are no block
  };

  // `key`: of an encrypted log, copied; nullptr: there is none. Without it headers can be read and payload() is
  // refused. not_found, newer, io; permission: encrypted with another key; invalid: a key, and it is not encrypted. A
  // damaged segment header is not an error: header() is then empty, and the blocks can still be read when the first of
  // them tells the salt.
  static Result<std::unique_ptr<Segment>> open(Env& env, const SegmentEntry& entry, const LogKey* key = nullptr);
  ~Segment();

  const std::optional<SegmentHeader>& header() const { return header_; }
  const SegmentEntry& entry() const { return entry_; }
  uint64_t offset() const { return offset_; }

  // What lies at offset(). On `block` block() is its header. newer: it is not for this version.
  // headers_only: nothing will be unpacked soon, so nothing is read ahead.
  Result<Look> look(bool headers_only = false);
  const BlockHeader& block() const { return block_; }
  // The unpacked payload of the block looked at, valid until the next call of anything here;
  // nullopt when its checksum, or its seal, says that it is damaged. permission: it is encrypted and there is no key.
  struct Payload {
    const uint8_t* data;
    size_t size;
  };
  Result<std::optional<Payload>> payload();
  void skip();  // behind the block looked at
  void move_to(uint64_t offset);
  // Moves to the next block behind offset() whose header and payload are good; false, and no move,
  // when there is none.
  Result<bool> resync();

 private:
  // Memory that is not cleared first.
  struct Buffer {
    std::unique_ptr<uint8_t[]> bytes;
    size_t size = 0;
    void grow(size_t wanted) {
      if (size >= wanted) return;
      bytes.reset(new uint8_t[wanted]);
      size = wanted;
    }
  };

  Segment(SegmentEntry entry, std::unique_ptr<File> file);
  Result<size_t> fill(uint64_t offset, size_t size, size_t ahead);
  const uint8_t* window_at(uint64_t offset) const { return window_.bytes.get() + (offset - window_offset_); }
  Status check_key() const;
  Status find_salt();
  Result<bool> good_block_at(uint64_t offset);

  SegmentEntry entry_;
  std::unique_ptr<File> file_;
  std::optional<SegmentHeader> header_;
  std::optional<uint32_t> salt_;
  uint64_t offset_ = kSegmentHeaderSize;
  BlockHeader block_;
  Buffer window_;  // bytes of the file from window_offset_
  uint64_t window_offset_ = 0;
  size_t window_size_ = 0;
  std::optional<LogKey> key_;
  Buffer opened_, unpacked_;
  ZSTD_DCtx_s* zstd_ = nullptr;  // made when first needed
};

}  // namespace reel::log

// SPDX-License-Identifier: Apache-2.0
//
// The fixed parts of the log on disk: names, the segment header and the block header, as laid down
// in docs/log-format.md. Encoding and checking only; no file is touched here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "reel/result.h"

namespace reel::log {

inline constexpr uint32_t kVersion = 1;       // of a changelog's segments, and of `users`
inline constexpr uint32_t kTraceVersion = 4;  // of a trace's: records may have a call extension
// The last version of traces that are written otherwise.
inline constexpr uint32_t kOldTraceVersion = 3;
inline constexpr size_t kSegmentHeaderSize = 128;
inline constexpr size_t kBlockHeaderSize = 80;
inline constexpr size_t kMaxStreamName = 48;
inline constexpr uint32_t kMaxPayload = 16u << 20;  // stored or unpacked; anything above is damage
inline constexpr size_t kMaxName = 0xffff;

inline constexpr uint32_t kBlockZstd = 1;     // the payload is zstd frames, one behind the other
inline constexpr uint32_t kBlockSeal = 2;     // no records: a writer ended in good order here
inline constexpr uint32_t kBlockSealed = 4;   // the payload is encrypted (behind its packing)
inline constexpr uint32_t kBlockColumns = 8;  // of traces: times, names, FIDs and calls' fields lie apart from the rest
inline constexpr uint32_t kBlockFlagsKnown = 15;

struct SegmentHeader {
  uint32_t version = kVersion;
  uint32_t salt = 0;         // repeated in every block: blocks of other files are not taken for ours
  uint64_t first_index = 0;  // no record of this segment has a lower one
  uint64_t prev_index = 0;   // the last index written to the stream before this segment, 0: none
  uint64_t created = 0;      // packed time
  uint64_t max_time = 0;     // the latest time of any record before this segment
  uint64_t key_id = 0;       // of the key that its blocks are encrypted with, 0: they are not
  std::string stream;
};

struct BlockHeader {
  uint32_t salt = 0;
  uint32_t flags = 0;
  uint32_t count = 0;        // records
  uint32_t stored_size = 0;  // bytes of payload behind this header
  uint32_t raw_size = 0;     // bytes of payload once unpacked
  uint64_t prev_index = 0;   // the last index written to the stream before this block, 0: none
  uint64_t first_index = 0;
  uint64_t last_index = 0;
  uint64_t min_time = 0;
  uint64_t max_time = 0;
  uint64_t payload_sum = 0;  // XXH3-64 of the stored payload
};

void encode(const SegmentHeader& header, uint8_t* to);  // kSegmentHeaderSize bytes
void encode(const BlockHeader& header, uint8_t* to);    // kBlockHeaderSize bytes

// corrupt: these bytes are no header; unsupported: of a trace that an older reel made; newer: they are one this version
// does not understand.
Result<SegmentHeader> decode_segment_header(const uint8_t* from);
Result<BlockHeader> decode_block_header(const uint8_t* from);

// The eight bytes every block of a segment with this salt begins with.
uint64_t block_prefix(uint32_t salt);
uint64_t checksum(const void* data, size_t size);

// Letters, digits, '.', '_', '-', at most kMaxStreamName, not starting with '.'.
bool valid_stream_name(std::string_view name);
std::string stream_dir(const std::string& log_dir, std::string_view stream);
std::optional<std::string> stream_of_dir(std::string_view entry);
std::string segment_name(uint64_t first_index);
std::optional<uint64_t> segment_of_name(std::string_view entry);

}  // namespace reel::log

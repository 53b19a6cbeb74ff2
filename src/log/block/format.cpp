// SPDX-License-Identifier: Apache-2.0
//
// Headers and names of the log's files; see docs/log-format.md.
#include "log/block/format.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>

#include "base/codec.h"

namespace reel::log {
namespace {

constexpr uint64_t kSegmentMagic = 0x0a4745534c454552ULL;  // "REELSEG\n"
constexpr uint32_t kBlockMagic = 0x4b4c4252;               // "RBLK"
constexpr std::string_view kStreamSuffix = ".stream";
constexpr std::string_view kSegmentSuffix = ".seg";
constexpr size_t kIndexDigits = 20;

}  // namespace

uint64_t checksum(const void* data, size_t size) {
  return XXH3_64bits(data, size);
}

uint64_t block_prefix(uint32_t salt) {
  return kBlockMagic | uint64_t{salt} << 32;
}

void encode(const SegmentHeader& header, uint8_t* to) {
  std::memset(to, 0, kSegmentHeaderSize);
  store_le(to, kSegmentMagic);
  store_le(to + 8, header.version);
  store_le(to + 12, static_cast<uint32_t>(kSegmentHeaderSize));
  store_le(to + 16, header.salt);
  store_le(to + 20, static_cast<uint32_t>(header.stream.size()));
  store_le(to + 24, header.first_index);
  store_le(to + 32, header.prev_index);
  store_le(to + 40, header.created);
  store_le(to + 48, header.max_time);
  std::memcpy(to + 56, header.stream.data(), std::min(header.stream.size(), kMaxStreamName));
  store_le(to + 104, header.key_id);
  store_le(to + 120, checksum(to, 120));
}

Result<SegmentHeader> decode_segment_header(const uint8_t* from) {
  if (load_le<uint64_t>(from) != kSegmentMagic) return Error(Code::corrupt, "no segment header");
  if (load_le<uint64_t>(from + 120) != checksum(from, 120))
    return Error(Code::corrupt, "the segment header's checksum is wrong");
  uint32_t version = load_le<uint32_t>(from + 8);
  if (version < kVersion || version > kTraceVersion) {
    return Error(Code::newer, "format version " + std::to_string(version) + ", this reel reads versions up to " +
                                  std::to_string(kTraceVersion) + "; use a newer reel");
  }
  if (version > kVersion && version <= kOldTraceVersion)
    return Error(Code::unsupported, "a trace of an older reel (format version " + std::to_string(version) +
                                        "), which this one would read wrongly; record it again");
  SegmentHeader header;
  header.version = version;
  header.salt = load_le<uint32_t>(from + 16);
  header.first_index = load_le<uint64_t>(from + 24);
  header.prev_index = load_le<uint64_t>(from + 32);
  header.created = load_le<uint64_t>(from + 40);
  header.max_time = load_le<uint64_t>(from + 48);
  header.key_id = load_le<uint64_t>(from + 104);
  size_t name_size = std::min<size_t>(load_le<uint32_t>(from + 20), kMaxStreamName);
  header.stream.assign(reinterpret_cast<const char*>(from) + 56, name_size);
  return header;
}

void encode(const BlockHeader& header, uint8_t* to) {
  store_le(to, block_prefix(header.salt));
  store_le(to + 8, header.flags);
  store_le(to + 12, header.count);
  store_le(to + 16, header.stored_size);
  store_le(to + 20, header.raw_size);
  store_le(to + 24, header.prev_index);
  store_le(to + 32, header.first_index);
  store_le(to + 40, header.last_index);
  store_le(to + 48, header.min_time);
  store_le(to + 56, header.max_time);
  store_le(to + 64, header.payload_sum);
  store_le(to + 72, checksum(to, 72));
}

Result<BlockHeader> decode_block_header(const uint8_t* from) {
  if (load_le<uint32_t>(from) != kBlockMagic) return Error(Code::corrupt, "no block header");
  if (load_le<uint64_t>(from + 72) != checksum(from, 72))
    return Error(Code::corrupt, "the block header's checksum is wrong");
  BlockHeader header;
  header.salt = load_le<uint32_t>(from + 4);
  header.flags = load_le<uint32_t>(from + 8);
  header.count = load_le<uint32_t>(from + 12);
  header.stored_size = load_le<uint32_t>(from + 16);
  header.raw_size = load_le<uint32_t>(from + 20);
  header.prev_index = load_le<uint64_t>(from + 24);
  header.first_index = load_le<uint64_t>(from + 32);
  header.last_index = load_le<uint64_t>(from + 40);
  header.min_time = load_le<uint64_t>(from + 48);
  header.max_time = load_le<uint64_t>(from + 56);
  header.payload_sum = load_le<uint64_t>(from + 64);
  if ((header.flags & ~kBlockFlagsKnown) != 0)
    return Error(Code::newer, "a block with flags this reel does not know; use a newer reel");
  if (header.stored_size > kMaxPayload || header.raw_size > kMaxPayload)
    return Error(Code::corrupt, "a block larger than any can be");
  return header;
}

bool valid_stream_name(std::string_view name) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kMaxStreamName && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), allowed);
}

std::string stream_dir(const std::string& log_dir, std::string_view stream) {
  return log_dir + "/" + std::string(stream) + std::string(kStreamSuffix);
}

std::optional<std::string> stream_of_dir(std::string_view entry) {
  if (!entry.ends_with(kStreamSuffix)) return std::nullopt;
  entry.remove_suffix(kStreamSuffix.size());
  if (!valid_stream_name(entry)) return std::nullopt;
  return std::string(entry);
}

std::string segment_name(uint64_t first_index) {
  std::string digits = std::to_string(first_index);
  return std::string(kIndexDigits - digits.size(), '0') + digits + std::string(kSegmentSuffix);
}

std::optional<uint64_t> segment_of_name(std::string_view entry) {
  if (entry.size() != kIndexDigits + kSegmentSuffix.size() || !entry.ends_with(kSegmentSuffix)) return std::nullopt;
  uint64_t index = 0;
  auto [end, error] = std::from_chars(entry.data(), entry.data() + kIndexDigits, index);
  if (error != std::errc() || end != entry.data() + kIndexDigits) return std::nullopt;
  return index;
}

}  // namespace reel::log

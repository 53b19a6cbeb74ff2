// SPDX-License-Identifier: Apache-2.0
//
// Reading blocks from a segment file through a window, so that a live file can be looked at again
// and again: what lay beyond the end of the file is never kept.
#include "log/segment.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "base/codec.h"
#include "log/block/cipher.h"

namespace reel::log {
namespace {

constexpr size_t kReadAhead = 256u << 10;

}  // namespace

Result<std::vector<SegmentEntry>> list_segments(Env& env, const std::string& dir, const std::string& stream) {
  std::string path = stream_dir(dir, stream);
  TRY_ASSIGN(std::vector<std::string> names, env.list_dir(path));
  std::vector<SegmentEntry> segments;
  for (const std::string& name : names)
    if (std::optional<uint64_t> first = segment_of_name(name)) segments.push_back({*first, path + "/" + name});
  return segments;  // list_dir sorts, and the names have a fixed width
}

Segment::Segment(SegmentEntry entry, std::unique_ptr<File> file) : entry_(std::move(entry)), file_(std::move(file)) {}

Segment::~Segment() {
  ZSTD_freeDCtx(zstd_);
}

Result<std::unique_ptr<Segment>> Segment::open(Env& env, const SegmentEntry& entry, const LogKey* key) {
  TRY_ASSIGN(std::unique_ptr<File> file, env.open(entry.path, OpenMode::read));
  std::unique_ptr<Segment> segment(new Segment(entry, std::move(file)));
  if (key) segment->key_ = *key;
  TRY_ASSIGN(size_t have, segment->fill(0, kSegmentHeaderSize, 0));
  if (have >= kSegmentHeaderSize) {
    Result<SegmentHeader> header = decode_segment_header(segment->window_at(0));
    if (header.is(Code::newer) || header.is(Code::unsupported)) return std::move(header).error().with(entry.path);
    if (header) {
      segment->salt_ = header->salt;
      segment->header_ = *std::move(header);
    }
  }
  TRY(segment->check_key());
  if (!segment->salt_) TRY(segment->find_salt());
  return segment;
}

Status Segment::check_key() const {
  if (!key_ || !header_) return ok();
  if (header_->key_id == 0)
    return Error(Code::invalid, entry_.path + ": the log is not encrypted, and a key was given; leave --key-file away");
  if (header_->key_id != id_of(*key_))
    return Error(Code::permission, entry_.path + ": the log is encrypted with another key than the one given");
  return ok();
}

// Makes up to `size` bytes from `offset` lie in the window, reading `ahead` more if it must read at
// all; gives how many there are.
Result<size_t> Segment::fill(uint64_t offset, size_t size, size_t ahead) {
  if (offset < window_offset_ || offset + size > window_offset_ + window_size_) {
    size_t want = std::max(size, ahead);
    window_.grow(want);
    window_size_ = 0;
    TRY_ASSIGN(size_t got, file_->pread(window_.bytes.get(), want, offset));
    window_offset_ = offset;
    window_size_ = got;
  }
  return std::min<size_t>(size, window_offset_ + window_size_ - offset);
}

// The segment header is damaged: the first block, at its fixed place, has the salt, too.
Status Segment::find_salt() {
  TRY_ASSIGN(size_t have, fill(kSegmentHeaderSize, kBlockHeaderSize, 0));
  if (have < kBlockHeaderSize) return ok();
  Result<BlockHeader> block = decode_block_header(window_at(kSegmentHeaderSize));
  if (block) salt_ = block->salt;
  ignore(block, "a damaged first block: the salt stays unknown and every block reads as bad");
  return ok();
}

Result<Segment::Look> Segment::look(bool headers_only) {
  TRY_ASSIGN(size_t have, fill(offset_, kBlockHeaderSize, headers_only ? 0 : kReadAhead));
  if (have < kBlockHeaderSize) window_size_ = 0;  // there may be more next time
  if (have == 0) return Look::end;
  if (have < kBlockHeaderSize) return Look::partial;
  Result<BlockHeader> block = decode_block_header(window_at(offset_));
  if (block.is(Code::newer))
    return std::move(block).error().with(entry_.path + " at offset " + std::to_string(offset_));
  if (!block || block->salt != salt_) return Look::bad;
  block_ = *block;
  uint64_t end = offset_ + kBlockHeaderSize + block_.stored_size;
  if (end <= window_offset_ + window_size_) return Look::block;
  TRY_ASSIGN(uint64_t size, file_->size());
  if (end <= size) return Look::block;
  window_size_ = 0;
  return Look::partial;
}

Result<std::optional<Segment::Payload>> Segment::payload() {
  size_t whole = kBlockHeaderSize + block_.stored_size;
  TRY_ASSIGN(size_t have, fill(offset_, whole, kReadAhead));
  std::optional<Payload> none;
  if (have < whole) return none;
  const uint8_t* stored = window_at(offset_) + kBlockHeaderSize;
  if (checksum(stored, block_.stored_size) != block_.payload_sum) return none;
  size_t stored_size = block_.stored_size;
  if ((block_.flags & kBlockSealed) != 0) {
    if (!key_)
      return Error(Code::permission, entry_.path + ": the log is encrypted; give its key with --key-file FILE");
    opened_.grow(stored_size);
    if (!open_sealed(*key_, block_, stored, stored_size, opened_.bytes.get())) return none;
    stored = opened_.bytes.get();
    stored_size -= kSealOverhead;
  } else if (key_ && block_.count != 0) {
    return none;  // it was put there by somebody who has no key
  }
  if ((block_.flags & kBlockZstd) == 0) return std::optional(Payload{stored, stored_size});
  unpacked_.grow(block_.raw_size);
  if (!zstd_) zstd_ = ZSTD_createDCtx();
  size_t size = ZSTD_decompressDCtx(zstd_, unpacked_.bytes.get(), block_.raw_size, stored, stored_size);
  if (ZSTD_isError(size) || size != block_.raw_size) return none;
  return std::optional(Payload{unpacked_.bytes.get(), size});
}

void Segment::skip() {
  offset_ += kBlockHeaderSize + block_.stored_size;
}

void Segment::move_to(uint64_t offset) {
  offset_ = offset;
  window_size_ = 0;
}

Result<bool> Segment::good_block_at(uint64_t offset) {
  uint64_t before = offset_;
  offset_ = offset;
  TRY_ASSIGN(Look look, this->look());
  if (look == Look::block) {
    TRY_ASSIGN(std::optional<Payload> good, payload());
    if (good) return true;
  }
  offset_ = before;
  return false;
}

Result<bool> Segment::resync() {
  if (!salt_) return false;
  uint64_t prefix = block_prefix(*salt_);
  for (uint64_t at = offset_ + 1;;) {
    TRY_ASSIGN(size_t have, fill(at, kBlockHeaderSize, kReadAhead));
    if (have < kBlockHeaderSize) return false;
    // All that is in the window; the last few bytes may begin a prefix and are looked at again.
    have = window_offset_ + window_size_ - at;
    const uint8_t* begin = window_at(at);
    const void* found = ::memmem(begin, have, &prefix, sizeof prefix);
    if (!found) {
      at += have - sizeof prefix + 1;
      continue;
    }
    at += static_cast<uint64_t>(static_cast<const uint8_t*>(found) - begin);
    TRY_ASSIGN(bool good, good_block_at(at));
    if (good) return true;
    ++at;
  }
}

}  // namespace reel::log

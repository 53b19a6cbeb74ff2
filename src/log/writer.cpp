// SPDX-License-Identifier: Apache-2.0
//
// The writer of a stream: records gather in a block, blocks are appended to the newest segment, a
// commit makes them durable. Two rules hold throughout: an index is never given out twice, and what
// a failed write left behind is cut off before anything else is written.
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include "base/codec.h"
#include "base/kill_point.h"
#include "log/block/block.h"
#include "log/block/cipher.h"
#include "log/log.h"
#include "log/segment.h"
#include "log/tail.h"
#include "log/users.h"

namespace reel::log {
namespace {

constexpr int kZstdLevel = 1;
constexpr int kTraceZstdLevel = 3;      // 6 and 9 save 2% more
constexpr size_t kWorthPacking = 256;   // bytes; smaller blocks gain nothing
constexpr size_t kMostFrameBytes = 32;  // of a zstd frame beside its contents
constexpr uint32_t kMaxBlockBytes = 4u << 20;

class StreamWriter final : public Writer {
 public:
  StreamWriter(Env& env, std::string dir, std::string stream, const WriterOptions& options)
      : env_(env),
        dir_(std::move(dir)),
        stream_(std::move(stream)),
        options_(options),
        encoder_(options.trace),
        zstd_(ZSTD_createCCtx()) {
    options_.block_bytes = std::min(options_.block_bytes, kMaxBlockBytes);
    if (options_.key) sealer_.emplace(*options_.key);
  }
  ~StreamWriter() override;

  Status start();
  Result<uint64_t> append(const Record& record) override;
  Status commit() override;
  Status flush() override;
  uint64_t last_index() const override { return last_.load(std::memory_order_acquire); }
  uint64_t durable_index() const override { return durable_.load(std::memory_order_acquire); }
  Status purge() override { return purge_cleared(env_, dir_, stream_); }

 private:
  Status adopt(const SegmentEntry& newest);
  Status walk(Segment& segment, bool& any);
  Status new_segment();
  Status sync();
  Status write_block();
  Status write_out();
  void build_block(uint32_t flags);
  size_t pack(const std::vector<size_t>& parts, uint8_t* to, size_t room);
  Status seal();

  Env& env_;
  std::string dir_, stream_;
  WriterOptions options_;
  std::unique_ptr<Lock> lock_;
  std::unique_ptr<File> file_;
  uint32_t salt_ = 0, version_ = kVersion;
  uint64_t end_ = 0;    // bytes of good blocks (and header) in file_
  bool dirty_ = false;  // file_ holds what no datasync covers
  bool sealed_ = true;  // nothing was written since the last seal, or ever
  std::optional<Error> broken_;

  BlockEncoder encoder_;
  std::optional<Sealer> sealer_;
  std::vector<uint8_t> out_;  // a finished block that is not in the file yet
  BlockHeader out_header_;
  ZSTD_CCtx* zstd_;

  uint64_t written_ = 0;   // last index in the files
  uint64_t max_time_ = 0;  // of all records in the files
  std::atomic<uint64_t> last_{0}, durable_{0};
};

StreamWriter::~StreamWriter() {
  if (file_) ignore(seal(), "closing: what was not committed was never promised; the next open finds out");
  ZSTD_freeCCtx(zstd_);
}

Status StreamWriter::start() {
  std::string path = stream_dir(dir_, stream_);
  TRY(make_dirs(env_, path));
  Result<std::unique_ptr<Lock>> lock = env_.lock(path + "/writer.lock", false);
  if (!lock) return std::move(lock).error().with("stream " + stream_ + " of " + dir_ + " has a writer already");
  lock_ = *std::move(lock);
  TRY(env_.sync_dir(dir_));

  TRY_ASSIGN(std::vector<SegmentEntry> segments, list_segments(env_, dir_, stream_));
  if (!segments.empty()) TRY(adopt(segments.back()));
  // A user may have cleared records that a crash of the machine took away: their indexes stay used.
  TRY_ASSIGN(uint64_t cleared, highest_cleared(env_, dir_, stream_));
  last_ = std::max(written_, cleared);
  if (segments.empty()) written_ = last_;
  if (!file_) TRY(new_segment());
  durable_ = last_.load();
  return ok();
}

// Goes on in the newest segment: checks its blocks, cuts a torn tail.
Status StreamWriter::adopt(const SegmentEntry& newest) {
  TRY_ASSIGN(std::unique_ptr<Segment> segment, Segment::open(env_, newest, options_.key ? &*options_.key : nullptr));
  written_ = newest.first_index - 1;
  if (segment->header()) {
    written_ = segment->header()->prev_index;
    max_time_ = segment->header()->max_time;
    salt_ = segment->header()->salt;
    version_ = segment->header()->version;
    if (segment->header()->key_id != 0 && !options_.key)
      return Error(Code::permission, newest.path + ": the log is encrypted; give its key with --key-file FILE");
  }
  bool any = false;
  TRY(walk(*segment, any));
  if (!segment->header() && !any) {
    return Error(Code::corrupt, newest.path +
                                    ": the segment header and every block are damaged; where the stream "
                                    "ended is not known. Move the file away to go on without its records");
  }
  TRY_ASSIGN(std::unique_ptr<File> file, env_.open(newest.path, OpenMode::append));
  end_ = segment->offset();
  TRY_ASSIGN(uint64_t size, file->size());
  if (size > end_) {
    kill_point("log.cut.before");
    TRY(file->truncate(end_));
    kill_point("log.cut.after");
  }
  TRY(file->datasync());
  if (segment->header()) file_ = std::move(file);  // else readable, but nothing more is put into it
  return ok();
}

// Behind the last good block of the segment.
Status StreamWriter::walk(Segment& segment, bool& any) {
  for (;;) {
    TRY_ASSIGN(Segment::Look look, segment.look());
    if (look == Segment::Look::end) return ok();
    bool good = look == Segment::Look::block;
    if (good) {
      TRY_ASSIGN(std::optional<Segment::Payload> payload, segment.payload());
      good = payload.has_value();
    }
    if (!good) {
      TRY_ASSIGN(bool found, segment.resync());
      if (!found) return ok();
      continue;
    }
    const BlockHeader& block = segment.block();
    any = true;
    sealed_ = (block.flags & kBlockSeal) != 0;
    written_ = std::max(written_, block.last_index);
    if (block.count > 0) max_time_ = std::max(max_time_, block.max_time);
    segment.skip();
  }
}

// A new segment for what comes after last_; complete on disk before anything relies on it.
Status StreamWriter::new_segment() {
  uint64_t first = std::max(last_.load(), written_) + 1;
  if (!encoder_.empty()) first = encoder_.first_index();
  SegmentHeader header;
  header.version = options_.trace ? kTraceVersion : kVersion;
  header.first_index = first;
  header.prev_index = written_;
  uint64_t now = env_.realtime_ns();
  header.created = pack_time(now / 1'000'000'000u, static_cast<uint32_t>(now % 1'000'000'000u));
  header.max_time = max_time_;
  header.stream = stream_;
  if (options_.key) header.key_id = id_of(*options_.key);
  uint64_t seed[] = {now, env_.monotonic_ns(), first, reinterpret_cast<uintptr_t>(this)};
  header.salt = static_cast<uint32_t>(checksum(seed, sizeof seed));
  uint8_t bytes[kSegmentHeaderSize];
  encode(header, bytes);

  std::string path = stream_dir(dir_, stream_) + "/" + segment_name(first);
  TRY(replace_file(env_, stream_dir(dir_, stream_), path, std::string(reinterpret_cast<char*>(bytes), sizeof bytes)));
  TRY_ASSIGN(file_, env_.open(path, OpenMode::append));
  salt_ = header.salt;
  version_ = header.version;
  end_ = kSegmentHeaderSize;
  return ok();
}

Result<uint64_t> StreamWriter::append(const Record& record) {
  if (broken_) return broken_->clone();
  if (record.call && (!options_.trace || version_ < kTraceVersion))
    return Error(Code::invalid,
                 "a traced call cannot go into " + dir_ + ", which is a changelog; record into a new directory");
  if (encoder_.size() >= options_.block_bytes) TRY(write_block());
  uint64_t last = last_.load(std::memory_order_relaxed);
  Record numbered = record;
  if (numbered.index == 0) numbered.index = last + 1;
  if (numbered.index <= last) {
    return Error(Code::invalid, "record index " + std::to_string(record.index) + " is not above the last one, " +
                                    std::to_string(last));
  }
  TRY(encoder_.add(numbered));
  last_.store(numbered.index, std::memory_order_release);
  return numbered.index;
}

void StreamWriter::build_block(uint32_t flags) {
  BlockHeader header;
  header.salt = salt_;
  header.flags = flags;
  header.count = encoder_.count();
  std::vector<size_t> parts = encoder_.close();
  header.raw_size = static_cast<uint32_t>(encoder_.size());
  if (options_.trace && header.count > 0) header.flags |= kBlockColumns;
  header.prev_index = header.first_index = header.last_index = written_;
  if (header.count > 0) {
    header.first_index = encoder_.first_index();
    header.last_index = encoder_.last_index();
    header.min_time = encoder_.min_time();
    header.max_time = encoder_.max_time();
  }
  size_t raw = encoder_.size();
  out_.resize(kBlockHeaderSize + raw + parts.size() * kMostFrameBytes + ZSTD_compressBound(raw) - raw);
  uint8_t* payload = out_.data() + kBlockHeaderSize;
  size_t stored = raw;
  if (options_.compress && raw >= kWorthPacking) stored = pack(parts, payload, out_.size() - kBlockHeaderSize);
  if (stored >= raw) {
    stored = raw;
    std::copy(encoder_.data(), encoder_.data() + raw, payload);
  } else {
    header.flags |= kBlockZstd;
  }
  header.stored_size = static_cast<uint32_t>(stored);
  if (sealer_ && header.count > 0) {
    header.flags |= kBlockSealed;
    header.stored_size = static_cast<uint32_t>(stored + kSealOverhead);
    std::vector<uint8_t> sealed = sealer_->seal(header, payload, stored);
    stored = sealed.size();
    out_.resize(kBlockHeaderSize + stored);
    payload = out_.data() + kBlockHeaderSize;
    std::copy(sealed.begin(), sealed.end(), payload);
  }
  header.payload_sum = checksum(payload, stored);
  encode(header, out_.data());
  out_.resize(kBlockHeaderSize + stored);
  out_header_ = header;
  encoder_.clear();
}

// One frame, in which each part has blocks of its own. Its size; when it cannot be done, more than the parts are.
size_t StreamWriter::pack(const std::vector<size_t>& parts, uint8_t* to, size_t room) {
  ZSTD_CCtx_reset(zstd_, ZSTD_reset_session_only);
  ZSTD_CCtx_setParameter(zstd_, ZSTD_c_compressionLevel, options_.trace ? kTraceZstdLevel : kZstdLevel);
  ZSTD_CCtx_setPledgedSrcSize(zstd_, encoder_.size());
  ZSTD_outBuffer out{to, room, 0};
  const uint8_t* part = encoder_.data();
  for (size_t i = 0; i < parts.size(); ++i) {
    ZSTD_inBuffer in{part, parts[i], 0};
    size_t left = ZSTD_compressStream2(zstd_, &out, &in, i + 1 == parts.size() ? ZSTD_e_end : ZSTD_e_flush);
    if (left != 0) return encoder_.size();
    part += parts[i];
  }
  return out.pos;
}

// Closes the block that is being filled and puts it into the file.
Status StreamWriter::write_block() {
  if (broken_) return broken_->clone();
  if (!out_.empty()) TRY(write_out());  // one that could not be written before
  if (encoder_.empty()) return ok();
  if (end_ >= options_.segment_bytes) {
    TRY(sync());
    kill_point("log.segment.before");
    TRY(new_segment());
    kill_point("log.segment.after");
  }
  build_block(0);
  return write_out();
}

Status StreamWriter::write_out() {
  kill_point("log.append.before");
  Status done = file_->append(out_.data(), out_.size());
  kill_point("log.append.after");
  if (!done) {
    // Whatever part of it arrived must not stand before the next try.
    Status cut = file_->truncate(end_);
    if (!cut) broken_ = std::move(cut).error().with("after a failed write; close and open the log again");
    return std::move(done).error();
  }
  end_ += out_.size();
  dirty_ = true;
  sealed_ = (out_header_.flags & kBlockSeal) != 0;
  written_ = out_header_.last_index;
  if (out_header_.count > 0) max_time_ = std::max(max_time_, out_header_.max_time);
  out_.clear();
  return ok();
}

// After a failed fdatasync the kernel may have dropped the pages and call the next one a success:
// the only safe way on is to open the log again and look at what is there.
Status StreamWriter::sync() {
  if (broken_) return broken_->clone();
  if (dirty_) {
    kill_point("log.sync.before");
    Status done = file_->datasync();
    kill_point("log.sync.after");
    if (!done) {
      broken_ = done.error().clone().with("the log can not be written any more; close and open it again");
      return done;
    }
    dirty_ = false;
  }
  return ok();
}

Status StreamWriter::flush() {
  return write_block();
}

Status StreamWriter::commit() {
  TRY(write_block());
  TRY(sync());
  durable_.store(last_.load(std::memory_order_relaxed), std::memory_order_release);
  return ok();
}

// The mark of an end in good order: damage before it is damage, not a torn tail.
Status StreamWriter::seal() {
  TRY(commit());
  if (sealed_) return ok();
  kill_point("log.seal");
  build_block(kBlockSeal);
  TRY(write_out());
  return sync();
}

}  // namespace

Result<std::unique_ptr<Writer>> Writer::open(Env& env, const std::string& dir, const std::string& stream,
                                             const WriterOptions& options) {
  if (!valid_stream_name(stream))
    return Error(Code::invalid, "stream name '" + stream + "': use letters, digits, '.', '_', '-', at most 48");
  auto writer = std::make_unique<StreamWriter>(env, dir, stream, options);
  Status started = writer->start();
  if (!started) return std::move(started).error().with("open log " + dir);
  return std::unique_ptr<Writer>(std::move(writer));
}

}  // namespace reel::log

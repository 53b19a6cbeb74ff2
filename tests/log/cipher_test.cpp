// SPDX-License-Identifier: Apache-2.0
//
// Encrypted logs: nothing in clear on disk, nothing believed that was not sealed with the key, and
// otherwise a log like any other: torn, cut, damaged.
#include "log/block/cipher.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/codec.h"
#include "log/segment.h"
#include "log_testing.h"

namespace reel::log {
namespace {

using test::slurp;
using test::spill;

LogKey key_from(const TempDir& dir, const std::string& bytes) {
  spill(dir.path() + "/key", bytes);
  return must(read_log_key(Env::posix(), dir.path() + "/key"));
}

struct Sealed {
  TempDir dir;
  LogKey key = key_from(dir, "thirty-two bytes of a good key..");
  std::vector<OwnedRecord> records;

  // Packed by zstd or not, in a few segments of a few blocks.
  void fill(int count, bool compress = true) {
    WriterOptions options;
    options.segment_bytes = 700;
    options.block_bytes = 300;
    options.compress = compress;
    options.key = key;
    auto writer = open_writer(dir, options);
    for (int i = 0; i < count; ++i) {
      OwnedRecord record;
      record.record.type = RecordType::creat;
      record.name = "a name that is nobody's business " + std::to_string(records.size());
      record.record.index = must(writer->append(record.view()));
      records.push_back(record);
    }
    must(writer->commit());
  }

  // How many records come, all of them right; errors that are not `corrupt` fail.
  size_t read() const {
    Result<std::unique_ptr<Reader>> reader = Reader::open(Env::posix(), dir.path(), kStream, 1, &key);
    if (!reader) {
      EXPECT_TRUE(reader.is(Code::newer) || reader.is(Code::invalid)) << reader.error().text();
      return 0;
    }
    size_t count = 0;
    Record record;
    for (int steps = 0; steps < 1000; ++steps) {
      Result<bool> got = (*reader)->next(record);
      if (got && !*got) break;
      if (!got) {
        EXPECT_TRUE(got.is(Code::corrupt)) << got.error().text();
        continue;
      }
      ++count;
      if (record.index < 1 || record.index > records.size() || !same(record, records[record.index - 1].view()))
        ADD_FAILURE() << "a record that nobody wrote: " << record.index << ' ' << record.name;
    }
    return count;
  }
};

// Where each block of a segment begins.
std::vector<size_t> blocks_of(const std::string& segment) {
  std::vector<size_t> found;
  for (size_t at = kSegmentHeaderSize; at + kBlockHeaderSize <= segment.size();) {
    Result<BlockHeader> header = decode_block_header(reinterpret_cast<const uint8_t*>(segment.data()) + at);
    if (!header) break;
    found.push_back(at);
    at += kBlockHeaderSize + header->stored_size;
  }
  return found;
}

// As somebody would who has no key, but knows the format: the checksums are right.
void put_block(std::string& segment, size_t at, BlockHeader header, const std::string& payload) {
  header.payload_sum = checksum(payload.data(), payload.size());
  uint8_t bytes[kBlockHeaderSize];
  encode(header, bytes);
  segment.replace(at, kBlockHeaderSize, reinterpret_cast<char*>(bytes), kBlockHeaderSize);
  segment.replace(at + kBlockHeaderSize, payload.size(), payload);
}

TEST(Cipher, WhatWasWrittenIsReadAndNothingIsInClear) {
  for (bool compress : {false, true}) {
    Sealed log;
    log.fill(40, compress);
    log.fill(20, compress);  // goes on
    EXPECT_EQ(log.read(), 60u);
    for (const std::string& path : segments_of(log.dir)) EXPECT_EQ(slurp(path).find("nobody"), std::string::npos);
  }
}

TEST(Cipher, WithoutTheKeyNothingIsReadOrWritten) {
  Sealed log;
  log.fill(10);
  LogKey other = key_from(log.dir, "another key of thirty-two bytes.");
  Result<std::unique_ptr<Reader>> wrong = Reader::open(Env::posix(), log.dir.path(), kStream, 1, &other);
  ASSERT_TRUE(wrong.is(Code::permission));
  EXPECT_NE(wrong.error().text().find("another key"), std::string::npos);
  auto none = must(Reader::open(Env::posix(), log.dir.path(), kStream));
  Record record;
  Result<bool> got = none->next(record);
  ASSERT_TRUE(got.is(Code::permission));
  EXPECT_NE(got.error().text().find("--key-file"), std::string::npos);
  EXPECT_TRUE(Writer::open(Env::posix(), log.dir.path(), kStream).is(Code::permission));
  WriterOptions options;
  options.key = other;
  EXPECT_TRUE(Writer::open(Env::posix(), log.dir.path(), kStream, options).is(Code::permission));
  EXPECT_EQ(log.read(), 10u) << "nothing was harmed";
}

TEST(Cipher, APlainLogIsNotTakenForAnEncryptedOne) {
  TempDir dir;
  LogKey key = key_from(dir, "thirty-two bytes of a good key..");
  {
    auto writer = open_writer(dir);
    Record record;
    must(writer->append(record));
    must(writer->commit());
  }
  EXPECT_TRUE(Reader::open(Env::posix(), dir.path(), kStream, 1, &key).is(Code::invalid));
  WriterOptions options;
  options.key = key;
  EXPECT_TRUE(Writer::open(Env::posix(), dir.path(), kStream, options).is(Code::invalid));
}

TEST(Cipher, EveryByteFlippedAndEveryCut) {
  Sealed log;
  for (int i = 0; i < 4; ++i) log.fill(6, i % 2 == 0);
  std::vector<std::string> segments = segments_of(log.dir);
  ASSERT_GT(segments.size(), 1u);
  for (const std::string& path : segments) {
    std::string good = slurp(path);
    for (size_t at = 0; at < good.size(); ++at) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
      spill(path, bad);
      EXPECT_GE(log.read(), 12u) << at;
    }
    for (size_t size = 0; size < good.size(); size += 7) {
      spill(path, good.substr(0, size));
      log.read();
    }
    spill(path, good);
    if (HasFailure()) return;
  }
  EXPECT_EQ(log.read(), 24u);
}

// The checksums are made right again: only the seal can tell.
TEST(Cipher, ChangesThatKnowTheFormatAreFound) {
  Sealed log;
  log.fill(24);
  std::string path = segments_of(log.dir).front(), good = slurp(path);
  size_t whole = log.read();
  for (size_t at : blocks_of(good)) {
    BlockHeader header = must(decode_block_header(reinterpret_cast<const uint8_t*>(good.data()) + at));
    if (header.count == 0) continue;
    std::string payload = good.substr(at + kBlockHeaderSize, header.stored_size);
    auto refused = [&](const BlockHeader& changed, const std::string& with) {
      std::string bad = good;
      put_block(bad, at, changed, with);
      spill(path, bad);
      size_t left = log.read();
      EXPECT_LT(left, whole);
      EXPECT_LE(left + header.count, whole);
    };
    for (size_t i = 0; i < payload.size(); ++i) {
      std::string flipped = payload;
      flipped[i] = static_cast<char>(flipped[i] ^ 1);
      refused(header, flipped);
    }
    BlockHeader changed = header;
    changed.max_time ^= 1;
    refused(changed, payload);
    changed = header;
    changed.count -= 1;
    refused(changed, payload);
    // A block that says that it is not encrypted.
    changed = header;
    changed.flags &= ~(kBlockSealed | kBlockZstd);
    changed.raw_size = changed.stored_size;
    refused(changed, payload);
    if (HasFailure()) return;
  }
}

TEST(Cipher, ABlockOfAnotherSegmentWithTheSameKeyIsRefused) {
  Sealed one, two;
  one.fill(4);
  two.fill(4);
  std::string path = segments_of(one.dir).front(), mine = slurp(path), theirs = slurp(segments_of(two.dir).front());
  size_t at = blocks_of(mine).front(), from = blocks_of(theirs).front();
  BlockHeader header = must(decode_block_header(reinterpret_cast<const uint8_t*>(mine.data()) + at));
  BlockHeader other = must(decode_block_header(reinterpret_cast<const uint8_t*>(theirs.data()) + from));
  other.salt = header.salt;  // or it would not even be looked at
  ASSERT_EQ(other.stored_size, header.stored_size);
  size_t whole = one.read();
  put_block(mine, at, other, theirs.substr(from + kBlockHeaderSize, other.stored_size));
  spill(path, mine);
  EXPECT_LT(one.read(), whole);
}

// Writers come and go, one is cut in the middle of a block and writes that place anew: no nonce comes twice.
TEST(Cipher, NoNonceComesTwice) {
  Sealed log;
  std::set<std::string> nonces;
  size_t sealed = 0;
  auto gather = [&] {
    for (const std::string& path : segments_of(log.dir)) {
      std::string bytes = slurp(path);
      for (size_t at : blocks_of(bytes)) {
        BlockHeader header = must(decode_block_header(reinterpret_cast<const uint8_t*>(bytes.data()) + at));
        if ((header.flags & kBlockSealed) != 0) nonces.insert(bytes.substr(at + kBlockHeaderSize, kNonceSize));
      }
    }
  };
  for (int round = 0; round < 20; ++round) {
    log.fill(3);
    gather();
    std::string path = segments_of(log.dir).back(), bytes = slurp(path);
    std::vector<size_t> blocks = blocks_of(bytes);
    size_t before = nonces.size();
    if (round % 2 == 0 && blocks.size() > 1) {
      spill(path, bytes.substr(0, blocks[blocks.size() - 2] + 20));
      log.records.resize(must(current_index(Env::posix(), log.dir.path(), kStream)));
    }
    EXPECT_GT(before, sealed) << "each round seals something new";
    sealed = before;
  }
  EXPECT_EQ(log.read(), log.records.size());
}

TEST(Cipher, AKeyFileMustBeOne) {
  TempDir dir;
  std::string path = dir.path() + "/key";
  spill(path, "fifteen bytes..");
  EXPECT_TRUE(read_log_key(Env::posix(), path).is(Code::invalid));
  EXPECT_TRUE(read_log_key(Env::posix(), path + "x").is(Code::not_found));
  LogKey a = key_from(dir, "sixteen bytes..."), b = key_from(dir, "sixteen bytes..,");
  EXPECT_NE(a.bytes, b.bytes);
  EXPECT_NE(id_of(a), id_of(b));
}

}  // namespace
}  // namespace reel::log

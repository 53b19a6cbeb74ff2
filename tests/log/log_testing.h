// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the log share: a directory of one's own, seeded random records, comparison.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "log/log.h"
#include "support/files.h"

namespace reel::log {

inline constexpr const char* kStream = "s";

using test::TempDir;

// The value, or the test fails and ends with the error's text.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().text());
  return *std::move(result);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}
  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t limit) { return next() % limit; }

 private:
  uint64_t state_;
};

// REEL_SEED, or a fixed one; printed, so that a failure can be run again.
inline uint64_t test_seed() {
  const char* text = ::getenv("REEL_SEED");
  uint64_t seed = text ? std::strtoull(text, nullptr, 10) : 20240607;
  std::printf("seed %llu (set REEL_SEED for another)\n", static_cast<unsigned long long>(seed));
  return seed;
}

// A record and the bytes its views point to.
struct OwnedRecord {
  Record record;
  std::string name, source_name, jobid, nid, xattr;
  Record view() const {
    Record r = record;
    r.name = name;
    r.source_name = source_name;
    r.jobid_field = jobid;
    r.nid_field = nid;
    r.xattr_field = xattr;
    return r;
  }
};

inline std::string random_bytes(Random& random, size_t size, bool sparse) {
  std::string bytes(size, '\0');
  for (char& c : bytes)
    if (!sparse || random.below(8) == 0) c = static_cast<char>(random.next());
  return bytes;
}

inline Fid random_fid(Random& random) {
  switch (random.below(6)) {
    case 0:
      return {};
    case 1:
      return {random.next(), static_cast<uint32_t>(random.next()), static_cast<uint32_t>(random.next())};
    case 2:
      return {random.below(3), static_cast<uint32_t>(random.next()), 0};
    default:
      return {0x200000401, static_cast<uint32_t>(random.below(400)), 0};
  }
}

// Only fields that the flags announce are set: the others are not part of a record.
inline OwnedRecord random_record(Random& random) {
  OwnedRecord o;
  Record& r = o.record;
  r.type = static_cast<RecordType>(random.below(10) == 0 ? random.next() : random.below(46));
  r.flags = static_cast<uint16_t>(random.next());
  r.time = random.below(10) == 0 ? random.next()
                                 : pack_time(1'700'000'000, static_cast<uint32_t>(random.below(1'000'000'000)));
  r.prev = random.below(10) == 0 ? random.next() : 0;
  r.target = random_fid(random);
  r.parent = random_fid(random);
  if (random.below(3) != 0) o.name = random_bytes(random, random.below(random.below(20) == 0 ? 3000 : 40), false);
  if (r.flags & kFlagRename) {
    r.source = random_fid(random);
    r.source_parent = random_fid(random);
    o.source_name = random_bytes(random, random.below(40), false);
  }
  if (r.flags & kFlagJobid) o.jobid = random_bytes(random, 32, random.below(2) == 0);
  if (r.flags & kFlagExtra) {
    r.extra_flags = random.below(10) == 0 ? random.next() : random.below(32);
    if (r.extra_flags & kExtraUidGid) {
      r.uid = random.below(4) == 0 ? random.next() : 1000;
      r.gid = random.below(4);
    }
    if (r.extra_flags & kExtraNid) o.nid = random_bytes(random, 24, true);
    if (r.extra_flags & kExtraOpen) r.open_mode = static_cast<uint32_t>(random.next());
    if (r.extra_flags & kExtraXattr) o.xattr = random_bytes(random, 256, random.below(2) == 0);
  }
  if (random.below(3) == 0) {
    IoExtension io;
    io.offset = random.below(4) == 0 ? random.next() : random.below(1 << 20);
    io.length = random.below(3) == 0 ? 4096 : random.next();
    io.result = random.below(2) == 0 ? static_cast<int64_t>(io.length) : -static_cast<int64_t>(random.below(100));
    io.duration_ns = random.below(1'000'000);
    io.thread = random.below(4);
    r.io = io;
  }
  return o;
}

// Of a trace: calls as they come, few ops and forms mostly, and strings that have much in common.
inline OwnedRecord random_traced(Random& random, uint64_t& strings) {
  if (random.below(8) == 0) return random_record(random);
  OwnedRecord o;
  Record& r = o.record;
  auto some = [&](uint64_t below) { return random.below(30) == 0 ? random.next() : random.below(below); };
  r.time = pack_time(1'700'000'000, static_cast<uint32_t>(random.below(4) * 1000));
  r.target = random_fid(random);
  CallExtension& call = r.call.emplace();
  IoExtension& io = r.io.emplace();
  if (random.below(3) == 0) {
    r.type = RecordType::string;
    call.path = random.below(20) == 0 ? random.next() : ++strings;
    o.name = "/usr/share/" + std::to_string(random.below(50)) + (random.below(2) == 0 ? "/" : "") +
             random_bytes(random, random.below(random.below(50) == 0 ? 3000 : 9), false);
    return o;
  }
  r.type = random.below(5) == 0 ? RecordType::file : random.below(5) == 0 ? RecordType::compute : RecordType::stat;
  if (r.type != RecordType::file)
    call.op = static_cast<uint32_t>(random.below(9) == 0 ? random.next() : random.below(4));
  io = {some(1 << 20), some(5) * 4096, static_cast<int64_t>(some(3)), some(3), some(3)};
  if (random.below(2) == 0) io.offset = io.length = 0;
  if (r.type == RecordType::file && random.below(2) == 0) io.length = (io.offset + 4095) / 4096 * 4096;
  call.fd = static_cast<int32_t>(random.below(6)) - 1;
  call.fd_generation = static_cast<uint32_t>(some(3));
  if (random.below(3) == 0) call.fd2 = static_cast<int32_t>(some(300));
  if (random.below(3) == 0) call.fd2_generation = static_cast<uint32_t>(some(3));
  call.path = random.below(2) == 0 ? strings : random.below(strings + 1);
  call.relative = static_cast<uint32_t>(some(9));
  for (uint64_t* field : {&call.flags, &call.mode, &call.arg, &call.path2, &call.arg2})
    if (random.below(6) == 0) *field = some(4);
  call.relative2 = static_cast<uint32_t>(some(2));
  return o;
}

inline bool same(const Record& a, const Record& b) {
  return a.index == b.index && a.prev == b.prev && a.time == b.time && a.type == b.type && a.flags == b.flags &&
         a.target == b.target && a.parent == b.parent && a.name == b.name && a.source == b.source &&
         a.source_parent == b.source_parent && a.source_name == b.source_name && a.jobid_field == b.jobid_field &&
         a.extra_flags == b.extra_flags && a.uid == b.uid && a.gid == b.gid && a.nid_field == b.nid_field &&
         a.open_mode == b.open_mode && a.xattr_field == b.xattr_field && a.io == b.io && a.call == b.call;
}

inline std::unique_ptr<Writer> open_writer(const TempDir& dir, const WriterOptions& options = {},
                                           Env& env = Env::posix()) {
  return must(Writer::open(env, dir.path(), kStream, options));
}
inline std::unique_ptr<Reader> open_reader(const TempDir& dir, uint64_t start = 1, Env& env = Env::posix()) {
  return must(Reader::open(env, dir.path(), kStream, start));
}

// The segment files, oldest first.
inline std::vector<std::string> segments_of(const TempDir& dir) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path() + "/" + kStream + ".stream"))
    if (entry.path().extension() == ".seg") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

// The log holds exactly these records.
inline void expect_log(const TempDir& dir, const std::vector<OwnedRecord>& expected, Env& env = Env::posix()) {
  auto reader = open_reader(dir, 1, env);
  Record record;
  for (const OwnedRecord& e : expected) {
    ASSERT_TRUE(must(reader->next(record))) << "before index " << e.record.index;
    ASSERT_TRUE(same(record, e.view())) << "index " << e.record.index << " read " << record.index;
  }
  EXPECT_FALSE(must(reader->next(record)));
}

}  // namespace reel::log

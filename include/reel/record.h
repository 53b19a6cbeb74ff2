// SPDX-License-Identifier: Apache-2.0
//
// The record: one entry of a changelog, as a Lustre MDT writes it (types, flags and extensions keep
// Lustre's numbers and names), plus what Reel adds. A Record is a view: names point into memory that
// belongs to whoever produced it, and stay valid as long as that producer says.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "reel/result.h"

namespace reel {

// 128-bit object identity, printed "[0xSEQ:0xOID:0xVER]". Never means two objects.
struct Fid {
  uint64_t seq = 0;
  uint32_t oid = 0;
  uint32_t ver = 0;

  bool is_zero() const { return seq == 0 && oid == 0 && ver == 0; }
  friend auto operator<=>(const Fid&, const Fid&) = default;
};

std::string to_string(const Fid& fid);                // "[0x200000401:0x3:0x0]", zero seq as "0"
std::optional<Fid> parse_fid(std::string_view text);  // with or without brackets

struct FidHash {
  size_t operator()(const Fid& f) const {
    uint64_t h = (f.seq ^ (uint64_t{f.oid} << 32 | f.ver)) * 0x9e3779b97f4a7c15ULL;
    return h ^ (h >> 29);
  }
};

// Types below 32 are Lustre's; unknown ones of that range are passed through. 32 and up are Reel's.
enum class RecordType : uint32_t {
  mark = 0,
  creat = 1,
  mkdir = 2,
  hlink = 3,
  slink = 4,
  mknod = 5,
  unlnk = 6,
  rmdir = 7,
  renme = 8,
  rnmto = 9,
  open = 10,
  close = 11,
  lyout = 12,
  trunc = 13,
  sattr = 14,
  xattr = 15,
  hsm = 16,
  mtime = 17,
  ctime = 18,
  atime = 19,
  migrt = 20,
  flrw = 21,
  resync = 22,
  gxatr = 23,
  nopen = 24,
  gap = 32,  // the log cannot vouch for what happened before this record; name = why
  read = 33,
  write = 34,
  fsync = 35,
  mmap = 36,
  stat = 37,  // asks for attributes, a link's text, permission
  readdir = 38,
  seek = 39,
  compute = 40,
  send = 41,
  recv = 42,
  barrier = 43,
  signal = 44,
  wait = 45,
  fork = 46,
  exec = 47,
  exit = 48,
  descriptor = 49,  // dup, fcntl, pipe, socket: what changes a table of descriptors, but open and close
  copy = 50,        // from one descriptor to another
  lock = 51,
  context = 52,  // chdir, umask, user: what later calls of the process depend on
  // What a trace says of itself (docs/trace-format.md)
  fact = 56,
  string = 57,
  file = 58,
  thread = 59,
  loss = 60,
  count = 61,
};

// cr_flags: the high four bits say which extensions follow (A.2); the low twelve are per type.
inline constexpr uint16_t kFlagVersion = 0x1000;
inline constexpr uint16_t kFlagRename = 0x2000;
inline constexpr uint16_t kFlagJobid = 0x4000;
inline constexpr uint16_t kFlagExtra = 0x8000;
inline constexpr uint16_t kFlagPayload = 0x0fff;
// UNLNK, RMDIR, RENME: the last link of the removed (overwritten) object is gone.
inline constexpr uint16_t kFlagLast = 0x1;
// GAP: the file system was not watched all the time. It may have been mounted anew, also after a crash.
inline constexpr uint16_t kFlagUnwatched = 0x1;

// cr_extra_flags
inline constexpr uint64_t kExtraUidGid = 0x1;
inline constexpr uint64_t kExtraNid = 0x2;
inline constexpr uint64_t kExtraOpen = 0x4;
inline constexpr uint64_t kExtraXattr = 0x8;
inline constexpr uint64_t kExtraNidBe = 0x10;
inline constexpr uint64_t kExtraKnown = 0x1f;

// Reel's own extension of I/O records: which bytes, what came of it, how long, by whom.
struct IoExtension {
  uint64_t offset = 0;       // bytes
  uint64_t length = 0;       // bytes; 0 with offset 0 on WRITE: the range is not known
  int64_t result = 0;        // what the call returned, or -errno
  uint64_t duration_ns = 0;  // from entry to exit
  uint64_t thread = 0;       // recorder's thread number, 0 when not known
  friend bool operator==(const IoExtension&, const IoExtension&) = default;
};

// Reel's extension of traced calls (docs/trace-format.md). What a field means depends on `op`.
struct CallExtension {
  uint32_t op = 0;                                 // trace::Op
  int32_t fd = -1, fd2 = -1;                       // descriptors by number
  uint32_t fd_generation = 0, fd2_generation = 0;  // how often the number had been given out
  uint64_t path = 0, path2 = 0;                    // numbers of strings, 0: none
  uint32_t relative = 0, relative2 = 0;            // bytes at the end of the path that the call named itself
  uint64_t flags = 0, mode = 0, arg = 0, arg2 = 0;
  friend bool operator==(const CallExtension&, const CallExtension&) = default;
};

struct Record {
  uint64_t index = 0;  // per stream, strictly increasing; a log writer assigns it when 0
  uint64_t prev = 0;   // Lustre's cr_prev: kept, never interpreted
  uint64_t time = 0;   // (seconds << 30) | nanoseconds, realtime clock, as Lustre packs it
  RecordType type = RecordType::mark;
  uint16_t flags = kFlagVersion;
  Fid target;             // the object (RENME: the object that was overwritten, or zero)
  Fid parent;             // the directory of `name`
  std::string_view name;  // raw bytes, never '/' or NUL; GAP: the reason; in traces any bytes

  // kFlagRename (RENME, MIGRT)
  Fid source;         // the object that moved
  Fid source_parent;  // the directory it left
  std::string_view source_name;

  // kFlagJobid: the raw 32-byte field (bytes after its NUL are garbage that is kept), or empty
  std::string_view jobid_field;

  // kFlagExtra
  uint64_t extra_flags = 0;
  uint64_t uid = 0, gid = 0;     // kExtraUidGid
  std::string_view nid_field;    // kExtraNid: the raw 24-byte field
  uint32_t open_mode = 0;        // kExtraOpen
  std::string_view xattr_field;  // kExtraXattr: the raw 256-byte field

  std::optional<IoExtension> io;      // only in Reel's own logs
  std::optional<CallExtension> call;  // only in traces
};

inline constexpr uint64_t pack_time(uint64_t seconds, uint32_t nanoseconds) {
  return seconds << 30 | nanoseconds;
}
inline constexpr uint64_t time_seconds(uint64_t time) {
  return time >> 30;
}
inline constexpr uint32_t time_nanoseconds(uint64_t time) {
  return time & ((1U << 30) - 1);
}

// "CREAT", "GAP", ...; nullopt for numbers without a name.
std::optional<std::string_view> type_name(RecordType type);

// Masks: bit 1 << type. The grammar is Lustre's (names in any case, separators blank , + -; a leading
// + or - is relative to `relative_to`; ALL, DEFAULT). Beyond it: the names of Reel's own types, a type's
// number, and a leading "0x" for the mask as such. ALL is every type, Reel's included.
inline constexpr uint64_t kMaskAllLustre = 0x01ffffffULL;
inline constexpr uint64_t kMaskDefaultLustre = 0x0077fbffULL;
inline constexpr uint64_t kMaskAll = ~0ULL;
inline constexpr uint64_t mask_bit(RecordType type) {
  return static_cast<uint32_t>(type) < 64 ? 1ULL << static_cast<uint32_t>(type) : 0;
}

// The mask a text stands for. Errors: invalid (an unknown name).
Result<uint64_t> parse_mask(std::string_view text, uint64_t relative_to);
// "CREAT,MKDIR,..."; "ALL" and "DEFAULT" for exactly those; bits without a name as numbers.
std::string format_mask(uint64_t mask);

}  // namespace reel

template <>
struct std::hash<reel::Fid> : reel::FidHash {};

// SPDX-License-Identifier: Apache-2.0
//
// Lustre's binary record <-> Record, byte for byte. Layout: head of 64 bytes { u16 name length,
// u16 flags, u32 type, u64 index, u64 prev, u64 time, FID target, FID parent }, then each only if
// its bit is set: rename (2 FIDs), jobid (32 bytes), extra flags (u64), uid and gid (2 u64), nid
// (24 bytes), open mode (u32), xattr name (256 bytes); then the name, for a rename "new NUL old".
#include "log/text/lustre_wire.h"

#include <string_view>

#include "base/codec.h"
#include "log/block/block.h"
#include "log/block/format.h"

namespace reel::log {
namespace {

constexpr uint32_t kLustreTypes = 32;  // numbers below are Lustre's to give

Fid take_fid(ByteReader& in) {
  Fid fid;
  fid.seq = in.fixed<uint64_t>();
  fid.oid = in.fixed<uint32_t>();
  fid.ver = in.fixed<uint32_t>();
  return fid;
}

std::string_view take(ByteReader& in, size_t size) {
  const uint8_t* bytes = in.bytes(size);
  return bytes ? std::string_view(reinterpret_cast<const char*>(bytes), size) : std::string_view();
}

Status take_extra(ByteReader& in, Record& record) {
  record.extra_flags = in.fixed<uint64_t>();
  if ((record.extra_flags & ~kExtraKnown) != 0) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(record.extra_flags));
    return Error(Code::unsupported, "record " + std::to_string(record.index) + " has extra flags " + text +
                                        ", of which some are not known: its size is not known");
  }
  if ((record.extra_flags & kExtraUidGid) != 0) {
    record.uid = in.fixed<uint64_t>();
    record.gid = in.fixed<uint64_t>();
  }
  if ((record.extra_flags & kExtraNid) != 0) record.nid_field = take(in, kNidSize);
  if ((record.extra_flags & kExtraOpen) != 0) record.open_mode = in.fixed<uint32_t>();
  if ((record.extra_flags & kExtraXattr) != 0) record.xattr_field = take(in, kXattrSize);
  return ok();
}

Status split_name(std::string_view area, Record& record) {
  record.name = area;
  size_t nul = area.find('\0');
  if ((record.flags & kFlagRename) != 0 && nul != std::string_view::npos && nul + 1 < area.size()) {
    record.name = area.substr(0, nul);
    record.source_name = area.substr(nul + 1);
  }
  for (std::string_view name : {record.name, record.source_name})
    if (name.find('\0') != std::string_view::npos || name.find('/') != std::string_view::npos)
      return Error(Code::corrupt, "record " + std::to_string(record.index) + ": a name with a NUL or a slash in it");
  return ok();
}

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  store_le(bytes, value);
  out.append(bytes, sizeof value);
}

void put_fid(std::string& out, const Fid& fid) {
  put(out, fid.seq);
  put(out, fid.oid);
  put(out, fid.ver);
}

void put_field(std::string& out, std::string_view field, size_t size) {
  out.append(field);
  out.append(size - field.size(), '\0');
}

Status check_encodable(const Record& record) {
  std::string who = "record " + std::to_string(record.index);
  if (static_cast<uint32_t>(record.type) >= kLustreTypes)
    return Error(Code::invalid,
                 who + " has type " + std::to_string(static_cast<uint32_t>(record.type)) + ", which is not Lustre's");
  if ((record.flags & kFlagExtra) != 0 && (record.extra_flags & ~kExtraKnown) != 0)
    return Error(Code::invalid, who + " has extra flags that Lustre does not know");
  if (record.jobid_field.size() > kJobidSize || record.nid_field.size() > kNidSize ||
      record.xattr_field.size() > kXattrSize || record.name.size() + record.source_name.size() + 1 > kMaxName) {
    return Error(Code::invalid, who + " has a field that is too long for Lustre's format");
  }
  return ok();
}

}  // namespace

Result<size_t> decode_lustre(const void* data, size_t size, Record& record) {
  ByteReader in(data, size);
  record = Record{};
  uint16_t name_size = in.fixed<uint16_t>();
  record.flags = in.fixed<uint16_t>();
  uint32_t type = in.fixed<uint32_t>();
  record.type = static_cast<RecordType>(type);
  record.index = in.fixed<uint64_t>();
  record.prev = in.fixed<uint64_t>();
  record.time = in.fixed<uint64_t>();
  record.target = take_fid(in);
  record.parent = take_fid(in);
  if (in.failed()) return Error(Code::corrupt, "a record that is cut off within its head");
  if (type >= kLustreTypes) {
    return Error(Code::unsupported, "record " + std::to_string(record.index) + " has type " + std::to_string(type) +
                                        ", which no Lustre is known to write");
  }
  if ((record.flags & kFlagRename) != 0) {
    record.source = take_fid(in);
    record.source_parent = take_fid(in);
  }
  if ((record.flags & kFlagJobid) != 0) record.jobid_field = take(in, kJobidSize);
  if ((record.flags & kFlagExtra) != 0) TRY(take_extra(in, record));
  std::string_view area = take(in, name_size);
  if (in.failed()) return Error(Code::corrupt, "record " + std::to_string(record.index) + " is cut off");
  TRY(split_name(area, record));
  return size - in.left();
}

Status encode_lustre(const Record& record, std::string& out) {
  TRY(check_encodable(record));
  bool rename = (record.flags & kFlagRename) != 0;
  bool two_names = rename && !record.source_name.empty();
  size_t name_size = record.name.size() + (two_names ? 1 + record.source_name.size() : 0);
  put(out, static_cast<uint16_t>(name_size));
  put(out, record.flags);
  put(out, static_cast<uint32_t>(record.type));
  put(out, record.index);
  put(out, record.prev);
  put(out, record.time);
  put_fid(out, record.target);
  put_fid(out, record.parent);
  if (rename) {
    put_fid(out, record.source);
    put_fid(out, record.source_parent);
  }
  if ((record.flags & kFlagJobid) != 0) put_field(out, record.jobid_field, kJobidSize);
  if ((record.flags & kFlagExtra) != 0) {
    put(out, record.extra_flags);
    if ((record.extra_flags & kExtraUidGid) != 0) {
      put(out, record.uid);
      put(out, record.gid);
    }
    if ((record.extra_flags & kExtraNid) != 0) put_field(out, record.nid_field, kNidSize);
    if ((record.extra_flags & kExtraOpen) != 0) put(out, record.open_mode);
    if ((record.extra_flags & kExtraXattr) != 0) put_field(out, record.xattr_field, kXattrSize);
  }
  out.append(record.name);
  if (two_names) {
    out.push_back('\0');
    out.append(record.source_name);
  }
  return ok();
}

}  // namespace reel::log

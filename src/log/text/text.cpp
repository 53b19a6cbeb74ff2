// SPDX-License-Identifier: Apache-2.0
//
// The line of `lfs changelog`:
//   INDEX TTNAME HH:MM:SS.nnnnnnnnn YYYY.MM.DD 0xFLAGS t=[FID] [j=JOBID] [ef=0xX [u=UID:GID]
//   [nid=NID] [m=rwx] [x=XATTR]] [p=[FID]] [NAME] [s=[FID] sp=[FID] OLDNAME]
// Reel's I/O records have io=OFFSET+LENGTH r=RESULT d=NANOSECONDS th=THREAD before the p=.
#include "log/text/text.h"

#include <time.h>

#include "base/print.h"
#include "log/block/block_shape.h"

namespace reel::log {
namespace {

constexpr uint32_t kModeRead = 1, kModeWrite = 2, kModeExec = 4;

void append_extra(const Record& record, std::string& out) {
  append_format(out, " ef=0x%llx", wide(record.extra_flags));
  if (has_extra(record, kExtraUidGid)) append_format(out, " u=%llu:%llu", wide(record.uid), wide(record.gid));
  if (has_extra(record, kExtraNid))
    out += " nid=" + nid_text(record.nid_field, (record.extra_flags & kExtraNidBe) != 0);
  uint32_t mode = record.open_mode;
  if (has_extra(record, kExtraOpen) && (mode & (kModeRead | kModeWrite | kModeExec)) != 0) {
    bool exec = (mode & kModeExec) != 0;  // lfs prints nothing beside it, though an exec reads, too
    append_format(out, " m=%c%c%c", mode & kModeRead && !exec ? 'r' : '-', mode & kModeWrite && !exec ? 'w' : '-',
                  exec ? 'x' : '-');
  }
  std::string_view xattr = text_of_field(record.xattr_field);
  if (has_extra(record, kExtraXattr) && !xattr.empty()) out.append(" x=").append(xattr);
}

// The length of the UTF-8 sequence at the front, 0 when there is none.
size_t utf8_size(std::string_view s) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  size_t size = lead >= 0xc2 && lead < 0xe0 ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
  if (size == 0 || s.size() < size) return 0;
  for (size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;   // longer than needed
  if (lead == 0xed && byte(1) >= 0xa0) return 0;  // a surrogate
  if (lead == 0xf0 && byte(1) < 0x90) return 0;   // longer than needed
  if (lead == 0xf4 && byte(1) >= 0x90) return 0;  // beyond U+10FFFF
  return size;
}

void append_json_field(const char* name, std::string_view bytes, std::string& out) {
  out.append(",\"").append(name).append("\":");
  append_json_string(bytes, out);
}

void append_json_number(const char* name, uint64_t value, std::string& out) {
  append_format(out, ",\"%s\":%llu", name, wide(value));
}

}  // namespace

std::string_view text_of_field(std::string_view field) {
  return field.substr(0, field.find('\0'));
}

void append_lfs_line(const Record& record, std::string& out) {
  time_t seconds = static_cast<time_t>(time_seconds(record.time));
  struct tm utc;
  ::gmtime_r(&seconds, &utc);
  std::string_view type = type_name(record.type).value_or("?????");
  append_format(out, "%llu %02u%-5.*s %02d:%02d:%02d.%09u %04d.%02d.%02d 0x%x t=", wide(record.index),
                static_cast<uint32_t>(record.type), static_cast<int>(type.size()), type.data(), utc.tm_hour, utc.tm_min,
                utc.tm_sec, time_nanoseconds(record.time), utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                static_cast<unsigned>(record.flags & kFlagPayload));
  out += to_string(record.target);
  std::string_view jobid = text_of_field(record.jobid_field);
  if (has_jobid(record) && !jobid.empty()) out.append(" j=").append(jobid);
  if ((record.flags & kFlagExtra) != 0) append_extra(record, out);
  if (record.io) {
    append_format(out, " io=%llu+%llu r=%lld d=%llu th=%llu", wide(record.io->offset), wide(record.io->length),
                  static_cast<long long>(record.io->result), wide(record.io->duration_ns), wide(record.io->thread));
  }
  if (!record.parent.is_zero()) out += " p=" + to_string(record.parent);
  if (!record.name.empty()) out.append(" ").append(record.name);
  if ((record.flags & kFlagRename) != 0 && !record.source.is_zero()) {
    out += " s=" + to_string(record.source) + " sp=" + to_string(record.source_parent) + " ";
    out.append(record.source_name);
  }
  out += '\n';
}

void append_json_string(std::string_view bytes, std::string& out) {
  out += '"';
  while (!bytes.empty()) {
    size_t size = utf8_size(bytes);
    auto c = static_cast<unsigned char>(bytes[0]);
    if (size == 0) {
      append_format(out, "\\udc%02x", c);
      size = 1;
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += bytes[0];
    } else if (c < 0x20 || c == 0x7f) {
      append_format(out, "\\u%04x", c);
    } else {
      out.append(bytes.substr(0, size));
    }
    bytes.remove_prefix(size);
  }
  out += '"';
}

void append_json_line(const Record& record, std::string& out) {
  append_format(out, "{\"index\":%llu", wide(record.index));
  append_json_field("type", type_name(record.type).value_or(""), out);
  append_json_number("type_number", static_cast<uint32_t>(record.type), out);
  append_json_number("time", time_seconds(record.time), out);
  append_json_number("time_ns", time_nanoseconds(record.time), out);
  append_json_number("flags", record.flags, out);
  append_json_field("target", to_string(record.target), out);
  append_json_field("parent", to_string(record.parent), out);
  append_json_field("name", record.name, out);
  if (record.prev != 0) append_json_number("prev", record.prev, out);
  if ((record.flags & kFlagRename) != 0) {
    append_json_field("source", to_string(record.source), out);
    append_json_field("source_parent", to_string(record.source_parent), out);
    append_json_field("source_name", record.source_name, out);
  }
  if (has_jobid(record)) append_json_field("jobid", text_of_field(record.jobid_field), out);
  if ((record.flags & kFlagExtra) != 0) append_json_number("extra_flags", record.extra_flags, out);
  if (has_extra(record, kExtraUidGid)) {
    append_json_number("uid", record.uid, out);
    append_json_number("gid", record.gid, out);
  }
  if (has_extra(record, kExtraNid))
    append_json_field("nid", nid_text(record.nid_field, (record.extra_flags & kExtraNidBe) != 0), out);
  if (has_extra(record, kExtraOpen)) append_json_number("open_mode", record.open_mode, out);
  if (has_extra(record, kExtraXattr)) append_json_field("xattr", text_of_field(record.xattr_field), out);
  if (record.io) {
    append_json_number("offset", record.io->offset, out);
    append_json_number("length", record.io->length, out);
    append_format(out, ",\"result\":%lld", static_cast<long long>(record.io->result));
    append_json_number("duration_ns", record.io->duration_ns, out);
    append_json_number("thread", record.io->thread, out);
  }
  out += "}\n";
}

}  // namespace reel::log

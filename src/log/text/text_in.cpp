// SPDX-License-Identifier: Apache-2.0
//
// The line of `lfs changelog` backwards (text.cpp says its grammar). Every line that is taken is
// printed again and compared: what does not come out the same is not taken.
#include "log/text/text_in.h"

#include <time.h>

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "log/block/block_shape.h"
#include "log/text/lustre_wire.h"
#include "log/text/text.h"

namespace reel::log {
namespace {

constexpr size_t kJobidMax = 31;  // and a NUL

Error wrong(const std::string& what) {
  return {Code::invalid, what};
}

// Takes a line apart from the left.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : left(text) {}
  std::string_view left;

  bool take(std::string_view word) {
    if (!left.starts_with(word)) return false;
    left.remove_prefix(word.size());
    return true;
  }
  template <class T>
  bool number(T& value, int base = 10) {
    auto [end, failed] = std::from_chars(left.data(), left.data() + left.size(), value, base);
    if (failed != std::errc()) return false;
    left.remove_prefix(static_cast<size_t>(end - left.data()));
    return true;
  }
  // Up to the next blank or the end.
  std::string_view word() {
    std::string_view found = left.substr(0, left.find(' '));
    left.remove_prefix(found.size());
    return found;
  }
  bool fid(Fid& value) {
    size_t end = left.find(']');
    if (!left.starts_with('[') || end == std::string_view::npos) return false;
    std::optional<Fid> found = parse_fid(left.substr(0, end + 1));
    if (!found) return false;
    value = *found;
    left.remove_prefix(end + 1);
    return true;
  }
};

template <size_t N>
std::string_view fill(std::array<char, N>& field, std::string_view text) {
  field.fill(0);
  std::copy_n(text.begin(), std::min(text.size(), N - 1), field.begin());
  return {field.data(), N};
}

bool parse_time(Cursor& in, uint64_t& time) {
  struct tm utc {};
  uint32_t nanoseconds = 0;
  bool good = in.number(utc.tm_hour) && in.take(":") && in.number(utc.tm_min) && in.take(":") &&
              in.number(utc.tm_sec) && in.take(".") && in.number(nanoseconds) && in.take(" ") &&
              in.number(utc.tm_year) && in.take(".") && in.number(utc.tm_mon) && in.take(".") && in.number(utc.tm_mday);
  if (!good || utc.tm_year < 1970) return false;
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  time = pack_time(static_cast<uint64_t>(::timegm(&utc)), nanoseconds);
  return true;
}

// "12 01CREAT 10:28:46.968438800 2026.08.22 0x0 t=[...]"
bool parse_head(Cursor& in, Record& record) {
  uint32_t type = 0;
  uint16_t flags = 0;
  if (!in.number(record.index) || !in.take(" ") || !in.number(type)) return false;
  record.type = static_cast<RecordType>(type);
  in.word();  // the type's name: comparing what is printed again will see to it
  while (in.take(" ")) continue;
  if (!parse_time(in, record.time) || !in.take(" 0x") || !in.number(flags, 16) || !in.take(" t=")) return false;
  record.flags = flags & kFlagPayload;
  return in.fid(record.target);
}

Status parse_jobid(Cursor& in, TextFields& fields, Record& record) {
  if (!in.take(" j=")) return ok();
  // It may hold blanks; what ends it is the next field.
  size_t end = std::min({in.left.find(" ef=0x"), in.left.find(" p=["), in.left.size()});
  if (end == in.left.size()) end = std::min(in.left.find(' '), end);
  if (end == 0 || end > kJobidMax) return wrong("it is not clear where its jobid ends");
  record.flags |= kFlagJobid;
  record.jobid_field = fill(fields.jobid, in.left.substr(0, end));
  in.left.remove_prefix(end);
  return ok();
}

bool parse_open_mode(Cursor& in, uint32_t& mode) {
  if (!in.take(" m=")) return true;
  if (in.left.size() < 3) return false;
  mode = (in.left[0] == 'r' ? 1u : 0) | (in.left[1] == 'w' ? 2u : 0) | (in.left[2] == 'x' ? 4u : 0);
  in.left.remove_prefix(3);
  return true;
}

Status parse_xattr(Cursor& in, TextFields& fields, Record& record) {
  if (!in.take(" x=")) return ok();
  // The name of an attribute may hold blanks, too.
  size_t end = std::min(in.left.find(" p=["), in.left.size());
  if (end == 0 || end >= fields.xattr.size() || in.left.find(" p=[", end + 1) != std::string_view::npos)
    return wrong("it is not clear where the name of its attribute ends");
  record.xattr_field = fill(fields.xattr, in.left.substr(0, end));
  in.left.remove_prefix(end);
  return ok();
}

Status parse_extra(Cursor& in, TextFields& fields, Record& record) {
  if (!in.take(" ef=0x")) return ok();
  record.flags |= kFlagExtra;
  if (!in.number(record.extra_flags, 16)) return wrong("no number behind ef=");
  if ((record.extra_flags & ~kExtraKnown) != 0) return wrong("extra flags that are not known");
  if (has_extra(record, kExtraUidGid) &&
      !(in.take(" u=") && in.number(record.uid) && in.take(":") && in.number(record.gid)))
    return wrong("no user and group behind u=");
  if (has_extra(record, kExtraNid)) {
    if (!in.take(" nid=") || !parse_nid(in.word(), (record.extra_flags & kExtraNidBe) != 0, fields.nid))
      return wrong("no network address behind nid=");
    record.nid_field = {fields.nid.data(), fields.nid.size()};
  }
  if (has_extra(record, kExtraOpen) && !parse_open_mode(in, record.open_mode)) return wrong("no mode behind m=");
  if (!has_extra(record, kExtraXattr)) return ok();
  record.xattr_field = fill(fields.xattr, "");
  return parse_xattr(in, fields, record);
}

Status parse_io(Cursor& in, Record& record) {
  if (!in.take(" io=")) return ok();
  IoExtension io;
  bool good = in.number(io.offset) && in.take("+") && in.number(io.length) && in.take(" r=") && in.number(io.result) &&
              in.take(" d=") && in.number(io.duration_ns) && in.take(" th=") && in.number(io.thread);
  if (!good) return wrong("no range, result, duration and thread behind io=");
  record.io = io;
  return ok();
}

// "new s=[...] sp=[...] old": where the middle begins; npos when it is not there, or not only once.
bool split_rename(std::string_view names, TextFields& fields, Record& record, bool& found) {
  found = false;
  for (size_t at = names.find(" s=["); at != std::string_view::npos; at = names.find(" s=[", at + 1)) {
    Cursor in(names.substr(at));
    Fid source, source_parent;
    if (!in.take(" s=") || !in.fid(source) || !in.take(" sp=") || !in.fid(source_parent) || !in.take(" ")) continue;
    if (found) return false;
    found = true;
    record.source = source;
    record.source_parent = source_parent;
    fields.name = names.substr(0, at);
    fields.source_name = in.left;
  }
  return true;
}

Status parse_names(Cursor& in, TextFields& fields, Record& record) {
  if (in.take(" p=") && !in.fid(record.parent)) return wrong("no FID behind p=");
  fields.name.clear();
  fields.source_name.clear();
  bool two = false;
  bool renames =
      record.type == RecordType::renme || record.type == RecordType::migrt || record.type == RecordType::rnmto;
  if (renames && !split_rename(in.left, fields, record, two)) return wrong("it is not clear where its first name ends");
  if (two) {
    record.flags |= kFlagRename;
    if (fields.name.starts_with(' ')) fields.name.erase(0, 1);
  } else if (in.take(" ")) {
    fields.name = in.left;
  } else if (!in.left.empty()) {
    return wrong("something without a meaning in it");
  }
  record.name = fields.name;
  record.source_name = fields.source_name;
  return ok();
}

}  // namespace

Status parse_lfs_line(std::string_view line, TextFields& fields, Record& record) {
  record = Record{};
  Cursor in(line);
  if (!parse_head(in, record)) return wrong("not a record of a changelog");
  TRY(parse_jobid(in, fields, record));
  TRY(parse_extra(in, fields, record));
  TRY(parse_io(in, record));
  TRY(parse_names(in, fields, record));
  if ((record.flags & kFlagRename) == 0) record.flags |= kFlagVersion;
  std::string again;
  append_lfs_line(record, again);
  again.pop_back();
  if (again != line) return wrong("not as `lfs changelog` prints a record");
  return ok();
}

namespace {

// Takes members of one JSON object; the first that is missing or wrong is remembered.
class Members {
 public:
  explicit Members(const Json& json) : json_(json) {}
  bool has(const char* name) const { return json_.find(name) != nullptr; }

  uint64_t number(const char* name) {
    const Json* member = json_.find(name);
    std::optional<uint64_t> value = member ? member->as_unsigned() : std::nullopt;
    return value ? *value : (fail(name), 0);
  }
  int64_t signed_number(const char* name) {
    const Json* member = json_.find(name);
    std::optional<int64_t> value = member ? member->as_signed() : std::nullopt;
    return value ? *value : (fail(name), 0);
  }
  std::string_view text(const char* name) {
    const Json* member = json_.find(name);
    if (member && member->kind == Json::Kind::string) return member->text;
    fail(name);
    return {};
  }
  Fid fid(const char* name) {
    std::optional<Fid> value = parse_fid(text(name));
    return value ? *value : (fail(name), Fid{});
  }
  void fail(const char* name) {
    if (wrong_.empty()) wrong_ = name;
  }
  Status end() const { return wrong_.empty() ? ok() : Status(wrong("\"" + wrong_ + "\" is missing or wrong")); }

 private:
  const Json& json_;
  std::string wrong_;
};

void take_extra_members(Members& in, TextFields& fields, Record& record) {
  if ((record.flags & kFlagExtra) == 0) return;
  record.extra_flags = in.number("extra_flags");
  if ((record.extra_flags & ~kExtraKnown) != 0) in.fail("extra_flags");
  if (has_extra(record, kExtraUidGid)) {
    record.uid = in.number("uid");
    record.gid = in.number("gid");
  }
  if (has_extra(record, kExtraNid)) {
    if (!parse_nid(in.text("nid"), (record.extra_flags & kExtraNidBe) != 0, fields.nid)) in.fail("nid");
    record.nid_field = {fields.nid.data(), fields.nid.size()};
  }
  if (has_extra(record, kExtraOpen)) record.open_mode = static_cast<uint32_t>(in.number("open_mode"));
  if (has_extra(record, kExtraXattr)) {
    std::string_view name = in.text("xattr");
    if (name.size() >= fields.xattr.size()) in.fail("xattr");
    record.xattr_field = fill(fields.xattr, name);
  }
}

}  // namespace

Status parse_json_line(std::string_view line, TextFields& fields, Record& record) {
  TRY_ASSIGN(Json json, parse_json(line));
  record = Record{};
  Members in(json);
  record.index = in.number("index");
  record.type = static_cast<RecordType>(in.number("type_number"));
  uint64_t nanoseconds = in.number("time_ns");
  if (nanoseconds >= 1000000000u) in.fail("time_ns");
  record.time = pack_time(in.number("time"), static_cast<uint32_t>(nanoseconds));
  uint64_t flags = in.number("flags");
  if (flags > UINT16_MAX) in.fail("flags");
  record.flags = static_cast<uint16_t>(flags);
  record.target = in.fid("target");
  record.parent = in.fid("parent");
  fields.name = in.text("name");
  fields.source_name.clear();
  if (in.has("prev")) record.prev = in.number("prev");
  if ((record.flags & kFlagRename) != 0) {
    record.source = in.fid("source");
    record.source_parent = in.fid("source_parent");
    fields.source_name = in.text("source_name");
  }
  if ((record.flags & kFlagJobid) != 0) {
    std::string_view jobid = in.text("jobid");
    if (jobid.size() > kJobidMax) in.fail("jobid");
    record.jobid_field = fill(fields.jobid, jobid);
  }
  take_extra_members(in, fields, record);
  if (in.has("offset"))
    record.io = IoExtension{in.number("offset"), in.number("length"), in.signed_number("result"),
                            in.number("duration_ns"), in.number("thread")};
  record.name = fields.name;
  record.source_name = fields.source_name;
  bool of_reel = static_cast<uint32_t>(record.type) >= 32;  // the reason of a GAP may hold anything
  for (std::string_view name : {record.name, record.source_name})
    if (name.find('\0') != std::string_view::npos || (name.find('/') != std::string_view::npos && !of_reel))
      in.fail("name");
  return in.end();
}

namespace {

Status each_raw_record(std::string_view bytes, const RecordFn& each, std::vector<std::string>& problems) {
  for (size_t at = 0; at < bytes.size();) {
    Record record;
    Result<size_t> size = decode_lustre(bytes.data() + at, bytes.size() - at, record);
    if (!size) {
      problems.push_back("byte " + std::to_string(at) + ": " + size.error().text());
      return ok();
    }
    TRY(each(record));
    at += *size;
  }
  return ok();
}

}  // namespace

Status each_record(RecordFormat format, std::string_view bytes, const RecordFn& each,
                   std::vector<std::string>& problems) {
  if (format == RecordFormat::lustre) return each_raw_record(bytes, each, problems);
  auto parse = format == RecordFormat::lfs ? parse_lfs_line : parse_json_line;
  const char* newline_hint =
      format == RecordFormat::lfs ? " (or a name with a newline in it has split the line before it)" : "";
  TextFields fields;
  Record record;
  uint64_t last = 0;
  for (size_t at = 0, number = 1; at < bytes.size(); ++number) {
    std::string where = "line " + std::to_string(number) + ": ";
    size_t end = bytes.find('\n', at);
    if (end == std::string_view::npos) {
      problems.push_back(where + "cut off, it has no newline at its end");
      return ok();
    }
    Status parsed = parse(bytes.substr(at, end - at), fields, record);
    at = end + 1;
    if (!parsed) {
      problems.push_back(where + parsed.error().text() + newline_hint);
    } else if (record.index <= last) {
      problems.push_back(where + "index " + std::to_string(record.index) + " after " + std::to_string(last) +
                         newline_hint);
    } else {
      last = record.index;
      TRY(each(record));
    }
  }
  return ok();
}

}  // namespace reel::log

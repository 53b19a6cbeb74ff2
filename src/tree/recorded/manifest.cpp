// SPDX-License-Identifier: Apache-2.0
#include "tree/recorded/manifest.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/json.h"
#include "tree/posix/posix_attributes.h"

namespace reel::mirror {
namespace {

constexpr int64_t kSecondNs = 1000000000;

Error wrong(const char* member) {
  return {Code::invalid, "\"" + std::string(member) + "\" is missing or not what it should be"};
}

Result<std::string> bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    unsigned byte = 0;
    auto [end, failed] = std::from_chars(hex.data() + i, hex.data() + std::min(i + 2, hex.size()), byte, 16);
    if (failed != std::errc() || end != hex.data() + i + 2) return wrong("xattrs");
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

class Line {
 public:
  explicit Line(const Json& json) : json_(json) {}

  Result<ManifestEntry> entry() {
    ManifestEntry entry;
    TRY(identity(entry));
    TRY(number("uid", entry.uid));
    TRY(number("gid", entry.gid));
    TRY(number("nlink", entry.nlink));
    TRY(number("size", entry.size));
    TRY(number("ino", entry.ino));
    TRY(time("mtime_ns", entry.mtime));
    TRY(time("ctime_ns", entry.ctime));
    TRY(time("atime_ns", entry.atime));
    TRY(mode(entry));
    TRY(type(entry));
    TRY(rdev(entry));
    if (const Json* text = member("target")) {
      if (text->kind != Json::Kind::string) return wrong("target");
      entry.link_text = text->text;
    }
    TRY(xattrs(entry));
    return entry;
  }

 private:
  // A member that is there and not null.
  const Json* member(const char* name) const {
    const Json* found = json_.find(name);
    return found && found->kind != Json::Kind::null ? found : nullptr;
  }

  Status identity(ManifestEntry& entry) const {
    const Json* path = member("path");
    if (!path || path->kind != Json::Kind::string || path->text.empty()) return wrong("path");
    if (path->text != ".") entry.path = path->text;
    for (size_t at = 0; at < entry.path.size();) {
      size_t end = std::min(entry.path.find('/', at), entry.path.size());
      if (!is_plain_name(std::string_view(entry.path).substr(at, end - at))) return wrong("path");
      at = end + 1;
    }
    const Json* fid = member("fid");
    std::optional<Fid> parsed = fid ? parse_fid(fid->text) : std::nullopt;
    if (!parsed || parsed->is_zero()) return wrong("fid");
    entry.fid = *parsed;
    return ok();
  }

  template <class T>
  Status number(const char* name, std::optional<T>& value) const {
    const Json* found = member(name);
    if (!found) return ok();
    std::optional<uint64_t> given = found->as_unsigned();
    if (!given || *given > std::numeric_limits<T>::max()) return wrong(name);
    value = static_cast<T>(*given);
    return ok();
  }

  Status time(const char* name, std::optional<Time>& value) const {
    const Json* found = member(name);
    if (!found) return ok();
    std::optional<int64_t> given = found->as_signed();
    if (!given) return wrong(name);
    int64_t seconds = *given / kSecondNs;
    if (*given % kSecondNs < 0) --seconds;
    value = Time{seconds, static_cast<uint32_t>(*given - seconds * kSecondNs)};
    return ok();
  }

  Status mode(ManifestEntry& entry) const {
    const Json* found = member("mode");
    if (!found) return ok();
    uint32_t bits = 0;
    const char* end = found->text.data() + found->text.size();
    auto [stopped, failed] = std::from_chars(found->text.data(), end, bits, 8);
    if (found->kind != Json::Kind::string || failed != std::errc() || stopped != end || bits > 07777)
      return wrong("mode");
    entry.mode = bits;
    return ok();
  }

  Status type(ManifestEntry& entry) const {
    const Json* found = member("type");
    if (!found) return ok();
    constexpr std::string_view kLetters = "fdlpscb";  // in the order of FileType
    size_t at = found->text.size() == 1 ? kLetters.find(found->text[0]) : std::string_view::npos;
    if (at == std::string_view::npos) return wrong("type");
    entry.type = static_cast<FileType>(at);
    return ok();
  }

  Status rdev(ManifestEntry& entry) const {
    const Json* found = member("rdev");
    if (!found) return ok();
    if (found->items.size() != 2) return wrong("rdev");
    std::optional<uint64_t> numbers[2] = {found->items[0].as_unsigned(), found->items[1].as_unsigned()};
    if (!numbers[0] || !numbers[1]) return wrong("rdev");
    entry.rdev = makedev(static_cast<unsigned>(*numbers[0]), static_cast<unsigned>(*numbers[1]));
    return ok();
  }

  Status xattrs(ManifestEntry& entry) const {
    const Json* found = member("xattrs");
    if (!found) return ok();
    if (found->kind != Json::Kind::object) return wrong("xattrs");
    entry.xattrs.emplace();
    for (const auto& [name, hex] : found->members) {
      TRY_ASSIGN(std::string value, bytes_of_hex(hex.text));
      entry.xattrs->push_back({name, std::move(value)});
    }
    std::sort(entry.xattrs->begin(), entry.xattrs->end());
    return ok();
  }

  const Json& json_;
};

}  // namespace

Result<std::vector<ManifestEntry>> parse_manifest(std::string_view text) {
  std::vector<ManifestEntry> entries;
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    std::string where = "line " + std::to_string(++number);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Result<Json> json = parse_json(line);
    if (!json) return std::move(json).error().with(where);
    Result<ManifestEntry> entry = Line(*json).entry();
    if (!entry) return std::move(entry).error().with(where);
    entries.push_back(*std::move(entry));
  }
  return entries;
}

}  // namespace reel::mirror

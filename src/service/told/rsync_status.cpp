// SPDX-License-Identifier: Apache-2.0
#include "service/told/rsync_status.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "base/codec.h"
#include "base/env.h"

namespace reel::service {
namespace {

constexpr uint32_t kVersion = 1;
constexpr size_t kNameSize = 65;
constexpr size_t kPathSize = 4097;
constexpr uint32_t kTargetsMax = 1000;

std::string take_text(ByteReader& in, size_t size) {
  const uint8_t* bytes = in.bytes(size);
  if (!bytes) return "";
  std::string_view field(reinterpret_cast<const char*>(bytes), size);
  return std::string(field.substr(0, field.find('\0')));
}

std::string resolved(const std::string& path) {
  std::error_code failed;
  std::string found = std::filesystem::weakly_canonical(path, failed).string();
  return failed ? path : found;
}

}  // namespace

Result<RsyncStatus> parse_rsync_status(std::string_view bytes) {
  ByteReader in(bytes.data(), bytes.size());
  uint32_t version = in.fixed<uint32_t>();
  uint32_t size = in.fixed<uint32_t>();
  RsyncStatus status;
  status.last_record = in.fixed<uint64_t>();
  status.user = take_text(in, kNameSize);
  status.mdt = take_text(in, kNameSize);
  take_text(in, kNameSize);
  status.source = take_text(in, kPathSize);
  uint32_t count = in.fixed<uint32_t>();
  if (!in.failed() && version != kVersion)
    return Error(Code::unsupported, "it has version " + std::to_string(version) + ", and only 1 is known");
  if (count == 0 || count > kTargetsMax)
    return Error(Code::corrupt, "it is not a status log of lustre_rsync, or it is damaged");
  for (uint32_t i = 0; i < count; ++i) status.targets.push_back(take_text(in, kPathSize));
  bool whole = !in.failed() && size >= bytes.size() - in.left() && !status.source.empty() && !status.user.empty() &&
               !status.mdt.empty();
  if (!whole) return Error(Code::corrupt, "it is not a status log of lustre_rsync, or it is cut off");
  return status;
}

Result<RsyncStatus> read_rsync_status(const std::string& file, const std::string& source,
                                      const std::vector<std::string>& targets) {
  TRY_ASSIGN(std::string bytes, read_file(Env::posix(), file, std::numeric_limits<size_t>::max()));
  Result<RsyncStatus> status = parse_rsync_status(bytes);
  if (!status) return std::move(status).error().with("status log " + file);
  if (resolved(status->source) != resolved(source))
    return Error(Code::conflict, "status log " + file + " is of a mirror of " + status->source + ", not of " + source);
  for (const std::string& target : targets) {
    bool known = std::any_of(status->targets.begin(), status->targets.end(),
                             [&](const std::string& each) { return resolved(each) == resolved(target); });
    if (!known) {
      std::string list;
      for (const std::string& each : status->targets) list += " " + each;
      return Error(Code::conflict, "status log " + file + " does not know the target " + target + ", but:" + list);
    }
  }
  return status;
}

}  // namespace reel::service

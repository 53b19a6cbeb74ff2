// SPDX-License-Identifier: Apache-2.0
#include "service/told/repair_request.h"

#include <unistd.h>

#include "base/env.h"

namespace reel::service {
namespace {

constexpr const char* kVerb = "repair ";
constexpr const char* kPrefix = "repair.";
constexpr size_t kMaxBytes = size_t{1} << 30;

}  // namespace

Result<std::string> write_repair_request(const std::string& state_dir, const RepairRequest& request) {
  std::string text = request.source + '\0' + request.target + '\0';
  for (const std::string& path : request.paths) text += path + '\0';
  std::string name = kPrefix + std::to_string(::getpid());
  TRY(replace_file(Env::posix(), state_dir, state_dir + "/" + name, text));
  return kVerb + name;
}

Result<RepairRequest> take_repair_request(const std::string& state_dir, const std::string& line) {
  std::string name = line.starts_with(kVerb) ? line.substr(std::string(kVerb).size()) : "";
  if (!name.starts_with(kPrefix) || name.find('/') != std::string::npos) return Error(Code::invalid, "unknown request");
  std::string file = state_dir + "/" + name;
  TRY_ASSIGN(std::string text, read_file(Env::posix(), file, kMaxBytes));
  TRY(Env::posix().unlink(file));
  std::vector<std::string> values;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\0', at), text.size());
    values.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  if (values.size() < 2) return Error(Code::invalid, "the request to repair is not complete");
  RepairRequest request{values[0], values[1], {}};
  request.paths.assign(values.begin() + 2, values.end());
  return request;
}

}  // namespace reel::service

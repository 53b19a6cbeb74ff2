// SPDX-License-Identifier: Apache-2.0
//
// See log_place.h.
#include "cli/log/log_place.h"

#include <algorithm>
#include <vector>

#include "base/env.h"
#include "log/log.h"

namespace reel::cli {
namespace {

// The streams of a directory; none when it is not there.
Result<std::vector<std::string>> streams_in(const std::string& dir) {
  Result<std::vector<std::string>> names = log::streams(Env::posix(), dir);
  if (names.is(Code::not_found)) return std::vector<std::string>();
  return names;
}

struct Found {
  std::string dir;
  std::vector<std::string> streams;
};

Result<Found> look_in(const std::string& path) {
  TRY_ASSIGN(std::vector<std::string> names, streams_in(path));
  if (!names.empty()) return Found{path, std::move(names)};
  TRY_ASSIGN(names, streams_in(path + "/log"));
  return Found{names.empty() ? path : path + "/log", std::move(names)};
}

Error choose(const Found& found) {
  std::string list;
  for (const std::string& name : found.streams) list += (list.empty() ? "" : ", ") + name;
  return Error(Code::invalid, found.dir + " has several streams; name one with --stream: " + list);
}

}  // namespace

Result<LogPlace> find_log(const std::string& path, const std::string& stream) {
  TRY_ASSIGN(Found found, look_in(path));
  if (found.streams.empty())
    return Error(Code::not_found, path + ": no log there (neither it nor its log/ holds a NAME.stream directory)");
  if (stream.empty() && found.streams.size() > 1) return choose(found);
  std::string name = stream.empty() ? found.streams.front() : stream;
  if (std::find(found.streams.begin(), found.streams.end(), name) == found.streams.end())
    return Error(Code::not_found, found.dir + " has no stream '" + name + "'");
  return LogPlace{found.dir, name};
}

Result<LogPlace> find_or_name_log(const std::string& path, const std::string& stream, const std::string& fallback) {
  TRY_ASSIGN(Found found, look_in(path));
  if (!stream.empty()) return LogPlace{found.dir, stream};
  if (found.streams.size() > 1) return choose(found);
  return LogPlace{found.dir, found.streams.empty() ? fallback : found.streams.front()};
}

}  // namespace reel::cli

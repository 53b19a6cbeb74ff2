// SPDX-License-Identifier: Apache-2.0
#include "source/recorded.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/env.h"
#include "log/text/lustre_wire.h"

namespace reel::source {
namespace {

constexpr std::string_view kPrefix = "mdt";
constexpr std::string_view kSuffix = ".raw";

// "mdt12.raw" → 12
bool number_of(std::string_view name, unsigned& number) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return false;
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(kSuffix.size());
  auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), number);
  return failed == std::errc() && end == name.data() + name.size();
}

class Taker {
 public:
  Taker(std::string file, log::Writer& writer) : file_(std::move(file)), writer_(writer), had_(writer.last_index()) {}

  Status take(std::string_view bytes) {
    for (size_t at = 0; at < bytes.size();) {
      Record record;
      Result<size_t> size = log::decode_lustre(bytes.data() + at, bytes.size() - at, record);
      if (!size) return gap("damaged at byte " + std::to_string(at) + ": " + size.error().text());
      TRY(take(record));
      at += *size;
    }
    return ok();
  }

  std::vector<std::string> problems;

 private:
  Status take(const Record& record) {
    uint64_t before = last_ ? last_ : had_;
    std::string what = std::to_string(record.index) + " follows " + std::to_string(before);
    if (before != 0 && record.index > before + 1) TRY(gap("records are missing: " + what));
    if (record.index <= last_) TRY(gap("the index goes back: " + what));
    last_ = record.index;
    if (record.index <= writer_.last_index()) return ok();  // in the log since an earlier time
    TRY(writer_.append(record));
    return ok();
  }

  Status gap(const std::string& what) {
    problems.push_back(file_ + ": " + what);
    if (last_ != 0 && last_ < had_) return ok();  // an earlier run has been here, and told the log
    Record record;
    record.type = RecordType::gap;
    record.time = pack_time(Env::posix().realtime_ns() / 1000000000u, 0);
    std::string reason = problems.back();
    record.name = reason;
    TRY(writer_.append(record));
    return ok();
  }

  const std::string file_;
  log::Writer& writer_;
  const uint64_t had_;  // the stream's last index when this began
  uint64_t last_ = 0;   // of the file
};

}  // namespace

Result<std::vector<std::string>> recorded_streams(const std::string& dir) {
  TRY_ASSIGN(std::vector<std::string> names, Env::posix().list_dir(dir));
  std::vector<unsigned> numbers;
  unsigned number = 0;
  for (const std::string& name : names)
    if (number_of(name, number)) numbers.push_back(number);
  if (numbers.empty()) return Error(Code::not_found, dir + ": no recorded changelog there (mdt0.raw, mdt1.raw, ...)");
  std::sort(numbers.begin(), numbers.end());
  std::vector<std::string> streams;
  for (unsigned each : numbers) streams.push_back(std::string(kPrefix) + std::to_string(each));
  return streams;
}

Result<std::vector<std::string>> take_recording(const std::string& dir, const std::string& stream,
                                                log::Writer& writer) {
  std::string file = dir + "/" + stream + std::string(kSuffix);
  TRY_ASSIGN(std::string bytes, read_file(Env::posix(), file, std::numeric_limits<size_t>::max()));
  Taker taker(file, writer);
  TRY(taker.take(bytes));
  TRY(writer.commit());
  return std::move(taker.problems);
}

}  // namespace reel::source

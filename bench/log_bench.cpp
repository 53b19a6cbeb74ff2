// SPDX-License-Identifier: Apache-2.0
//
// How fast the log appends and reads, and how many bytes a record takes: changelog records of an
// untar-and-remove workload (CREAT, CLOSE, UNLNK with FIDs, callers and 16-byte names), one thread.
//   log_bench [DIR]     prints the median of five runs as one JSON object
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include "log/log.h"

namespace {

using namespace reel;

constexpr uint64_t kRecords = 2'000'000;
constexpr int kRuns = 5;
constexpr uint64_t kCommitEvery = 10'000;

// Lives as long as the records made by it.
struct Workload {
  std::array<char, 32> jobid{"tar.1000"};
  std::array<char, 24> nid{};
  std::string name;
  uint64_t random = 0x243f6a8885a308d3;
  uint64_t time = pack_time(1'700'000'000, 0);

  uint64_t next_random() {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random;
  }

  Record make(uint64_t i) {
    static constexpr RecordType kTypes[] = {RecordType::creat, RecordType::close, RecordType::unlnk};
    uint64_t file = i / 3;
    Record record;
    record.type = kTypes[i % 3];
    record.flags = kFlagVersion | kFlagJobid | kFlagExtra;
    if (i % 3 == 1) record.flags |= 0x42;
    if (i % 3 == 2) record.flags |= kFlagLast;
    time += 10 * (next_random() % 20'000);
    record.time = time;
    record.target = {0x200000401, static_cast<uint32_t>(file + 1), 0};
    record.parent = {0x200000402, static_cast<uint32_t>(file / 40 + 7), 0};
    if (i % 3 == 0) {
      static constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz012345";
      uint64_t bits = next_random();
      name = "file-";
      while (name.size() < 14) name += kLetters[(bits >>= 5) & 31];
      name += ".c";
    }
    if (i % 3 != 1) record.name = name;
    record.jobid_field = {jobid.data(), jobid.size()};
    record.extra_flags = kExtraUidGid | kExtraNid | kExtraNidBe;
    record.uid = record.gid = 1000;
    record.nid_field = {nid.data(), nid.size()};
    return record;
  }
};

[[noreturn]] void fail(const Error& error) {
  std::fprintf(stderr, "log_bench: %s\n", error.text().c_str());
  std::exit(1);
}

double seconds(const std::function<void()>& work) {
  auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void append_all(const std::string& dir) {
  auto writer = log::Writer::open(Env::posix(), dir, "bench");
  if (!writer) fail(writer.error());
  Workload workload;
  for (uint64_t i = 0; i < kRecords; ++i) {
    auto appended = (*writer)->append(workload.make(i));
    if (!appended) fail(appended.error());
    if (i % kCommitEvery == 0)
      if (auto committed = (*writer)->commit(); !committed) fail(committed.error());
  }
  if (auto committed = (*writer)->commit(); !committed) fail(committed.error());
}

void read_all(const std::string& dir) {
  auto reader = log::Reader::open(Env::posix(), dir, "bench");
  if (!reader) fail(reader.error());
  Record record;
  uint64_t count = 0, bytes = 0;
  for (;;) {
    auto got = (*reader)->next(record);
    if (!got) fail(got.error());
    if (!*got) break;
    ++count;
    bytes += record.name.size();
  }
  if (count != kRecords)
    fail(Error(Code::corrupt, "read " + std::to_string(count) + " records, " + std::to_string(bytes)));
}

double disk_bytes(const std::string& dir) {
  double total = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir))
    if (entry.is_regular_file()) total += static_cast<double>(entry.file_size());
  return total;
}

double median(std::array<double, kRuns> values) {
  std::sort(values.begin(), values.end());
  return values[kRuns / 2];
}

}  // namespace

int main(int argc, char** argv) {
  std::string base = argc > 1 ? argv[1] : std::filesystem::temp_directory_path().string();
  std::string dir = base + "/log_bench.tmp";
  std::array<double, kRuns> append{}, read{};
  double bytes = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::filesystem::remove_all(dir);
    auto at = static_cast<size_t>(run);
    append[at] = seconds([&] { append_all(dir); });
    read[at] = seconds([&] { read_all(dir); });
    bytes = disk_bytes(dir);
  }
  std::filesystem::remove_all(dir);
  double n = static_cast<double>(kRecords);
  std::printf(
      "{\"records\": %llu, \"append_per_s\": %.0f, \"read_per_s\": %.0f, \"bytes_per_record\": "
      "%.1f, "
      "\"append_s\": %.3f, \"read_s\": %.3f}\n",
      static_cast<unsigned long long>(kRecords), n / median(append), n / median(read), bytes / n, median(append),
      median(read));
  return 0;
}

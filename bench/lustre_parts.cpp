// SPDX-License-Identifier: Apache-2.0
//
// Parts of the mirror of a Lustre alone, without one:
//   lustre_parts decode-fold RECORDS FILE...   recorded streams (raw device bytes), over and over, through decoder and
//                                              fold on one thread; and how many lookups are left of each batch
//   lustre_parts survey ENTRIES DELAY_US       a survey of so many dirty entries whose every lookup takes so long
// Each prints one JSON object.
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "base/env.h"
#include "log/text/lustre_wire.h"
#include "mirror/plan/survey.h"

namespace {

using namespace reel;
using namespace reel::mirror;
using File = reel::mirror::File;  // not that of base/env.h

constexpr size_t kBatch = 50000;  // changes, as in EngineOptions
constexpr unsigned kQuestions = 64;

template <typename T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  std::fprintf(stderr, "lustre_parts: %s\n", result.error().text().c_str());
  std::exit(1);
}
double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double cpu_seconds() {
  struct rusage used;
  ::getrusage(RUSAGE_SELF, &used);
  auto seconds = [](const struct timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

int decode_fold(uint64_t count, const std::vector<std::string>& files) {
  std::string bytes;
  for (const std::string& file : files)
    bytes += must(read_file(Env::posix(), file, std::numeric_limits<size_t>::max()));
  uint64_t batches = 0, entries = 0, objects = 0, done = 0;
  double cpu = cpu_seconds();
  DirtySet dirty;
  for (uint64_t round = 0; done < count; ++round) {
    for (size_t at = 0; at < bytes.size() && done < count; ++done) {
      Record record;
      at += must(log::decode_lustre(bytes.data() + at, bytes.size() - at, record));
      // Each time round they are other objects.
      for (Fid* fid : {&record.target, &record.parent, &record.source, &record.source_parent})
        if (!fid->is_zero()) fid->seq += round << 32;
      fold(record, dirty);
      if (dirty.size() < kBatch && dirty.records < kBatch) continue;
      ++batches;
      entries += dirty.entries.size();
      objects += dirty.objects.size();
      dirty = {};
    }
  }
  entries += dirty.entries.size();
  objects += dirty.objects.size();
  cpu = cpu_seconds() - cpu;
  std::printf(
      "{\"records\": %llu, \"cpu\": %.3f, \"records_per_second\": %.0f, \"batches\": %llu, \"lookups_per_record\": "
      "%.3f, "
      "\"objects_per_record\": %.3f}\n",
      static_cast<unsigned long long>(done), cpu, static_cast<double>(done) / cpu,
      static_cast<unsigned long long>(batches + 1), static_cast<double>(entries) / static_cast<double>(done),
      static_cast<double>(objects) / static_cast<double>(done));
  return 0;
}

class EmptyStore final : public Store {
 public:
  Result<std::optional<std::string>> get(std::string_view) override { return std::optional<std::string>(); }
  Status scan(std::string_view, std::string_view,
              const std::function<bool(std::string_view, std::string_view)>&) override {
    return ok();
  }
  Status write(const StoreBatch&, Durable) override { return ok(); }
};

// Every question is a round trip to a server.
class DistantTree final : public SourceTree {
 public:
  explicit DistantTree(unsigned delay_us) : delay_us_(delay_us) {}
  Fid root() const override { return {1, 1, 0}; }
  Result<Attributes> stat(const Fid&) override { return ask(); }
  Result<SourceEntry> lookup(const Fid&, const std::string& name) override {
    TRY_ASSIGN(Attributes attributes, ask());
    return SourceEntry{name, {2, static_cast<uint32_t>(std::strtoul(name.c_str(), nullptr, 10)), 0}, attributes};
  }
  Status list(const Fid&, const std::function<Status(const SourceEntry&)>&, const FidHint&) override { return ok(); }
  Result<std::string> read_link(const Fid&) override { return std::string(); }
  Result<std::vector<Xattr>> xattrs(const Fid&, File*) override { return std::vector<Xattr>(); }
  Result<bool> being_written(File&) override { return false; }
  Result<std::unique_ptr<File>> open(const Fid&) override { return Error(Code::not_found, "nothing"); }
  Result<Attributes> stat(File&) override { return ask(); }

 private:
  Result<Attributes> ask() const {
    ::usleep(delay_us_);
    return Attributes{};
  }
  const unsigned delay_us_;
};

int distant_survey(uint64_t count, unsigned delay_us) {
  EmptyStore store;
  Index index(store);
  DistantTree source(delay_us);
  Object root;
  root.fid = source.root();
  root.type = FileType::directory;
  if (!index.put(root)) return 1;
  DirtySet dirty;
  for (uint64_t i = 0; i < count; ++i) dirty.entries.insert({root.fid, std::to_string(i)});
  Pool pool(kQuestions - 1);
  double begin = now(), cpu = cpu_seconds();
  Survey found = must(survey(dirty, {}, index, source, pool, nullptr, {}));
  double took = now() - begin;
  std::printf(
      "{\"entries\": %zu, \"delay_us\": %u, \"in_flight\": %u, \"seconds\": %.3f, \"cpu\": %.3f, "
      "\"objects_per_second\": %.0f}\n",
      found.changes.size(), delay_us, kQuestions, took, cpu_seconds() - cpu, static_cast<double>(count) / took);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 4 && !std::strcmp(argv[1], "decode-fold"))
    return decode_fold(std::strtoull(argv[2], nullptr, 10), std::vector<std::string>(argv + 3, argv + argc));
  if (argc == 4 && !std::strcmp(argv[1], "survey"))
    return distant_survey(std::strtoull(argv[2], nullptr, 10),
                          static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10)));
  std::fprintf(stderr, "usage: lustre_parts decode-fold RECORDS FILE... | survey ENTRIES DELAY_US\n");
  return 1;
}

// SPDX-License-Identifier: Apache-2.0
//
// Parts of the mirror alone, for what cannot be seen from outside:
//   mirror_parts gap-scan SOURCE INDEX    scans SOURCE against the index of a mirror of it; nothing is changed
//   mirror_parts fold-plan RECORDS OBJECTS   records of a made-up log through fold and plan, one thread, its processor
//   time mirror_parts memory ENTRIES DIR       a first sync of a made-up tree; the index is the real one, in DIR
// Each prints one JSON object.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <unordered_map>

#include "mirror/engine.h"
#include "tree/posix/posix_source.h"

namespace {

using namespace reel;
using namespace reel::mirror;

[[noreturn]] void fail(const Error& error) {
  std::fprintf(stderr, "mirror_parts: %s\n", error.text().c_str());
  std::exit(1);
}
template <typename T>
T must(Result<T> result) {
  if (!result) fail(result.error());
  return *std::move(result);
}
void must(const Status& status) {
  if (!status) fail(status.error());
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
double rss_mib() {
  struct rusage used;
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_maxrss) / 1024;
}

int gap_scan(const std::string& source_dir, const std::string& index_dir) {
  std::unique_ptr<PosixSource> source = must(PosixSource::open(source_dir));
  std::unique_ptr<Store> store = must(open_rocks_store(index_dir));
  Index index(*store);
  Pool pool(std::thread::hardware_concurrency() - 1);
  for (int run = 0; run < 6; ++run) {
    double begin = now(), cpu = cpu_seconds();
    Survey found = must(survey({}, {source->root()}, index, *source, pool, nullptr, {}));
    double took = now() - begin;
    cpu = cpu_seconds() - cpu;
    if (run == 0) continue;  // the first one warms up
    std::printf("{\"seconds\": %.3f, \"cpu\": %.3f, \"directories\": %zu, \"changes\": %zu}\n", took, cpu,
                found.scanned.size(), found.changes.size());
  }
  return 0;
}

// An index store that is only memory.
class MemoryStore : public Store {
 public:
  Result<std::optional<std::string>> get(std::string_view key) override {
    auto found = rows_.find(std::string(key));
    return found == rows_.end() ? std::optional<std::string>() : std::optional<std::string>(found->second);
  }
  Status scan(std::string_view, std::string_view,
              const std::function<bool(std::string_view, std::string_view)>&) override {
    return ok();
  }
  Status write(const StoreBatch& batch, Durable) override {
    for (const StoreBatch::Item& item : batch.items)
      if (item.value) rows_[item.key] = *item.value;
    return ok();
  }

 private:
  std::unordered_map<std::string, std::string> rows_;
};

Fid file_fid(uint64_t number) {
  return {1000 + number, 7, 0};
}
Fid dir_fid(uint64_t number) {
  return {(uint64_t{1} << 40) + number, 7, 0};
}
constexpr uint64_t kPerDir = 1000;
std::string file_name(uint64_t number) {
  return "file-" + std::to_string(number) + ".dat";
}

// Ten records for each object, those of 64 objects mixed, as 64 busy processes would leave them.
class MadeUpLog {
 public:
  Record at(uint64_t i) {
    static constexpr RecordType kTypes[10] = {
        RecordType::creat, RecordType::open,  RecordType::write, RecordType::close, RecordType::sattr,
        RecordType::xattr, RecordType::write, RecordType::close, RecordType::renme, RecordType::sattr};
    uint64_t object = i / 640 * 64 + i % 64;
    Record record;
    record.type = kTypes[i / 64 % 10];
    record.index = i + 1;
    record.time = pack_time(1'700'000'000, 0) + i;
    record.target = file_fid(object);
    if (record.type == RecordType::creat || record.type == RecordType::renme) {
      record.parent = dir_fid(object / kPerDir);
      name_ = file_name(object);
      record.name = name_;
    }
    if (record.type == RecordType::renme) {
      record.source = record.target;
      record.source_parent = record.parent;
      old_name_ = name_ + "~";
      record.source_name = old_name_;
    }
    return record;
  }

 private:
  std::string name_, old_name_;
};

// What a survey would find: every second object is new, the others are known and differ.
Survey survey_of(const DirtySet& dirty) {
  Survey found;
  for (const EntryKey& key : dirty.entries) {
    uint64_t number = std::strtoull(key.name.c_str() + 5, nullptr, 10);
    if (number % 2 == 0 && key.name.back() != '~')
      found.changes.push_back({key, Fid{}, file_fid(number), FileType::regular, true});
  }
  for (const auto& [fid, bits] : dirty.objects)
    if (fid.seq % 2 != 0) found.objects.emplace(fid, bits);
  return found;
}

int fold_plan(uint64_t records, uint64_t objects) {
  MemoryStore store;
  Index index(store);
  auto add = [&](const Fid& fid, FileType type, const EntryKey& home) {
    Object object;
    object.fid = fid;
    object.type = type;
    object.home = home;
    must(index.put(object));
  };
  for (uint64_t i = 0; i <= objects / kPerDir; ++i)
    add(dir_fid(i), FileType::directory, {dir_fid(0), "d" + std::to_string(i)});
  for (uint64_t i = 1; i < objects; i += 2) add(file_fid(i), FileType::regular, {dir_fid(i / kPerDir), file_name(i)});
  must(store.write(index.take_batch(), Durable::no));
  MadeUpLog log;
  double fold_seconds = 0, plan_seconds = 0;
  uint64_t operations = 0;
  for (uint64_t i = 0; i < records;) {
    DirtySet dirty;
    double begin = cpu_seconds();
    for (; i < records && dirty.size() < EngineOptions().batch_changes; ++i) fold(log.at(i), dirty);
    fold_seconds += cpu_seconds() - begin;
    Survey found = survey_of(dirty);
    begin = cpu_seconds();
    Plan plan = must(make_plan(found, index));
    plan_seconds += cpu_seconds() - begin;
    operations += plan.size();
  }
  std::printf("{\"records\": %llu, \"per_s\": %.0f, \"fold_s\": %.3f, \"plan_s\": %.3f, \"operations\": %llu}\n",
              static_cast<unsigned long long>(records), static_cast<double>(records) / (fold_seconds + plan_seconds),
              fold_seconds, plan_seconds, static_cast<unsigned long long>(operations));
  return 0;
}

// A tree that is nowhere: directories of kPerDir files below the root.
class MadeUpSource : public SourceTree {
 public:
  explicit MadeUpSource(uint64_t entries) : entries_(entries), directories_((entries + kPerDir - 1) / kPerDir) {}

  Fid root() const override { return dir_fid(UINT32_MAX); }
  Result<Attributes> stat(const Fid& fid) override { return attributes(fid); }
  Result<SourceEntry> lookup(const Fid&, const std::string&) override { return Error(Code::not_found, "made up"); }
  Status list(const Fid& dir, const std::function<Status(const SourceEntry&)>& each, const FidHint&) override {
    bool top = dir == root();
    uint64_t first = top ? 0 : (dir.seq - dir_fid(0).seq) * kPerDir;
    uint64_t end = top ? directories_ : std::min(first + kPerDir, entries_);
    for (uint64_t i = first; i < end; ++i) {
      Fid fid = top ? dir_fid(i) : file_fid(i);
      std::string name = top ? "directory-" + std::to_string(i) : file_name(i);
      TRY(each({name, fid, attributes(fid)}));
    }
    return ok();
  }
  Result<std::string> read_link(const Fid&) override { return Error(Code::invalid, "made up"); }
  Result<std::vector<Xattr>> xattrs(const Fid&, File*) override { return std::vector<Xattr>(); }
  Result<bool> being_written(File&) override { return false; }
  Result<std::unique_ptr<File>> open(const Fid& fid) override { return std::unique_ptr<File>(new Open(fid)); }
  Result<Attributes> stat(File& file) override { return attributes(static_cast<Open&>(file).fid); }

 private:
  struct Open : File {
    explicit Open(const Fid& f) : fid(f) {}
    Fid fid;
  };
  static Attributes attributes(const Fid& fid) {
    Attributes a;
    a.type = fid.seq >= dir_fid(0).seq ? FileType::directory : FileType::regular;
    a.mode = 0644;
    a.nlink = 1;
    a.size = 4096;
    a.mtime = a.ctime = a.atime = a.born = {1'700'000'000, static_cast<uint32_t>(fid.seq % 1'000'000'000)};
    a.ino = fid.seq;
    return a;
  }
  const uint64_t entries_, directories_;
};

// A target that takes everything and keeps nothing.
class NoTarget : public TargetTree {
 public:
  std::string mounting() const override { return ""; }
  Result<TargetDirPtr> root() override { return std::make_shared<TargetDir>(); }
  Result<TargetDirPtr> open_dir(const TargetDirPtr&, const std::string&) override { return root(); }
  Result<Attributes> stat(const TargetDirPtr&, const std::string&) override {
    return Error(Code::not_found, "made up");
  }
  Status list(const TargetDirPtr&, const std::function<Status(const TargetEntry&)>&) override { return ok(); }
  Result<Attributes> make_dir(const TargetDirPtr&, const std::string&) override { return made(); }
  Result<Attributes> make_symlink(const TargetDirPtr&, const std::string&, const std::string&) override {
    return made();
  }
  Result<Attributes> make_node(const TargetDirPtr&, const std::string&, FileType, uint64_t) override { return made(); }
  Status link(const TargetDirPtr&, const std::string&, const TargetDirPtr&, const std::string&) override {
    return ok();
  }
  Status rename(const TargetDirPtr&, const std::string&, const TargetDirPtr&, const std::string&) override {
    return ok();
  }
  Status unlink(const TargetDirPtr&, const std::string&) override { return ok(); }
  Status remove_dir(const TargetDirPtr&, const std::string&) override { return ok(); }
  Result<std::unique_ptr<File>> create(const TargetDirPtr&, const std::string&, uint32_t, const std::string&) override {
    return std::make_unique<File>();
  }
  Result<std::unique_ptr<File>> open(const TargetDirPtr&, const std::string&) override {
    return std::make_unique<File>();
  }
  Result<CopyResult> copy(SourceTree&, File&, File&, uint64_t size, bool) override { return CopyResult{size, 0}; }
  Status set_attributes(File*, const TargetDirPtr&, const std::string&, const AttributeChange&) override {
    return ok();
  }
  Result<Attributes> stat(File&) override { return made(); }
  Status sync() override { return ok(); }

 private:
  Attributes made() {
    Attributes a;
    a.ino = ++inodes_;
    return a;
  }
  std::atomic<uint64_t> inodes_{0};
};

int memory(uint64_t entries, const std::string& dir) {
  MadeUpSource source(entries);
  std::unique_ptr<Store> store = must(open_rocks_store(dir));
  Pool pool(1);
  EngineHooks hooks;
  hooks.open_target = []() -> Result<std::unique_ptr<TargetTree>> {
    return std::unique_ptr<TargetTree>(new NoTarget());
  };
  hooks.now_s = [] { return static_cast<int64_t>(now()); };
  hooks.monotonic_ms = [] { return static_cast<int64_t>(now() * 1000); };
  Engine engine(*store, source, nullptr, pool, std::move(hooks), {});
  double before = rss_mib(), begin = now();
  must(engine.start());
  while (must(engine.step())) continue;
  double first_sync = now() - begin, first_rss = rss_mib();
  begin = now();
  must(engine.request_scan());
  while (must(engine.step())) continue;
  std::printf(
      "{\"entries\": %llu, \"created\": %llu, \"rss_mib\": %.0f, \"rss_after_first_sync\": %.0f, \"rss_at_start\": "
      "%.0f, "
      "\"first_sync_s\": %.1f, \"scan_s\": %.1f}\n",
      static_cast<unsigned long long>(entries), static_cast<unsigned long long>(engine.counters().created.load()),
      rss_mib(), first_rss, before, first_sync, now() - begin);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string what = argc == 4 ? argv[1] : "";
  if (what == "gap-scan") return gap_scan(argv[2], argv[3]);
  if (what == "fold-plan") return fold_plan(std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10));
  if (what == "memory") return memory(std::strtoull(argv[2], nullptr, 10), argv[3]);
  std::fprintf(stderr, "usage: mirror_parts gap-scan SOURCE INDEX | fold-plan RECORDS OBJECTS | memory ENTRIES DIR\n");
  return 2;
}

// SPDX-License-Identifier: Apache-2.0
//
// How many records a second get from one MDT's device into our log: read, read again, decoded, appended,
// on disk, cleared. The device is memory. The yardstick is the same bytes decoded only.
//
//   lustre_source DIR [RECORDS]
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/codec.h"
#include "log/text/lustre_wire.h"
#include "source/lustre/stream/mdt_stream.h"

namespace {

using namespace reel;
using namespace reel::source::lustre;

constexpr size_t kAtOnce = 1024;  // records that the kernel reads ahead

struct Records {
  std::string bytes;
  std::vector<size_t> ends;  // of record i + 1
  uint64_t cleared = 0;
};

Records make(size_t count) {
  Records records;
  std::string jobid(32, '\0'), nid(24, '\0'), name;
  std::memcpy(jobid.data(), "tar.0", 5);
  for (uint64_t i = 1; i <= count; ++i) {
    Record record;
    record.index = i;
    record.time = pack_time(1'790'000'000 + i / 4000, static_cast<uint32_t>(i % 4000 * 250'000));
    record.type = i % 2 ? RecordType::creat : RecordType::close;
    record.flags = kFlagVersion | kFlagJobid | kFlagExtra;
    record.extra_flags = kExtraUidGid | kExtraNid | kExtraNidBe;
    record.target = {0x200000402, static_cast<uint32_t>(i / 2), 0};
    record.jobid_field = jobid;
    record.nid_field = nid;
    name = "file" + std::to_string(i);
    if (i % 2) record.parent = {0x200000402, static_cast<uint32_t>(i / 1000), 0}, record.name = name;
    if (!log::encode_lustre(record, records.bytes)) std::abort();
    records.ends.push_back(records.bytes.size());
  }
  return records;
}

class Device final : public ChangelogDevice {
 public:
  explicit Device(Records& records) : records_(records), next_(records.cleared) {}
  Status set_flags(uint32_t) override { return ok(); }
  Status seek(uint64_t index) override {
    next_ = std::max<uint64_t>(next_, index - 1);
    return ok();
  }
  Result<Poll> poll(int) override {
    bool more = next_ < records_.ends.size();
    return Poll{more, false, !more};
  }
  Result<size_t> read(void* to, size_t size) override {
    size_t begin = next_ ? records_.ends[next_ - 1] : 0, end = begin;
    for (size_t n = 0; n < kAtOnce && next_ < records_.ends.size() && records_.ends[next_] - begin <= size; ++n)
      end = records_.ends[next_++];
    std::memcpy(to, records_.bytes.data() + begin, end - begin);
    return end - begin;
  }

 private:
  Records& records_;
  uint64_t next_;
};

class BenchMdt final : public Mdt {
 public:
  explicit BenchMdt(Records& records) : records_(records) {}
  const std::string& name() const override { return name_; }
  unsigned index() const override { return 0; }
  Result<std::unique_ptr<ChangelogDevice>> open_device() override {
    return std::unique_ptr<ChangelogDevice>(std::make_unique<Device>(records_));
  }
  Status clear(uint32_t, uint64_t index) override {
    records_.cleared = index;
    return ok();
  }
  Status check_user(const MdtUser&) override { return ok(); }
  Result<Fence> fence() override { return Fence::committed; }
  Fid fence_object() const override { return {}; }
  MdtView view() override { return {}; }

 private:
  Records& records_;
  const std::string name_ = "bench-MDT0000";
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: lustre_source DIR [RECORDS]\n"), 1;
  size_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 2'000'000;
  Records records = make(count);
  auto begin = std::chrono::steady_clock::now();
  Record record;
  for (size_t at = 0; at < records.bytes.size();) {
    Result<size_t> used = log::decode_lustre(records.bytes.data() + at, records.bytes.size() - at, record);
    if (!used) return 1;
    at += *used;
  }
  double decode = static_cast<double>(count) / seconds_since(begin);

  BenchMdt mdt(records);
  LustreOptions options;
  options.log_dir = std::string(argv[1]) + "/log";
  options.state_dir = std::string(argv[1]) + "/state";
  MdtUser user;
  user.id = 1;
  user.name = "bench";
  auto stream = MdtStream::open(mdt, user, options, Env::posix());
  if (!stream) return std::fprintf(stderr, "%s\n", stream.error().text().c_str()), 1;
  begin = std::chrono::steady_clock::now();
  while ((*stream)->served() < 1)
    if ((*stream)->step(1) == Step::ended) return std::fprintf(stderr, "it ended\n"), 1;
  double rate = static_cast<double>(count) / seconds_since(begin);
  std::printf("decoded only: %.2f M records/s\ndevice to log: %.2f M records/s, %.2f of it\n", decode / 1e6, rate / 1e6,
              rate / decode);
  return (*stream)->state().mdt_index == count ? 0 : 1;
}

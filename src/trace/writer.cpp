// SPDX-License-Identifier: Apache-2.0
//
// Writes a trace: strings are numbered, everything becomes a record of the stream "trace".
#include <string>
#include <unordered_map>

#include "log/block/format.h"
#include "log/log.h"
#include "reel/trace.h"
#include "trace/records.h"

namespace reel::trace {
namespace {

constexpr uint32_t kBlockBytes = 256u << 10;  // threads come in runs: larger blocks pack them better

class LogWriter : public Writer {
 public:
  explicit LogWriter(std::unique_ptr<log::Writer> log) : log_(std::move(log)) {}

  Status fact(std::string_view key, std::string_view value) override {
    std::string name = std::string(key) + "=" + std::string(value.substr(0, log::kMaxName - 256));
    return append(fact_record(name));
  }

  Result<StringId> string(StringKind kind, std::string_view bytes) override {
    bytes = bytes.substr(0, log::kMaxName);
    std::string key(1, static_cast<char>(kind));
    key += bytes;
    auto [at, is_new] = strings_.try_emplace(std::move(key), next_string_);
    if (!is_new) return at->second;
    Status done = append(string_record(next_string_, kind, bytes));
    if (!done) {
      strings_.erase(at);
      return std::move(done).error();
    }
    return next_string_++;
  }

  Status thread(const Thread& thread) override { return append(record_of(thread)); }
  Status file(const FileState& state) override { return append(record_of(state)); }
  Status loss(const Loss& loss) override { return append(record_of(loss)); }
  Status count(const Count& count) override {
    Record record = record_of(count);
    std::string sizes = sizes_text(count);
    record.name = sizes;
    return append(record);
  }
  Status event(const Event& event) override {
    ++events_;
    return append(record_of(event));
  }
  Status flush() override { return log_->flush(); }
  Status commit() override { return log_->commit(); }
  uint64_t events() const override { return events_; }
  uint64_t last_index() const override { return log_->last_index(); }

  void know_string(StringId id, StringKind kind, const std::string& bytes) {
    strings_.try_emplace(std::string(1, static_cast<char>(kind)) + bytes, id);
    if (id >= next_string_) next_string_ = id + 1;
  }

 private:
  // What has no time of its own takes that which it is told from, the end of the call before: it packs to a zero.
  Status append(Record record) {
    if (record.time == 0) record.time = last_time_;
    uint64_t lasted = record.call && record.io ? record.io->duration_ns : 0;
    last_time_ = lasted == 0 ? record.time : packed_time(nanoseconds_of(record.time) + lasted);
    TRY(log_->append(record));
    return ok();
  }

  std::unique_ptr<log::Writer> log_;
  std::unordered_map<std::string, StringId> strings_;  // kind and bytes -> number
  StringId next_string_ = 1;
  uint64_t last_time_ = 0, events_ = 0;
};

}  // namespace

bool is_trace(Env& env, const std::string& dir) {
  Result<std::vector<std::string>> streams = log::streams(env, dir);
  if (!streams) return false;
  for (const std::string& stream : *streams)
    if (stream == kStream) return true;
  return false;
}

Result<std::unique_ptr<Writer>> Writer::open(Env& env, const std::string& dir, const LogKey* key) {
  Result<std::vector<std::string>> streams = log::streams(env, dir);
  bool continued = is_trace(env, dir);
  if (streams && !streams->empty() && !continued)
    return Error(Code::invalid, dir + " is a changelog; record into a new directory");
  log::WriterOptions options;
  options.trace = true;
  options.block_bytes = kBlockBytes;
  if (key) options.key = *key;
  TRY_ASSIGN(std::unique_ptr<log::Writer> log, log::Writer::open(env, dir, kStream, options));
  auto writer = std::make_unique<LogWriter>(std::move(log));
  if (!continued) return std::unique_ptr<Writer>(std::move(writer));

  TRY_ASSIGN(std::unique_ptr<Reader> reader, Reader::open(env, dir, key));
  Item item;
  for (;;) {
    TRY_ASSIGN(bool more, reader->next(item));
    if (!more) break;
  }
  const Trace& before = reader->trace();
  for (StringId id = 1; id < before.strings.size(); ++id)
    writer->know_string(id, before.string_kinds[id], before.strings[id]);
  return std::unique_ptr<Writer>(std::move(writer));
}

}  // namespace reel::trace

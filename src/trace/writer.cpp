// SPDX-License-Identifier: Apache-2.0
//
// Writes a trace: strings are numbered, everything becomes a record of the stream "trace".
#include <map>
#include <string>

#include "base/text_hash.h"
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
    value = value.substr(0, log::kMaxName - 256);
    std::string name = std::string(key) + "=" + std::string(value);
    TRY(append(fact_record(name)));
    told_.facts.insert_or_assign(std::string(key), std::string(value));
    return ok();
  }

  Result<StringId> string(StringKind kind, std::string_view bytes) override {
    bytes = bytes.substr(0, log::kMaxName);
    TextMap<StringId>& known = strings_[kind];
    if (auto at = known.find(bytes); at != known.end()) return at->second;
    TRY(append(string_record(next_string_, kind, bytes)));
    known.emplace(bytes, next_string_);
    return next_string_++;
  }

  Status thread(const Thread& thread) override { return append(record_of(thread)); }
  Status file(const FileState& state) override { return append(record_of(state)); }
  Status loss(const Loss& loss) override {
    TRY(append(record_of(loss)));
    told_.losses.push_back(loss);
    return ok();
  }
  Status count(const Count& count) override {
    Record record = record_of(count);
    std::string sizes = sizes_text(count);
    record.name = sizes;
    TRY(append(record));
    told_.counts.push_back(count);
    return ok();
  }
  Status event(const Event& event) override {
    ++events_;
    return append(record_of(event));
  }
  Status flush() override { return log_->flush(); }
  Status commit() override { return log_->commit(); }
  uint64_t events() const override { return events_; }
  uint64_t last_index() const override { return log_->last_index(); }
  const Trace& told() const override { return told_; }

  // What the log has already, which is continued.
  Status know(Reader& reader) {
    Item item;
    for (;;) {
      TRY_ASSIGN(bool more, reader.next(item));
      if (!more) break;
      if (item.loss) told_.losses.push_back(*item.loss);
      if (item.count) told_.counts.push_back(*item.count);
    }
    const Trace& before = reader.trace();
    told_.facts = before.facts;
    for (StringId id = 1; id < before.strings.size(); ++id)
      strings_[before.string_kinds[id]].try_emplace(before.strings[id], id);
    next_string_ = static_cast<StringId>(before.strings.size());
    return ok();
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
  std::map<StringKind, TextMap<StringId>> strings_;
  StringId next_string_ = 1;
  uint64_t last_time_ = 0, events_ = 0;
  Trace told_;
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
  TRY(writer->know(*reader));
  return std::unique_ptr<Writer>(std::move(writer));
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Reads a trace: records become events and the rest, facts and strings are gathered on the way.
#include <algorithm>
#include <numeric>

#include "log/log.h"
#include "reel/trace.h"
#include "trace/records.h"

namespace reel::trace {
namespace {

constexpr StringId kMaxStrings = 1u << 28;  // a number above this is damage, not a string

class LogReader : public Reader {
 public:
  explicit LogReader(std::unique_ptr<log::Reader> log) : log_(std::move(log)) {}

  const Trace& trace() const override { return trace_; }

  Result<bool> next(Item& item) override {
    for (;;) {
      item = Item{};
      Record record;
      Result<bool> got = log_->next(record);
      if (got.is(Code::corrupt)) {
        trace_.damaged = true;
        loss_ = Loss{0, 0, 0, got.error().text()};
        item.loss = &loss_;
        return true;
      }
      if (!got || !*got) return got;
      if (take(record, item)) return true;
    }
  }

 private:
  // True when the record became an item; false when it was a fact, a string, or is not known.
  bool take(const Record& record, Item& item) {
    switch (record.type) {
      case RecordType::fact:
        take_fact(record.name);
        return false;
      case RecordType::string:
        take_string(record);
        return false;
      case RecordType::thread:
        thread_ = thread_of(record);
        item.thread = &thread_;
        return true;
      case RecordType::file:
        file_ = file_of(record);
        item.file = &file_;
        return true;
      case RecordType::loss:
        loss_ = loss_of(record);
        item.loss = &loss_;
        return true;
      case RecordType::count:
        count_ = count_of(record);
        item.count = &count_;
        return true;
      default:
        break;
    }
    std::optional<Event> event = event_of(record);
    if (!event) return false;
    event_ = *event;
    item.event = &event_;
    return true;
  }

  void take_fact(std::string_view name) {
    size_t equals = name.find('=');
    if (equals == std::string_view::npos) return;
    trace_.facts[std::string(name.substr(0, equals))] = name.substr(equals + 1);
  }

  void take_string(const Record& record) {
    uint64_t id = record.call ? record.call->path : 0;
    if (id == 0 || id > kMaxStrings) return;
    if (id >= trace_.strings.size()) {
      trace_.strings.resize(id + 1);
      trace_.string_kinds.resize(id + 1, StringKind::other);
    }
    trace_.strings[id] = record.name;
    trace_.string_kinds[id] = static_cast<StringKind>(record.call->arg);
  }

  std::unique_ptr<log::Reader> log_;
  Trace trace_;
  Event event_;
  Thread thread_;
  FileState file_;
  Loss loss_;
  Count count_;
};

}  // namespace

Result<std::unique_ptr<Reader>> Reader::open(Env& env, const std::string& dir, const LogKey* key) {
  if (!is_trace(env, dir))
    return Error(Code::not_found, dir + " holds no trace; `reel record -o " + dir + " -- CMD` makes one");
  TRY_ASSIGN(std::unique_ptr<log::Reader> log, log::Reader::open(env, dir, kStream, 1, key));
  return std::unique_ptr<Reader>(std::make_unique<LogReader>(std::move(log)));
}

Result<Trace> load(Env& env, const std::string& dir, const LogKey* key) {
  TRY_ASSIGN(std::unique_ptr<Reader> reader, Reader::open(env, dir, key));
  Trace all;
  Item item;
  for (;;) {
    TRY_ASSIGN(bool more, reader->next(item));
    if (!more) break;
    if (item.event) all.events.push_back(*item.event);
    if (item.file) all.files.push_back(*item.file);
    if (item.loss) all.losses.push_back(*item.loss);
    if (item.count) all.counts.push_back(*item.count);
    if (item.thread && item.thread->number > 0 && item.thread->number <= kMaxStrings) {
      if (item.thread->number > all.threads.size()) all.threads.resize(item.thread->number);
      all.threads[item.thread->number - 1] = *item.thread;
    }
  }
  const Trace& gathered = reader->trace();
  all.facts = gathered.facts;
  all.strings = gathered.strings;
  all.string_kinds = gathered.string_kinds;
  all.damaged = gathered.damaged;
  return all;
}

std::vector<std::string> Trace::incomplete() const {
  std::vector<std::string> reasons;
  auto blind = facts.find("blind");
  if (blind != facts.end() && !blind->second.empty()) reasons.push_back("the recorder does not see: " + blind->second);
  if (facts.count("counters") != 0) reasons.push_back("single calls are not there, they were counted (--counters)");
  if (auto sample = facts.find("sample"); sample != facts.end())
    reasons.push_back("of reads, writes, syncs and questions one in " + sample->second +
                      " is there for each thread, file and operation; the others were counted (--sample)");
  if (facts.find("end") == facts.end()) reasons.push_back("the recording was cut off");
  if (damaged) reasons.push_back("the log is damaged");
  for (const Loss& loss : losses) {
    std::string how_many = loss.events == 0 ? "an unknown number of" : std::to_string(loss.events);
    reasons.push_back(how_many + " calls are missing: " + loss.reason);
  }
  return reasons;
}

std::vector<uint32_t> Trace::by_entry() const {
  std::vector<uint32_t> order(events.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [this](uint32_t a, uint32_t b) { return events[a].enter_ns < events[b].enter_ns; });
  return order;
}

std::vector<std::vector<uint32_t>> Trace::by_thread() const {
  std::vector<std::vector<uint32_t>> lists(threads.size());
  for (uint32_t i = 0; i < events.size(); ++i) {
    uint32_t thread = events[i].thread;
    if (thread > 0 && thread <= lists.size()) lists[thread - 1].push_back(i);
  }
  return lists;
}

}  // namespace reel::trace

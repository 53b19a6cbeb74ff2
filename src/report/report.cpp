// SPDX-License-Identifier: Apache-2.0
//
// A trace in figures.
#include "report/report.h"

#include <algorithm>
#include <set>

#include "base/print.h"
#include "report/files.h"
#include "report/uses.h"
#include "trace/costs.h"

namespace reel::report {
namespace {

using trace::Count;
using trace::Event;
using trace::Op;

constexpr size_t kSlices = 20, kFilesWarned = 3;
constexpr uint64_t kSmall = 4096, kMany = 100, kMuch = 1u << 20;
constexpr const char* kNoName = "(no name: pipes, sockets, inherited)";

bool writes(Op op) {
  return trace::type_of(op) == RecordType::write;
}

uint64_t moved(const Event& event) {
  return trace::moves_data(event.op) && event.result > 0 ? static_cast<uint64_t>(event.result) : 0;
}

// What a thread runs at a time: its last exec, else its name.
class Programs {
 public:
  explicit Programs(const trace::Trace& trace) : trace_(trace), current_(trace.threads.size() + 1) {
    for (const trace::Thread& thread : trace.threads) current_[thread.number] = trace.string(thread.name);
  }
  void pass(const Event& event) {
    if (event.op != Op::exec || event.failed() || event.thread >= current_.size()) return;
    const std::string& path = trace_.string(event.path);
    current_[event.thread] = path.substr(path.rfind('/') + 1);
  }
  const std::string& of(uint32_t thread) const { return current_[thread < current_.size() ? thread : 0]; }

 private:
  const trace::Trace& trace_;
  std::vector<std::string> current_;
};

std::string name_of(Op op) {
  const char* name = trace::op_name(op);
  return name ? name : std::to_string(static_cast<int>(op));
}

class Maker {
 public:
  explicit Maker(const trace::Trace& trace) : trace_(trace), files_(trace), programs_(trace) {}

  Report run() {
    report_.facts = trace_.facts;
    report_.incomplete = trace_.incomplete();
    report_.threads = trace_.threads.size();
    for (const trace::Thread& thread : trace_.threads) {
      ProcessUse& process = processes_[thread.process];
      ++process.threads;
      if (process.pid == 0) process.pid = thread.pid;
    }
    measure_time();
    measure_recorder();
    for (uint32_t i : trace_.by_entry()) event(trace_.events[i]);
    for (const Count& counted : trace_.counts) count(counted);
    finish();
    return std::move(report_);
  }

 private:
  void measure_time() {
    uint64_t end = 0;
    for (const Event& event : trace_.events) {
      begin_ = std::min(begin_, event.enter_ns);
      end = std::max(end, event.exit_ns());
    }
    if (trace_.events.empty()) {  // of counters-only mode
      begin_ = number("start");
      end = number("end");
    }
    report_.elapsed_ns = end > begin_ ? end - begin_ : 0;
    if (!trace_.events.empty()) report_.slices.resize(kSlices);
  }

  // A gap is never less than what the recorder did in it, so its average cost counts only as far as the gap goes.
  void measure_recorder() {
    trace::Costs costs(trace_.facts);
    for (const auto& events : trace_.by_thread()) {
      const Event* last = nullptr;
      uint64_t cost = 0;
      for (uint32_t i : events) {
        const Event& event = trace_.events[i];
        if (event.op == Op::compute) continue;
        if (last && event.enter_ns > last->exit_ns())
          cost += std::min(event.enter_ns - last->exit_ns(), costs.between(last->op, event.op));
        last = &event;
      }
      report_.cost_ns += cost;
      report_.cost_of_one_ns = std::max(report_.cost_of_one_ns, cost);
    }
  }

  uint64_t number(const char* fact) const {
    auto at = trace_.facts.find(fact);
    return at == trace_.facts.end() ? 0 : std::strtoull(at->second.c_str(), nullptr, 10);
  }

  void event(const Event& event) {
    programs_.pass(event);
    if (event.op == Op::compute) {
      between(event);
      return;
    }
    Count one;
    one.calls = 1;
    one.failed = event.failed() ? 1 : 0;
    one.bytes = moved(event);
    one.time_ns = event.duration_ns;
    one.op = event.op;
    uint32_t process =
        event.thread > 0 && event.thread <= trace_.threads.size() ? trace_.threads[event.thread - 1].process : 0;
    add(one, process, programs_.of(event.thread));
    report_.operations[name_of(event.op)].durations.push_back(event.duration_ns);
    const std::string& file = files_.of(event);
    uses_.add(event, file.empty() ? kNoName : file, process);
    if (trace::type_of(event.op) == RecordType::copy) copied_to(event, process);
    if (one.bytes == 0) return;
    ++report_.sizes[trace::size_class(one.bytes)];
    if (one.bytes < kSmall) ++report_.small_calls;
    if (report_.elapsed_ns == 0) return;
    double at = static_cast<double>(event.enter_ns - begin_) / static_cast<double>(report_.elapsed_ns) * kSlices;
    Slice& slice = report_.slices[std::min(kSlices - 1, static_cast<size_t>(at))];
    (writes(event.op) ? slice.bytes_written : slice.bytes_read) += one.bytes;
  }

  void between(const Event& gap) {
    Between& sum = report_.between;
    uint64_t cpu = std::min(gap.arg, gap.duration_ns), off = gap.duration_ns - cpu;
    (gap.flags == trace::kGaveWay ? sum.spinning_ns : sum.computing_ns) += cpu;
    if (gap.mode != 1) {
      sum.off_ns += off;
      return;
    }
    uint64_t queued = std::min(gap.arg2, off);
    sum.queued_ns += queued;
    sum.blocked_ns += off - queued;
  }

  // The other side of a copy: a write, that took no time of its own.
  void copied_to(const Event& event, uint32_t process) {
    Event write = event;
    write.op = Op::pwrite;
    write.path = 0;
    write.fd = event.fd2;
    write.offset = event.arg2;
    write.duration_ns = 0;
    const std::string& file = files_.of(write);
    uses_.add(write, file.empty() ? kNoName : file, process);
  }

  void count(const Count& count) {
    report_.counted += count.calls;
    add(count, count.thread, trace_.string(count.program));
    report_.small_calls += count.small;
    for (const auto& [size, calls] : count.sizes) report_.sizes[size] += calls;
    uses_.add(count, count.path == 0 ? kNoName : trace_.string(count.path));
  }

  static void add_to(Totals& totals, const Count& count) {
    totals.calls += count.calls;
    totals.failed += count.failed;
    totals.bytes += count.bytes;
    totals.time_ns += count.time_ns;
  }

  void add(const Count& count, uint32_t number, const std::string& program) {
    report_.calls += count.calls;
    add_to(report_.operations[name_of(count.op)], count);
    add_to(report_.programs[program], count);
    ProcessUse& process = processes_[number];
    process.program = program;
    process.calls += count.calls;
    process.failed += count.failed;
    process.time_ns += count.time_ns;
    (writes(count.op) ? process.bytes_written : process.bytes_read) += count.bytes;
  }

  void finish() {
    for (auto& [name, totals] : report_.operations) std::sort(totals.durations.begin(), totals.durations.end());
    report_.files = uses_.sorted();
    for (auto& [number, process] : processes_) {
      process.number = number;
      report_.processes.push_back(process);
    }
    std::stable_sort(report_.processes.begin(), report_.processes.end(),
                     [](const ProcessUse& a, const ProcessUse& b) { return a.time_ns > b.time_ns; });
    warn();
  }

  void warn() {
    uint64_t data_calls = 0, sync_ns = 0, all_ns = 0;
    for (const auto& [size, calls] : report_.sizes) data_calls += calls;
    if (data_calls > kMany && report_.small_calls * 2 > data_calls)
      append_warning("%llu of %llu reads and writes are of less than 4 KiB", wide(report_.small_calls),
                     wide(data_calls));
    for (const auto& [name, totals] : report_.operations) {
      all_ns += totals.time_ns;
      if (trace::type_of(trace::op_of_name(name)) == RecordType::fsync) sync_ns += totals.time_ns;
    }
    if (sync_ns * 4 > all_ns && sync_ns > 1'000'000)
      append_warning("syncs took %llu of the %llu ms in calls", wide(sync_ns / 1'000'000), wide(all_ns / 1'000'000));
    warn_of_files([](const FileUse& use) { return use.small > kMany && use.small * 10 > (use.reads + use.writes) * 9; },
                  [this](const FileUse& use) {
                    append_warning("%llu reads and writes (%s) of less than 4 KiB: %s", wide(use.small), use.pattern(),
                                   use.name.c_str());
                  });
    warn_of_files([](const FileUse& use) { return use.reread >= kMuch; },
                  [this](const FileUse& use) {
                    append_warning("%llu bytes were read that had been written here: %s", wide(use.reread),
                                   use.name.c_str());
                  });
    warn_of_files(
        [](const FileUse& use) { return use.opens > kMany; },
        [this](const FileUse& use) { append_warning("opened %llu times: %s", wide(use.opens), use.name.c_str()); });
  }

  template <class Which, class Say>
  void warn_of_files(Which which, Say say) {
    size_t said = 0;
    for (const FileUse& use : report_.files) {
      if (use.name == kNoName || !which(use)) continue;
      if (++said > kFilesWarned) return;
      say(use);
    }
  }

  template <class... Values>
  void append_warning(const char* format, Values... values) {
    std::string text;
    append_format(text, format, values...);
    report_.warnings.push_back(std::move(text));
  }

  const trace::Trace& trace_;
  Files files_;
  Programs programs_;
  FileUses uses_;
  std::map<uint32_t, ProcessUse> processes_;
  uint64_t begin_ = ~0ull;
  Report report_;
};

}  // namespace

Report make_report(const trace::Trace& trace) {
  return Maker(trace).run();
}

}  // namespace reel::report

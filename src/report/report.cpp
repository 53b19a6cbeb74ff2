// SPDX-License-Identifier: Apache-2.0
//
// A trace in figures.
#include "report/report.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/print.h"
#include "log/text.h"
#include "report/files.h"

namespace reel::report {
namespace {

using trace::Event;
using trace::Op;

constexpr size_t kSlices = 20, kFilesShown = 20;
constexpr uint64_t kSmall = 4096;

double milliseconds(uint64_t ns) {
  return static_cast<double>(ns) / 1e6;
}

bool moves_data(const Event& event) {
  RecordType type = trace::type_of(event.op);
  return type == RecordType::read || type == RecordType::write || type == RecordType::copy;
}

bool writes(const Event& event) {
  return trace::type_of(event.op) == RecordType::write;
}

uint64_t moved(const Event& event) {
  return moves_data(event) && event.result > 0 ? static_cast<uint64_t>(event.result) : 0;
}

void add(Totals& totals, const Event& event) {
  ++totals.calls;
  if (event.failed()) ++totals.failed;
  totals.bytes += moved(event);
  totals.time_ns += event.duration_ns;
}

// Where the last data call of a descriptor ended, and which way it went.
struct Last {
  uint64_t end = 0, begin = 0, stride = 0;
  bool any = false;
};

class FileUses {
 public:
  void add(const Event& event, const std::string& name, uint32_t process) {
    FileUse& use = uses_[name];
    bool write = writes(event);
    ++(write ? use.writes : use.reads);
    (write ? use.bytes_written : use.bytes_read) += moved(event);
    use.time_ns += event.duration_ns;
    if (!write && use.bytes_written > 0) use.read_after_write = true;
    if ((event.flags & trace::kOffsetUnknown) != 0 || moved(event) == 0) return;
    Last& last = last_[{process, event.fd.number, event.fd.generation}];
    if (last.any) {
      uint64_t step = event.offset - last.begin;
      if (event.offset == last.end)
        ++use.sequential;
      else if (event.offset > last.begin && step == last.stride)
        ++use.strided;
      else
        ++use.random;
      last.stride = step;
    }
    last = {event.offset + moved(event), event.offset, last.stride, true};
  }

  std::vector<FileUse> sorted() {
    std::vector<FileUse> list;
    for (auto& [name, use] : uses_) {
      use.name = name;
      list.push_back(use);
    }
    std::sort(list.begin(), list.end(), [](const FileUse& a, const FileUse& b) {
      uint64_t left = a.bytes_read + a.bytes_written, right = b.bytes_read + b.bytes_written;
      return left != right ? left > right : a.name < b.name;
    });
    return list;
  }

 private:
  std::map<std::string, FileUse> uses_;
  std::map<std::tuple<uint32_t, int32_t, uint32_t>, Last> last_;
};

uint64_t quantile(const std::vector<uint64_t>& sorted, double part) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(part * static_cast<double>(sorted.size())))];
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

void append_totals(const char* title, const std::map<std::string, Totals>& all, bool latencies, std::string& out) {
  append_format(out, "\n%-20s %10s %8s %14s %12s", title, "calls", "failed", "bytes", "ms");
  out += latencies ? "     p50 us     p99 us\n" : "\n";
  for (const auto& [name, totals] : all) {
    append_format(out, "%-20.40s %10llu %8llu %14llu %12.3f", name.c_str(), wide(totals.calls), wide(totals.failed),
                  wide(totals.bytes), milliseconds(totals.time_ns));
    if (latencies)
      append_format(out, " %10.1f %10.1f", static_cast<double>(quantile(totals.durations, 0.5)) / 1e3,
                    static_cast<double>(quantile(totals.durations, 0.99)) / 1e3);
    out += '\n';
  }
}

void append_json_totals(const char* key, const std::map<std::string, Totals>& all, std::string& out) {
  append_format(out, ",\"%s\":{", key);
  bool first = true;
  for (const auto& [name, totals] : all) {
    if (!first) out += ',';
    first = false;
    log::append_json_string(name, out);
    append_format(out,
                  ":{\"calls\":%llu,\"failed\":%llu,\"bytes\":%llu,\"time_ns\":%llu,\"p50_ns\":%llu,\"p99_ns\":%llu}",
                  wide(totals.calls), wide(totals.failed), wide(totals.bytes), wide(totals.time_ns),
                  wide(quantile(totals.durations, 0.5)), wide(quantile(totals.durations, 0.99)));
  }
  out += '}';
}

}  // namespace

const char* FileUse::pattern() const {
  uint64_t all = sequential + strided + random;
  if (all == 0) return "-";
  if (sequential * 10 >= all * 9) return "sequential";
  if ((sequential + strided) * 10 >= all * 9) return "strided";
  return "random";
}

Report make_report(const trace::Trace& trace) {
  Report report;
  report.facts = trace.facts;
  report.incomplete = trace.incomplete();
  report.threads = trace.threads.size();
  std::set<uint32_t> processes;
  for (const trace::Thread& thread : trace.threads) processes.insert(thread.process);
  report.processes = processes.size();
  report.per_slice.assign(kSlices, 0);
  uint64_t begin = ~0ull, end = 0;
  for (const Event& event : trace.events) {
    begin = std::min(begin, event.enter_ns);
    end = std::max(end, event.exit_ns());
  }
  report.elapsed_ns = end > begin ? end - begin : 0;
  Files files(trace);
  FileUses uses;
  Programs programs(trace);
  for (uint32_t i : trace.by_entry()) {
    const Event& event = trace.events[i];
    programs.pass(event);
    if (event.op == Op::compute) continue;
    const char* name = trace::op_name(event.op);
    Totals& operation = report.operations[name ? name : std::to_string(static_cast<int>(event.op))];
    ++report.calls;
    add(operation, event);
    operation.durations.push_back(event.duration_ns);
    add(report.programs[programs.of(event.thread)], event);
    if (!moves_data(event)) continue;
    uint32_t process =
        event.thread > 0 && event.thread <= trace.threads.size() ? trace.threads[event.thread - 1].process : 0;
    const std::string& file = files.of(event);
    uses.add(event, file.empty() ? "(no name: pipes, sockets, inherited)" : file, process);
    uint64_t bytes = moved(event), size = 1;
    while (size < bytes) size *= 2;
    if (bytes > 0) ++report.sizes[size];
    if (bytes > 0 && bytes < kSmall) ++report.small_calls;
    if (report.elapsed_ns > 0)
      report.per_slice[std::min(kSlices - 1, static_cast<size_t>(static_cast<double>(event.enter_ns - begin) /
                                                                 static_cast<double>(report.elapsed_ns) * kSlices))] +=
          bytes;
  }
  for (auto& [name, totals] : report.operations) std::sort(totals.durations.begin(), totals.durations.end());
  report.files = uses.sorted();
  return report;
}

std::string text_of(const Report& report) {
  std::string out;
  for (const char* key : {"command", "recorder", "host", "kernel", "exit"}) {
    auto fact = report.facts.find(key);
    if (fact != report.facts.end()) out += std::string(key) + ": " + fact->second + "\n";
  }
  append_format(out, "%llu calls of %llu threads in %llu processes, %.3f s\n", wide(report.calls), wide(report.threads),
                wide(report.processes), static_cast<double>(report.elapsed_ns) / 1e9);
  for (const std::string& reason : report.incomplete) out += "incomplete: " + reason + "\n";
  append_totals("operation", report.operations, true, out);
  append_totals("program", report.programs, false, out);
  append_format(out, "\n%10s %14s %10s %14s  %-10s file\n", "reads", "bytes", "writes", "bytes", "pattern");
  for (size_t i = 0; i < report.files.size() && i < kFilesShown; ++i) {
    const FileUse& use = report.files[i];
    append_format(out, "%10llu %14llu %10llu %14llu  %-10s ", wide(use.reads), wide(use.bytes_read), wide(use.writes),
                  wide(use.bytes_written), use.pattern());
    out += use.name + (use.read_after_write ? "  (read after write)\n" : "\n");
  }
  if (report.files.size() > kFilesShown) append_format(out, "and %zu files more\n", report.files.size() - kFilesShown);
  out += "\nsizes of reads and writes, up to\n";
  for (const auto& [size, calls] : report.sizes) append_format(out, "%12llu %10llu\n", wide(size), wide(calls));
  uint64_t data_calls = 0;
  for (const auto& [size, calls] : report.sizes) data_calls += calls;
  if (data_calls > 100 && report.small_calls * 2 > data_calls)
    append_format(out, "warning: %llu of %llu reads and writes are of less than 4 KiB\n", wide(report.small_calls),
                  wide(data_calls));
  out += "\nbytes moved, in twenty slices of the time:";
  for (uint64_t bytes : report.per_slice) append_format(out, " %llu", wide(bytes));
  return out + "\n";
}

std::string json_of(const Report& report) {
  std::string out;
  append_format(out, "{\"calls\":%llu,\"threads\":%llu,\"processes\":%llu,\"elapsed_ns\":%llu,\"small_calls\":%llu",
                wide(report.calls), wide(report.threads), wide(report.processes), wide(report.elapsed_ns),
                wide(report.small_calls));
  append_json_totals("operations", report.operations, out);
  append_json_totals("programs", report.programs, out);
  out += ",\"files\":[";
  for (size_t i = 0; i < report.files.size(); ++i) {
    const FileUse& use = report.files[i];
    out += i > 0 ? ",{\"name\":" : "{\"name\":";
    log::append_json_string(use.name, out);
    append_format(out,
                  ",\"reads\":%llu,\"bytes_read\":%llu,\"writes\":%llu,\"bytes_written\":%llu,\"pattern\":\"%s\","
                  "\"read_after_write\":%s}",
                  wide(use.reads), wide(use.bytes_read), wide(use.writes), wide(use.bytes_written), use.pattern(),
                  use.read_after_write ? "true" : "false");
  }
  out += "],\"incomplete\":[";
  for (size_t i = 0; i < report.incomplete.size(); ++i) {
    if (i > 0) out += ',';
    log::append_json_string(report.incomplete[i], out);
  }
  return out + "]}\n";
}

}  // namespace reel::report

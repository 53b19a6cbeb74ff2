// SPDX-License-Identifier: Apache-2.0
//
// A report as text and as JSON.
#include <algorithm>

#include "base/print.h"
#include "log/text/text.h"
#include "report/report.h"

namespace reel::report {
namespace {

constexpr size_t kFilesShown = 20, kProcessesShown = 20;

double milliseconds(uint64_t ns) {
  return static_cast<double>(ns) / 1e6;
}

uint64_t quantile(const std::vector<uint64_t>& sorted, double part) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(part * static_cast<double>(sorted.size())))];
}

void append_between(const Between& between, std::string& out) {
  if (between.computing_ns == 0 && between.spinning_ns == 0) return;
  append_format(out, "between calls: computing %.3f ms", milliseconds(between.computing_ns));
  if (between.spinning_ns != 0) append_format(out, ", spinning %.3f", milliseconds(between.spinning_ns));
  append_format(out, ", ready without a processor %.3f, blocked %.3f", milliseconds(between.queued_ns),
                milliseconds(between.blocked_ns));
  if (between.off_ns != 0) append_format(out, ", one of these two %.3f", milliseconds(between.off_ns));
  out += "\n";
}

void append_totals(const char* title, const std::map<std::string, Totals>& all, bool latencies, std::string& out) {
  append_format(out, "\n%-20s %10s %8s %14s %12s", title, "calls", "failed", "bytes", "ms");
  out += latencies ? "     p50 us     p99 us\n" : "\n";
  for (const auto& [name, totals] : all) {
    append_format(out, "%-20.40s %10llu %8llu %14llu %12.3f", name.c_str(), wide(totals.calls), wide(totals.failed),
                  wide(totals.bytes), milliseconds(totals.time_ns));
    if (latencies && totals.durations.empty())
      append_format(out, " %10s %10s", "-", "-");
    else if (latencies)
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

void append_processes(const Report& report, std::string& out) {
  append_format(out, "\n%-9s %8s %8s %10s %8s %14s %14s %12s  program\n", "process", "pid", "threads", "calls",
                "failed", "bytes read", "bytes written", "ms");
  for (size_t i = 0; i < report.processes.size() && i < kProcessesShown; ++i) {
    const ProcessUse& use = report.processes[i];
    append_format(out, "%-9u %8d %8llu %10llu %8llu %14llu %14llu %12.3f  ", use.number, use.pid, wide(use.threads),
                  wide(use.calls), wide(use.failed), wide(use.bytes_read), wide(use.bytes_written),
                  milliseconds(use.time_ns));
    out += use.program + "\n";
  }
  if (report.processes.size() > kProcessesShown)
    append_format(out, "and %zu processes more\n", report.processes.size() - kProcessesShown);
}

void append_files(const Report& report, std::string& out) {
  append_format(out, "\n%10s %14s %10s %14s %7s %14s  %-10s file\n", "reads", "bytes", "writes", "bytes", "syncs",
                "read again", "pattern");
  for (size_t i = 0; i < report.files.size() && i < kFilesShown; ++i) {
    const FileUse& use = report.files[i];
    append_format(out, "%10llu %14llu %10llu %14llu %7llu %14llu  %-10s ", wide(use.reads), wide(use.bytes_read),
                  wide(use.writes), wide(use.bytes_written), wide(use.syncs), wide(use.reread), use.pattern());
    out += use.name + "\n";
  }
  if (report.files.size() > kFilesShown) append_format(out, "and %zu files more\n", report.files.size() - kFilesShown);
}

void append_slices(const Report& report, std::string& out) {
  if (report.slices.empty() || report.elapsed_ns == 0) return;
  double seconds = static_cast<double>(report.elapsed_ns) / 1e9 / static_cast<double>(report.slices.size());
  append_format(out, "\nMiB/s in %zu slices of %.6f s\nread    ", report.slices.size(), seconds);
  for (const Slice& slice : report.slices)
    append_format(out, " %.1f", static_cast<double>(slice.bytes_read) / seconds / 1048576);
  out += "\nwritten ";
  for (const Slice& slice : report.slices)
    append_format(out, " %.1f", static_cast<double>(slice.bytes_written) / seconds / 1048576);
  out += "\n";
}

void append_json_processes(const Report& report, std::string& out) {
  out += ",\"processes\":[";
  for (const ProcessUse& use : report.processes) {
    append_format(out, "%s{\"process\":%u,\"pid\":%d,\"program\":", out.ends_with('[') ? "" : ",", use.number, use.pid);
    log::append_json_string(use.program, out);
    append_format(out,
                  ",\"threads\":%llu,\"calls\":%llu,\"failed\":%llu,\"bytes_read\":%llu,\"bytes_written\":%llu,"
                  "\"time_ns\":%llu}",
                  wide(use.threads), wide(use.calls), wide(use.failed), wide(use.bytes_read), wide(use.bytes_written),
                  wide(use.time_ns));
  }
  out += "]";
}

void append_json_files(const Report& report, std::string& out) {
  out += ",\"files\":[";
  for (const FileUse& use : report.files) {
    out += out.ends_with('[') ? "{\"name\":" : ",{\"name\":";
    log::append_json_string(use.name, out);
    append_format(out,
                  ",\"opens\":%llu,\"reads\":%llu,\"bytes_read\":%llu,\"writes\":%llu,\"bytes_written\":%llu,"
                  "\"syncs\":%llu,\"small\":%llu,\"time_ns\":%llu,\"pattern\":\"%s\",\"sequential\":%llu,"
                  "\"strided\":%llu,\"random\":%llu,\"read_after_write\":%llu}",
                  wide(use.opens), wide(use.reads), wide(use.bytes_read), wide(use.writes), wide(use.bytes_written),
                  wide(use.syncs), wide(use.small), wide(use.time_ns), use.pattern(), wide(use.sequential),
                  wide(use.strided), wide(use.random), wide(use.reread));
  }
  out += "]";
}

void append_json_list(const char* key, const std::vector<std::string>& list, std::string& out) {
  append_format(out, ",\"%s\":[", key);
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out += ',';
    log::append_json_string(list[i], out);
  }
  out += "]";
}

// What a sample leaves exact, and what not.
void append_scale(const Report& report, std::string& out) {
  auto sample = report.facts.find("sample");
  if (sample != report.facts.end())
    out += "sample: one in " + sample->second +
           " is there, the rest was counted: calls, bytes, times and sizes are of all; " +
           "quantiles, patterns, what was read again and slices are of the sample\n";
  if (report.counted != 0) append_format(out, "%llu of the calls were only counted\n", wide(report.counted));
}

}  // namespace

std::string text_of(const Report& report) {
  std::string out;
  for (const char* key : {"command", "recorder", "host", "kernel", "filter", "policy", "exit"}) {
    auto fact = report.facts.find(key);
    if (fact != report.facts.end()) out += std::string(key) + ": " + fact->second + "\n";
  }
  append_format(out, "%llu calls of %llu threads in %zu processes, %.3f s\n", wide(report.calls), wide(report.threads),
                report.processes.size(), static_cast<double>(report.elapsed_ns) / 1e9);
  if (report.cost_ns != 0 && report.elapsed_ns != 0)
    append_format(
        out,
        "the recorder itself: about %.3f ms between the calls, at most %.3f ms of one thread (%.1f%% of the time)\n",
        milliseconds(report.cost_ns), milliseconds(report.cost_of_one_ns),
        static_cast<double>(report.cost_of_one_ns) * 100 / static_cast<double>(report.elapsed_ns));
  append_between(report.between, out);
  append_scale(report, out);
  for (const std::string& reason : report.incomplete) out += "incomplete: " + reason + "\n";
  for (const std::string& warning : report.warnings) out += "warning: " + warning + "\n";
  append_totals("operation", report.operations, true, out);
  append_totals("program", report.programs, false, out);
  append_processes(report, out);
  append_files(report, out);
  out += "\nsizes of reads and writes, up to\n";
  for (const auto& [size, calls] : report.sizes) append_format(out, "%12llu %10llu\n", wide(size), wide(calls));
  append_slices(report, out);
  return out;
}

std::string json_of(const Report& report) {
  std::string out;
  append_format(out,
                "{\"calls\":%llu,\"counted\":%llu,\"threads\":%llu,\"elapsed_ns\":%llu,\"small_calls\":%llu,"
                "\"recorder_ns\":%llu,\"recorder_of_one_thread_ns\":%llu",
                wide(report.calls), wide(report.counted), wide(report.threads), wide(report.elapsed_ns),
                wide(report.small_calls), wide(report.cost_ns), wide(report.cost_of_one_ns));
  append_format(out,
                ",\"between_calls\":{\"computing_ns\":%llu,\"spinning_ns\":%llu,\"queued_ns\":%llu,\"blocked_ns\":%llu,"
                "\"off_ns\":%llu}",
                wide(report.between.computing_ns), wide(report.between.spinning_ns), wide(report.between.queued_ns),
                wide(report.between.blocked_ns), wide(report.between.off_ns));
  auto sample = report.facts.find("sample");
  if (sample != report.facts.end()) append_format(out, ",\"sample\":%s", sample->second.c_str());
  append_json_totals("operations", report.operations, out);
  append_json_totals("programs", report.programs, out);
  append_json_processes(report, out);
  append_json_files(report, out);
  out += ",\"sizes\":{";
  for (const auto& [size, calls] : report.sizes)
    append_format(out, "%s\"%llu\":%llu", out.ends_with('{') ? "" : ",", wide(size), wide(calls));
  out += "},\"slices\":[";
  for (const Slice& slice : report.slices)
    append_format(out, "%s{\"bytes_read\":%llu,\"bytes_written\":%llu}", out.ends_with('[') ? "" : ",",
                  wide(slice.bytes_read), wide(slice.bytes_written));
  out += "]";
  append_json_list("warnings", report.warnings, out);
  append_json_list("incomplete", report.incomplete, out);
  return out + "}\n";
}

}  // namespace reel::report

// SPDX-License-Identifier: Apache-2.0
//
// The report of a replay, for people and as JSON.
#include <string.h>

#include <algorithm>

#include "base/print.h"
#include "log/text/text.h"
#include "replay/fidelity.h"

namespace reel::replay {
namespace {

constexpr size_t kThreadsShown = 20;

double seconds(uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}
double micros(uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

double percent(uint64_t replay, uint64_t original) {
  if (original == 0) return 0;
  return (static_cast<double>(replay) / static_cast<double>(original) - 1) * 100;
}

std::string result_text(int64_t result) {
  if (result >= 0 || result < -4095) return std::to_string(result);
  const char* name = ::strerrorname_np(static_cast<int>(-result));
  return name ? name : std::to_string(result);
}

void append_latency(const char* key, const Latency& latency, std::string& out) {
  append_format(out, ",\"%s\":{\"p50_ns\":%llu,\"p90_ns\":%llu,\"p99_ns\":%llu,\"max_ns\":%llu,\"total_ns\":%llu}", key,
                wide(latency.p50), wide(latency.p90), wide(latency.p99), wide(latency.most), wide(latency.total));
}

void append_slices(const char* key, const std::array<double, kConcurrencySlices>& slices, std::string& out) {
  append_format(out, ",\"%s\":[", key);
  for (size_t i = 0; i < slices.size(); ++i) append_format(out, i > 0 ? ",%.3f" : "%.3f", slices[i]);
  out += ']';
}

void append_strings(const char* key, const std::vector<std::string>& list, std::string& out) {
  append_format(out, ",\"%s\":[", key);
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out += ',';
    log::append_json_string(list[i], out);
  }
  out += ']';
}

void append_operations(const Fidelity& fidelity, std::string& out) {
  append_format(out, "\n%-12s %9s %9s %14s | %10s %10s | %10s %10s\n", "operation", "calls", "different", "bytes",
                "p50 us was", "is", "p99 us was", "is");
  for (const auto& [name, operation] : fidelity.operations)
    append_format(out, "%-12s %9llu %9llu %14llu | %10.1f %10.1f | %10.1f %10.1f\n", name.c_str(),
                  wide(operation.calls), wide(operation.different), wide(operation.replay_bytes),
                  micros(operation.original.p50), micros(operation.replay.p50), micros(operation.original.p99),
                  micros(operation.replay.p99));
}

void append_threads(const Fidelity& fidelity, std::string& out) {
  std::vector<const ThreadFidelity*> order;
  for (const ThreadFidelity& thread : fidelity.threads) order.push_back(&thread);
  std::stable_sort(order.begin(), order.end(),
                   [](const ThreadFidelity* a, const ThreadFidelity* b) { return a->original_ns > b->original_ns; });
  append_format(out, "\n%-8s %-20s %9s %12s %12s %9s\n", "thread", "program", "calls", "was s", "is s", "error %");
  for (size_t i = 0; i < order.size() && i < kThreadsShown; ++i)
    append_format(out, "%-8u %-20.20s %9llu %12.6f %12.6f %+9.1f\n", order[i]->number, order[i]->name.c_str(),
                  wide(order[i]->calls), seconds(order[i]->original_ns), seconds(order[i]->replay_ns),
                  percent(order[i]->replay_ns, order[i]->original_ns));
  if (order.size() > kThreadsShown) append_format(out, "and %zu threads more\n", order.size() - kThreadsShown);
}

}  // namespace

std::string text_of(const Fidelity& fidelity) {
  std::string out;
  append_format(out, "elapsed     was %.6f s, is %.6f s: %+.1f %%\n", seconds(fidelity.original_ns),
                seconds(fidelity.replay_ns), fidelity.error() * 100);
  append_format(out, "calls       %llu, of which %llu were made again; %llu results differ\n", wide(fidelity.calls),
                wide(fidelity.played), wide(fidelity.different));
  append_format(out, "bytes       %llu read, %llu written (recorded: %llu, %llu)\n", wide(fidelity.bytes_read),
                wide(fidelity.bytes_written), wide(fidelity.original_read), wide(fidelity.original_written));
  if (fidelity.stopped) append_format(out, "stopped     after %llu calls\n", wide(fidelity.reached));
  if (!fidelity.stalled.empty()) out += "stalled     " + fidelity.stalled + "\n";
  for (size_t i = 1; i < kSkips; ++i)
    if (fidelity.skipped[i] != 0)
      append_format(out, "not made    %llu: %s\n", wide(fidelity.skipped[i]), skip_text(static_cast<Skip>(i)));
  if (fidelity.early != 0)
    append_format(out, "not made    %llu: polls for what was there already\n", wide(fidelity.early));
  if (!fidelity.retrace.empty()) out += "retrace     " + fidelity.retrace + "\n";
  for (const std::string& reason : fidelity.incomplete) out += "incomplete  " + reason + "\n";
  for (const std::string& doubt : fidelity.doubts) out += "doubt       " + doubt + "\n";
  for (const std::string& trouble : fidelity.troubles) out += "trouble     " + trouble + "\n";
  if (!fidelity.differences.empty()) out += "\n";
  for (const Difference& difference : fidelity.differences)
    out += "differs     record " + std::to_string(difference.record) + ", thread " + std::to_string(difference.thread) +
           ": " + difference.call + ": " + result_text(difference.recorded) + " was, " +
           result_text(difference.replayed) + " is\n";
  if (fidelity.different > fidelity.differences.size() && !fidelity.differences.empty())
    append_format(out, "and %llu differences more\n", wide(fidelity.different - fidelity.differences.size()));
  append_operations(fidelity, out);
  append_threads(fidelity, out);
  out += "\ncalls under way, in twenty slices of the time\nwas";
  for (double value : fidelity.original_concurrency) append_format(out, " %.2f", value);
  out += "\nis ";
  for (double value : fidelity.replay_concurrency) append_format(out, " %.2f", value);
  return out + "\n";
}

std::string json_of(const Fidelity& fidelity) {
  std::string out;
  append_format(out,
                "{\"original_ns\":%llu,\"replay_ns\":%llu,\"error\":%.6f,\"calls\":%llu,\"reached\":%llu,"
                "\"played\":%llu,\"different\":%llu",
                wide(fidelity.original_ns), wide(fidelity.replay_ns), fidelity.error(), wide(fidelity.calls),
                wide(fidelity.reached), wide(fidelity.played), wide(fidelity.different));
  append_format(out,
                ",\"bytes_read\":%llu,\"bytes_written\":%llu,\"original_read\":%llu,\"original_written\":%"
                "llu,\"stopped\":%s,\"stalled\":",
                wide(fidelity.bytes_read), wide(fidelity.bytes_written), wide(fidelity.original_read),
                wide(fidelity.original_written), fidelity.stopped ? "true" : "false");
  log::append_json_string(fidelity.stalled, out);
  out += ",\"retrace\":";
  log::append_json_string(fidelity.retrace, out);
  static const char* const kNames[kSkips] = {"none",    "process", "waiting", "message", "context", "outside",
                                             "machine", "socket",  "timing",  "refused", "nowhere", "unsupported"};
  out += ",\"skipped\":{";
  for (size_t i = 1; i < kSkips; ++i)
    append_format(out, i > 1 ? ",\"%s\":%llu" : "\"%s\":%llu", kNames[i], wide(fidelity.skipped[i]));
  append_format(out, "},\"early\":%llu", wide(fidelity.early));
  out += ",\"operations\":{";
  bool first = true;
  for (const auto& [name, operation] : fidelity.operations) {
    append_format(out, "%s\"%s\":{\"calls\":%llu,\"different\":%llu,\"bytes\":%llu,\"original_bytes\":%llu",
                  first ? "" : ",", name.c_str(), wide(operation.calls), wide(operation.different),
                  wide(operation.replay_bytes), wide(operation.bytes));
    append_latency("original", operation.original, out);
    append_latency("replay", operation.replay, out);
    out += '}';
    first = false;
  }
  out += "},\"threads\":[";
  first = true;
  for (const ThreadFidelity& thread : fidelity.threads) {
    append_format(out, "%s{\"number\":%u,\"name\":", first ? "" : ",", thread.number);
    log::append_json_string(thread.name, out);
    append_format(out, ",\"calls\":%llu,\"original_ns\":%llu,\"replay_ns\":%llu}", wide(thread.calls),
                  wide(thread.original_ns), wide(thread.replay_ns));
    first = false;
  }
  out += "],\"differences\":[";
  first = true;
  for (const Difference& difference : fidelity.differences) {
    append_format(out, "%s{\"record\":%llu,\"thread\":%u,\"call\":", first ? "" : ",", wide(difference.record),
                  difference.thread);
    log::append_json_string(difference.call, out);
    append_format(out, ",\"recorded\":%lld,\"replayed\":%lld}", static_cast<long long>(difference.recorded),
                  static_cast<long long>(difference.replayed));
    first = false;
  }
  out += "]";
  append_slices("original_concurrency", fidelity.original_concurrency, out);
  append_slices("replay_concurrency", fidelity.replay_concurrency, out);
  append_strings("incomplete", fidelity.incomplete, out);
  append_strings("doubts", fidelity.doubts, out);
  append_strings("troubles", fidelity.troubles, out);
  return out + "}\n";
}

}  // namespace reel::replay

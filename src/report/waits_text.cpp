// SPDX-License-Identifier: Apache-2.0
//
// Who waited for whom, as text and as JSON.
#include <algorithm>
#include <array>
#include <tuple>

#include "base/print.h"
#include "log/text/text.h"
#include "report/waits.h"

namespace reel::report {
namespace {

using trace::Event;
using trace::Trace;

constexpr size_t kPairsShown = 30, kCallsShown = 10;

double seconds(uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

double percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

const char* name_of(const Event& event) {
  const char* name = trace::op_name(event.op);
  return name ? name : "?";
}

// By process: "rank 3", or "process 17".
std::map<uint32_t, std::string> names_of_processes(const Trace& trace) {
  std::map<uint32_t, std::string> names;
  for (const trace::Thread& thread : trace.threads) names[thread.process] = "process " + std::to_string(thread.process);
  for (const Event& event : trace.events)
    if (event.op == trace::Op::mpi_init && event.thread != 0 && event.thread <= trace.threads.size())
      names[trace.threads[event.thread - 1].process] = "rank " + std::to_string(event.flags);
  return names;
}

void append_pairs(const Trace& trace, const Waits& waits, std::string& out) {
  std::map<uint32_t, std::string> names = names_of_processes(trace);
  auto process_of = [&](uint32_t event) { return trace.threads[trace.events[event].thread - 1].process; };
  std::map<std::tuple<uint32_t, uint32_t, replay::Why>, uint64_t> sums;
  for (const Dependency& one : waits.dependencies) ++sums[{process_of(one.to), process_of(one.from), one.why}];
  std::vector<std::pair<uint64_t, std::tuple<uint32_t, uint32_t, replay::Why>>> order;
  for (const auto& [who, times] : sums) order.emplace_back(times, who);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  append_format(out, "\n%-16s %-16s %-12s %9s\n", "who waited", "for whom", "for a", "times");
  for (size_t i = 0; i < order.size() && i < kPairsShown; ++i) {
    const auto& [to, from, why] = order[i].second;
    append_format(out, "%-16s %-16s %-12s %9llu\n", names[to].c_str(), names[from].c_str(), why_text(why),
                  wide(order[i].first));
  }
  if (order.size() > kPairsShown) append_format(out, "and %zu pairs more\n", order.size() - kPairsShown);
}

void append_path(const Trace& trace, const Waits& waits, std::string& out) {
  std::array<uint64_t, kSpents> sums{};
  std::map<std::pair<std::string, Spent>, uint64_t> calls;
  uint64_t whole = 0;
  for (const Segment& segment : waits.path) {
    uint64_t ns = segment.end_ns - segment.begin_ns;
    whole += ns;
    sums[static_cast<size_t>(segment.spent)] += ns;
    if (segment.spent != Spent::computing) calls[{name_of(trace.events[segment.event]), segment.spent}] += ns;
  }
  append_format(out, "\nthe longest path: %zu parts, %.6f s\n", waits.path.size(), seconds(whole));
  for (size_t i = 0; i < kSpents; ++i)
    append_format(out, "%-12s %12.6f s %6.1f %%\n", spent_text(static_cast<Spent>(i)), seconds(sums[i]),
                  percent(sums[i], whole));
  std::vector<std::pair<uint64_t, std::pair<std::string, Spent>>> order;
  for (const auto& [what, ns] : calls) order.emplace_back(ns, what);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (size_t i = 0; i < order.size() && i < kCallsShown; ++i)
    append_format(out, "  %-16s %-10s %10.6f s %6.1f %%\n", order[i].second.first.c_str(),
                  spent_text(order[i].second.second), seconds(order[i].first), percent(order[i].first, whole));
}

}  // namespace

const char* spent_text(Spent spent) {
  static const char* const kTexts[kSpents] = {"storage", "computing", "passing"};
  return kTexts[static_cast<size_t>(spent)];
}

std::string text_of(const Trace& trace, const Waits& waits) {
  std::string out;
  append_format(out, "elapsed      %.6f s\n", seconds(waits.elapsed_ns));
  append_format(out, "waits        %zu dependencies between threads, %zu meetings\n", waits.dependencies.size(),
                waits.meetings);
  for (const std::string& doubt : waits.doubts) out += "doubt        " + doubt + "\n";
  append_pairs(trace, waits, out);
  append_path(trace, waits, out);
  out += "\nif calls on files were so many times faster, it would take (1: how near this is)\n";
  for (const auto& [faster, ns] : waits.what_if)
    append_format(out, "%8g x %12.6f s %+7.1f %%\n", faster, seconds(ns), percent(ns, waits.elapsed_ns) - 100);
  return out;
}

std::string json_of(const Trace& trace, const Waits& waits) {
  std::string out;
  append_format(out, "{\"elapsed_ns\":%llu,\"meetings\":%zu,\"dependencies\":[", wide(waits.elapsed_ns),
                waits.meetings);
  bool first = true;
  for (const Dependency& one : waits.dependencies) {
    const Event &from = trace.events[one.from], &to = trace.events[one.to];
    append_format(out,
                  "%s{\"from\":{\"thread\":%u,\"record\":%llu,\"op\":\"%s\"},\"to\":{\"thread\":%u,\"record\":%llu,"
                  "\"op\":\"%s\"},\"begun\":%s,\"why\":\"%s\"}",
                  first ? "" : ",", from.thread, wide(from.index), name_of(from), to.thread, wide(to.index),
                  name_of(to), one.begun ? "true" : "false", why_text(one.why));
    first = false;
  }
  out += "],\"path\":[";
  first = true;
  for (const Segment& segment : waits.path) {
    const Event& event = trace.events[segment.event];
    append_format(out, "%s{\"thread\":%u,\"record\":%llu,\"op\":\"%s\",\"spent\":\"%s\",\"ns\":%llu}", first ? "" : ",",
                  event.thread, wide(event.index), name_of(event), spent_text(segment.spent),
                  wide(segment.end_ns - segment.begin_ns));
    first = false;
  }
  out += "],\"what_if\":[";
  first = true;
  for (const auto& [faster, ns] : waits.what_if) {
    append_format(out, "%s{\"faster\":%g,\"ns\":%llu}", first ? "" : ",", faster, wide(ns));
    first = false;
  }
  out += "],\"doubts\":[";
  first = true;
  for (const std::string& doubt : waits.doubts) {
    if (!first) out += ',';
    first = false;
    log::append_json_string(doubt, out);
  }
  return out + "]}\n";
}

}  // namespace reel::report

// SPDX-License-Identifier: Apache-2.0
//
// A replay as a trace.
#include "replay/retrace.h"

#include <time.h>

#include <algorithm>
#include <vector>

#include "replay/play/caller.h"
#include "trace/ops.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;

}  // namespace

Status write_retrace(Env& env, const std::string& dir, const LogKey* key, const trace::Trace& trace, const Plan& plan,
                     const Played& played) {
  if (trace::is_trace(env, dir)) return Error(Code::exists, "retrace: there is a trace in " + dir + " already");
  TRY_ASSIGN(std::unique_ptr<trace::Writer> writer, trace::Writer::open(env, dir, key));
  uint64_t ahead = env.realtime_ns() - env.monotonic_ns();
  for (const auto& [name, value] : trace.facts) {
    bool times = name == "start" || name == "end" || name.starts_with("clock.") || name == "recorder";
    if (!times) TRY(writer->fact(name, value));
  }
  TRY(writer->fact("recorder", "replay"));
  TRY(writer->fact("start", std::to_string(played.begin_ns + ahead)));
  // The same strings in the same order have the same numbers.
  for (size_t i = 1; i < trace.strings.size(); ++i) TRY(writer->string(trace.string_kinds[i], trace.strings[i]));
  for (const trace::Thread& thread : trace.threads) {
    trace::Thread made = thread;
    const std::vector<Sample>& samples = played.threads[thread.number - 1];
    if (!samples.empty()) made.start_ns = samples.front().enter_ns + ahead;
    TRY(writer->thread(made));
  }
  for (const trace::FileState& state : trace.files) TRY(writer->file(state));
  for (size_t i = 0; i < plan.threads.size(); ++i) {
    uint64_t arrived = 0;  // of a call that is two steps
    for (size_t k = 0; k < plan.threads[i].size(); ++k) {
      const Sample& sample = played.threads[i][k];
      if (sample.exit_ns == 0) break;
      Event event = trace.events[plan.threads[i][k].event];
      bool whole = event.op == Op::mpi_arrive || trace::gives_way(event.op);
      bool begins = plan.threads[i][k].arrival && !whole;
      uint64_t enter = arrived != 0 ? arrived : sample.enter_ns;
      arrived = begins ? enter : 0;
      if (begins) continue;
      event.enter_ns = enter + ahead;
      event.duration_ns = sample.exit_ns - enter;
      // Numbers of descriptors and addresses stay the recorded ones: the names of things in the
      // trace.
      if (!same_result(trace, event, sample.result)) event.result = sample.result;
      TRY(writer->event(event));
    }
  }
  for (const trace::Loss& loss : trace.losses) TRY(writer->loss(loss));
  if (!played.stopped && played.stalled.empty()) TRY(writer->fact("end", std::to_string(played.end_ns + ahead)));
  return writer->commit();
}

RetraceDifferences compare_traces(const trace::Trace& original, const trace::Trace& retrace) {
  RetraceDifferences out;
  auto calls_of = [](const trace::Trace& trace) {
    std::vector<std::vector<uint32_t>> threads = trace.by_thread();
    for (auto& list : threads)
      std::erase_if(
          list, [&](uint32_t i) { return trace.events[i].op == Op::compute || trace.events[i].op == Op::mpi_done; });
    return threads;
  };
  auto left = calls_of(original), right = calls_of(retrace);
  right.resize(std::max(left.size(), right.size()));
  for (size_t i = 0; i < left.size(); ++i) {
    for (size_t k = 0; k < left[i].size(); ++k) {
      ++out.calls;
      const Event& was = original.events[left[i][k]];
      bool missing = k >= right[i].size();
      bool same = !missing && retrace.events[right[i][k]].op == was.op &&
                  retrace.events[right[i][k]].path == was.path &&
                  same_result(original, was, retrace.events[right[i][k]].result);
      if (same) continue;
      ++(missing ? out.missing : out.different);
      if (out.first.empty())
        out.first = "thread " + std::to_string(i + 1) + ", record " + std::to_string(was.index) +
                    (missing ? ": missing" : ": another call or result");
    }
  }
  return out;
}

std::string text_of(const RetraceDifferences& differences) {
  std::string text = std::to_string(differences.calls) + " calls compared, " + std::to_string(differences.different) +
                     " different, " + std::to_string(differences.missing) + " missing";
  return differences.first.empty() ? text : text + "; first: " + differences.first;
}

}  // namespace reel::replay

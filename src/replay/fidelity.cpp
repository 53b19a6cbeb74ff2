// SPDX-License-Identifier: Apache-2.0
//
// Comparing a replay with its recording.
#include "replay/fidelity.h"

#include <algorithm>

#include "replay/play/caller.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;

Latency latency_of(std::vector<uint64_t>& durations) {
  Latency latency;
  if (durations.empty()) return latency;
  std::sort(durations.begin(), durations.end());
  auto at = [&](double part) {
    return durations[std::min(durations.size() - 1, static_cast<size_t>(part * static_cast<double>(durations.size())))];
  };
  latency.p50 = at(0.5);
  latency.p90 = at(0.9);
  latency.p99 = at(0.99);
  latency.most = durations.back();
  for (uint64_t duration : durations) latency.total += duration;
  return latency;
}

// Adds a call's time to the slices that it was under way in.
void add_span(std::array<double, kConcurrencySlices>& slices, uint64_t begin, uint64_t end, uint64_t length) {
  if (length == 0 || end <= begin) return;
  double slice = static_cast<double>(length) / kConcurrencySlices;
  for (size_t i = static_cast<size_t>(static_cast<double>(begin) / slice); i < kConcurrencySlices; ++i) {
    double from = std::max(static_cast<double>(begin), static_cast<double>(i) * slice);
    double to = std::min(static_cast<double>(end), static_cast<double>(i + 1) * slice);
    if (to <= from) return;
    slices[i] += (to - from) / slice;
  }
}

std::string call_text(const trace::Trace& trace, const Event& event) {
  const char* name = trace::op_name(event.op);
  std::string text = name ? name : std::to_string(static_cast<int>(event.op));
  if (event.path != 0)
    text += " " + trace.string(event.path);
  else if (event.fd.number >= 0)
    text += " fd " + std::to_string(event.fd.number) + "." + std::to_string(event.fd.generation);
  if (event.op == Op::rename || event.op == Op::link) text += " " + trace.string(event.path2);
  RecordType type = trace::type_of(event.op);
  if (type == RecordType::read || type == RecordType::write)
    text.append(" ").append(std::to_string(event.offset)).append("+").append(std::to_string(event.length));
  return text;
}

std::string thread_name(const trace::Trace& trace, const trace::Thread& thread, const std::vector<Step>& steps) {
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const Event& event = trace.events[step->event];
    if (event.op != Op::exec || event.failed()) continue;
    const std::string& path = trace.string(event.path);
    return path.substr(path.rfind('/') + 1);
  }
  return trace.string(thread.name);
}

// How many bytes a call moved: read, written.
std::pair<uint64_t, uint64_t> bytes_of(const Event& event, int64_t result) {
  if (result <= 0) return {0, 0};
  auto moved = static_cast<uint64_t>(result);
  switch (trace::type_of(event.op)) {
    case RecordType::read:
    case RecordType::recv:
      return {moved, 0};
    case RecordType::write:
    case RecordType::send:
      return {0, moved};
    case RecordType::copy:
      return {moved, moved};
    default:
      return {0, 0};
  }
}

class Comparison {
 public:
  Comparison(const trace::Trace& trace, const Plan& plan, const Played& played, size_t most)
      : trace_(trace), plan_(plan), played_(played), most_(most) {}

  Fidelity run() {
    out_.original_ns = plan_.end_ns - plan_.begin_ns;
    out_.replay_ns = played_.end_ns - played_.begin_ns;
    out_.stopped = played_.stopped;
    out_.stalled = played_.stalled;
    out_.incomplete = trace_.incomplete();
    out_.doubts = plan_.doubts;
    for (size_t i = 0; i < plan_.threads.size(); ++i) thread(i);
    for (auto& [name, durations] : durations_) {
      out_.operations[name].original = latency_of(durations.first);
      out_.operations[name].replay = latency_of(durations.second);
    }
    std::sort(out_.differences.begin(), out_.differences.end(),
              [](const Difference& a, const Difference& b) { return a.record < b.record; });
    if (out_.differences.size() > most_) out_.differences.resize(most_);
    return std::move(out_);
  }

 private:
  void thread(size_t i) {
    const std::vector<Step>& steps = plan_.threads[i];
    const std::vector<Sample>& samples = played_.threads[i];
    if (steps.empty()) return;
    ThreadFidelity mine;
    mine.number = static_cast<uint32_t>(i + 1);
    mine.name = thread_name(trace_, trace_.threads[i], steps);
    mine.calls =
        static_cast<uint64_t>(std::count_if(steps.begin(), steps.end(), [](const Step& one) { return !one.arrival; }));
    mine.original_ns = trace_.events[steps.back().event].exit_ns() - trace_.events[steps.front().event].enter_ns;
    uint64_t last = 0;
    for (size_t k = 0; k < steps.size(); ++k) {
      if (steps[k].arrival) continue;  // the other half of its call is counted
      ++out_.calls;
      if (samples[k].exit_ns == 0) continue;
      last = std::max(last, samples[k].exit_ns);
      step(steps[k], samples[k], mine.number);
    }
    if (last != 0) mine.replay_ns = last - samples.front().enter_ns;
    out_.threads.push_back(std::move(mine));
  }

  void step(const Step& step, const Sample& sample, uint32_t thread) {
    const Event& event = trace_.events[step.event];
    ++out_.reached;
    if (sample.early) {
      ++out_.early;
      return;
    }
    if (step.skip != Skip::none) {
      ++out_.skipped[static_cast<size_t>(step.skip)];
      return;
    }
    ++out_.played;
    const char* name = trace::op_name(event.op);
    OperationFidelity& operation = out_.operations[name ? name : "?"];
    auto& durations = durations_[name ? name : "?"];
    durations.first.push_back(event.duration_ns);
    durations.second.push_back(sample.exit_ns - sample.enter_ns);
    auto recorded = bytes_of(event, event.result), replayed = bytes_of(event, sample.result);
    ++operation.calls;
    operation.bytes += std::max(recorded.first, recorded.second);
    operation.replay_bytes += std::max(replayed.first, replayed.second);
    out_.original_read += recorded.first;
    out_.original_written += recorded.second;
    out_.bytes_read += replayed.first;
    out_.bytes_written += replayed.second;
    add_span(out_.original_concurrency, event.enter_ns - plan_.begin_ns, event.exit_ns() - plan_.begin_ns,
             out_.original_ns);
    if (sample.enter_ns >= played_.begin_ns)
      add_span(out_.replay_concurrency, sample.enter_ns - played_.begin_ns, sample.exit_ns - played_.begin_ns,
               out_.replay_ns);
    if (step.until != 0 || same_result(trace_, event, sample.result)) return;
    ++operation.different;
    ++out_.different;
    out_.differences.push_back({thread, event.index, call_text(trace_, event), event.result, sample.result});
  }

  const trace::Trace& trace_;
  const Plan& plan_;
  const Played& played_;
  size_t most_;
  Fidelity out_;
  std::map<std::string, std::pair<std::vector<uint64_t>, std::vector<uint64_t>>> durations_;
};

}  // namespace

double Fidelity::error() const {
  if (original_ns == 0) return 0;
  return (static_cast<double>(replay_ns) - static_cast<double>(original_ns)) / static_cast<double>(original_ns);
}

Fidelity compare(const trace::Trace& trace, const Plan& plan, const Played& played, size_t most_differences) {
  return Comparison(trace, plan, played, most_differences).run();
}

}  // namespace reel::replay

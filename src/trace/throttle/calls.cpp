// SPDX-License-Identifier: Apache-2.0
#include "trace/throttle/calls.h"

namespace reel::trace {
namespace {

bool makes_thread(const Event& event) {
  return (event.op == Op::fork || event.op == Op::vfork || event.op == Op::clone_thread) && !event.failed();
}

std::string text_of(const Trace& trace, const Event& event) {
  const char* name = op_name(event.op);
  std::string text = name ? name : "?";
  if (event.path != 0) text += " " + trace.string(event.path);
  return text + " offset " + std::to_string(event.offset) + " length " + std::to_string(event.length);
}

// Where it happens follows from what came before; of standard output, from what others wrote.
bool at_position(Op op) {
  return op == Op::read || op == Op::readv || op == Op::write || op == Op::writev;
}

bool same(const Trace& a, const Event& left, const Trace& b, const Event& right) {
  return left.op == right.op && left.length == right.length && (left.offset == right.offset || at_position(left.op)) &&
         a.string(left.path) == b.string(right.path) && a.string(left.path2) == b.string(right.path2);
}

// Ranks begin in any order.
std::string name_of_root(const Trace& trace, const std::vector<uint32_t>& calls, uint32_t number) {
  for (uint32_t call : calls)
    if (trace.events[call].op == Op::mpi_init) return "rank " + std::to_string(trace.events[call].flags);
  return std::to_string(number);
}

}  // namespace

std::map<std::string, ThreadCalls> calls_of(const Trace& trace) {
  std::vector<ThreadCalls> threads(trace.threads.size() + 1);
  for (uint32_t i = 0; i < trace.events.size(); ++i) {
    const Event& event = trace.events[i];
    if (event.thread != 0 && event.thread < threads.size() && is_call(event)) threads[event.thread].calls.push_back(i);
  }
  std::vector<std::string> names(threads.size());
  std::vector<std::vector<uint32_t>> made(threads.size());
  std::vector<bool> has_maker(threads.size());
  for (uint32_t thread = 1; thread < threads.size(); ++thread) {
    threads[thread].thread = thread;
    for (uint32_t call : threads[thread].calls) {
      const Event& event = trace.events[call];
      if (!makes_thread(event) || event.arg == 0 || event.arg >= threads.size() || event.arg == thread) continue;
      made[thread].push_back(static_cast<uint32_t>(event.arg));
      has_maker[event.arg] = true;
    }
  }
  std::map<std::string, ThreadCalls> found;
  std::vector<uint32_t> left;
  uint32_t roots = 0;
  for (uint32_t thread = 1; thread < threads.size(); ++thread) {
    if (has_maker[thread]) continue;
    names[thread] = name_of_root(trace, threads[thread].calls, ++roots);
    left.push_back(thread);
  }
  while (!left.empty()) {
    uint32_t thread = left.back();
    left.pop_back();
    for (size_t i = 0; i < made[thread].size(); ++i) {
      if (!names[made[thread][i]].empty()) continue;
      names[made[thread][i]] = names[thread] + "." + std::to_string(i + 1);
      left.push_back(made[thread][i]);
    }
    found[names[thread]] = std::move(threads[thread]);
  }
  return found;
}

Status same_calls(const Trace& a, const std::map<std::string, ThreadCalls>& calls_a, const Trace& b,
                  const std::map<std::string, ThreadCalls>& calls_b) {
  for (const auto& [name, first] : calls_a) {
    auto other = calls_b.find(name);
    if (other == calls_b.end()) return Error(Code::invalid, "thread " + name + " was not made in the second run");
    const std::vector<uint32_t>&left = first.calls, &right = other->second.calls;
    for (size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
      const Event* one = i < left.size() ? &a.events[left[i]] : nullptr;
      const Event* two = i < right.size() ? &b.events[right[i]] : nullptr;
      if (one && two && same(a, *one, b, *two)) continue;
      return Error(Code::invalid, "call " + std::to_string(i) + " of thread " + name + " was " +
                                      (one ? text_of(a, *one) : "none") + ", and is " +
                                      (two ? text_of(b, *two) : "none"));
    }
  }
  for (const auto& [name, calls] : calls_b)
    if (calls_a.count(name) == 0) return Error(Code::invalid, "thread " + name + " was not made in the first run");
  return ok();
}

uint64_t gap_before(const Trace& trace, const std::vector<uint32_t>& calls, size_t call) {
  uint64_t from = trace.events[calls[call - 1]].exit_ns(), to = trace.events[calls[call]].enter_ns;
  return to > from ? to - from : 0;
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Order and owners of strace's calls.
#include "trace/import/strace_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>

#include <algorithm>

#include "trace/import/strace_calls.h"

namespace reel::trace {
namespace {

// Strace rounds to microseconds and looks at its clocks a little before and after the call.
constexpr uint64_t kRounding = 1'000'000;

bool makes_thread(const Raw& raw) {
  return raw.op() == Op::fork || raw.op() == Op::vfork || raw.op() == Op::clone_thread;
}

// Took effect when it began: what it gives up may be had by others before it returns, and a child runs before.
bool at_entry(const StraceStep& step) {
  if (step.is_end) return false;
  Raw raw;
  if (!to_raw(step.call, raw)) return false;
  bool unlocks =
      (raw.op() == Op::flock && (raw.arg & LOCK_UN) != 0) || (raw.op() == Op::range_lock && raw.event.mode == F_UNLCK);
  return raw.op() == Op::close || raw.op() == Op::close_range || raw.op() == Op::exit || unlocks || makes_thread(raw);
}

}  // namespace

StraceStep step_of(StraceCall&& call, FetchedCall&& fetched) {
  StraceStep step;
  step.tid = call.tid;
  step.enter_line = call.enter_line;
  step.exit_line = call.exit_line;
  step.returned = call.returned;
  step.is_end = call.is_end();
  step.status = call.status;
  step.by_signal = call.by_signal;
  step.call = std::move(fetched);
  step.call.enter_ns = call.enter_ns;
  step.call.exit_ns = call.enter_ns + call.duration_ns;
  if (step.is_end) return step;
  const CallShape& shape = *step.call.shape;
  if (const std::string* leads = strace_leads(call, shape)) step.leads = *leads;
  if (const std::string* leads = strace_leads(call, shape, true)) step.leads2 = *leads;
  if (call.result_value.leads && !call.result_value.deleted) step.opened = *call.result_value.leads;
  if (shape.op == Op::stat && !call.failed()) {
    for (const StraceField& argument : call.arguments) {
      for (const char* prefix : {"st_", "stx_"}) {
        const StraceValue* mode = argument.value.field(std::string(prefix) + "mode");
        const StraceValue* size = argument.value.field(std::string(prefix) + "size");
        if (mode && mode->is_number()) step.stat_mode = static_cast<uint32_t>(mode->number);
        if (size && size->is_number()) step.stat_size = size->number;
      }
    }
  }
  size_t answer = shape.dirfd >= 0 ? 2 : 1;
  if (shape.op == Op::readlink && !call.failed() && call.arguments.size() > answer) {
    const StraceValue& text = call.arguments[answer].value;
    if (text.kind == StraceValue::Kind::text && !text.abridged) step.link_text = text.text;
  }
  return step;
}

void order_steps(std::vector<StraceStep>& steps, uint64_t& back) {
  for (StraceStep& step : steps)
    if (at_entry(step)) step.exit_line = step.enter_line;
  std::stable_sort(steps.begin(), steps.end(),
                   [](const StraceStep& a, const StraceStep& b) { return a.exit_line < b.exit_line; });
  std::unordered_map<int32_t, uint64_t> ends;  // of each thread's last call
  uint64_t last = 0;                           // effect
  for (StraceStep& step : steps) {
    FetchedCall& call = step.call;
    uint64_t& end = ends[step.tid];
    bool entry = at_entry(step);
    uint64_t effect = entry ? call.enter_ns : call.exit_ns;
    if (call.enter_ns + kRounding < end || effect + kRounding < last) ++back;
    call.enter_ns = std::max(call.enter_ns, end);
    if (entry) call.enter_ns = std::max(call.enter_ns, last);
    call.exit_ns = std::max({call.exit_ns, call.enter_ns, entry ? 0 : last});
    last = entry ? call.enter_ns : call.exit_ns;
    end = call.exit_ns;
  }
}

void find_owners(std::vector<StraceStep>& steps) {
  struct Owner {
    int32_t pid = 0, parent = 0;
    bool seen = false;
  };
  std::unordered_map<int32_t, Owner> owners;
  for (StraceStep& step : steps) {
    auto [at, is_new] = owners.try_emplace(step.tid, Owner{step.tid, 0, false});
    step.pid = at->second.pid;
    step.parent = at->second.parent;
    step.begins = !at->second.seen;
    at->second.seen = true;
    if (step.is_end) {
      owners.erase(at);
      continue;
    }
    Raw raw;
    if (!to_raw(step.call, raw) || !makes_thread(raw) || raw.event.result <= 0) continue;
    auto child = static_cast<int32_t>(raw.event.result);
    int32_t pid = raw.op() == Op::clone_thread ? step.pid : child;
    owners[child] = {pid, step.tid, false};
  }
}

}  // namespace reel::trace

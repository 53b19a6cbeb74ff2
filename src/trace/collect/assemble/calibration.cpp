// SPDX-License-Identifier: Apache-2.0
//
// The recorder's own cost.
#include "trace/collect/assemble/calibration.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "trace/collect/syscalls/syscalls.h"

namespace reel::trace {
namespace {

Status write_after(Writer& writer, Op op, uint64_t ns) {
  return writer.fact(std::string("cost_ns.after.") + op_name(op), std::to_string(ns));
}

uint64_t median(std::vector<uint64_t>& values) {
  if (values.empty()) return 0;
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void make_calibration_calls() {
  for (int i = 0; i < wire::kCalibrationCalls; ++i) ::lseek(wire::kCalibrationFd, 0, SEEK_SET);
  for (int i = 0; i < wire::kCalibrationCalls; ++i) static_cast<void>(::access("/", F_OK) == 0);
  for (int i = 0; i < wire::kCalibrationCalls; ++i) ::close(::open("/", O_RDONLY | O_CLOEXEC));
  ::lseek(wire::kCalibrationFd, 0, SEEK_END);
}

bool Calibration::takes(uint32_t thread, const Raw& raw) {
  if (done_) return false;
  bool mark = raw.op() == Op::lseek && raw.event.fd == wire::kCalibrationFd;
  if (thread_ == 0 && mark) thread_ = thread;
  if (thread_ == 0 || thread != thread_) return false;
  if (raw.event.op < wire::kOpHello) {
    if (last_ != Op::none && raw.event.enter_ns >= last_exit_ns_)
      gaps_[last_].push_back(raw.event.enter_ns - last_exit_ns_);
    last_ = raw.op();
    last_exit_ns_ = raw.event.exit_ns;
  }
  if (mark && raw.event.flags == SEEK_END) {
    done_ = true;
    cost_ns_ = median(gaps_[Op::lseek]);
  }
  return true;
}

Status Calibration::write(Writer& writer) {
  TRY(writer.fact("cost_ns", std::to_string(cost_ns_)));
  auto opened = gaps_.find(Op::open), named = gaps_.find(Op::access);
  if (opened == gaps_.end() || named == gaps_.end()) return ok();
  // Only recorders that see system calls make these: what a name costs them, any op's does.
  uint64_t open_ns = median(opened->second), named_ns = median(named->second);
  TRY(write_after(writer, Op::open, open_ns));
  size_t count = 0;
  const CallShape* shapes = all_shapes(count);
  std::map<Op, bool> written{{Op::open, true}};
  for (size_t i = 0; i < count; ++i)
    if (shapes[i].path >= 0 && written.try_emplace(shapes[i].op).second)
      TRY(write_after(writer, shapes[i].op, named_ns));
  gaps_.clear();
  return ok();
}

void OwnTimes::add(Op op, uint64_t before_ns, uint64_t after_ns, uint64_t calls) {
  Sum& sum = sums_[op];
  sum.calls += calls;
  sum.before_ns += before_ns;
  sum.after_ns += after_ns;
}

Status OwnTimes::write(Writer& writer) const {
  for (const auto& [op, sum] : sums_) {
    if (!op_name(op) || sum.calls == 0) continue;
    if (sum.before_ns > 0)
      TRY(writer.fact(std::string("cost_ns.before.") + op_name(op), std::to_string(sum.before_ns / sum.calls)));
    if (sum.after_ns > 0) TRY(write_after(writer, op, sum.after_ns / sum.calls));
  }
  return ok();
}

}  // namespace reel::trace

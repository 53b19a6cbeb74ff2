// SPDX-License-Identifier: Apache-2.0
//
// Counting instead of keeping.
#include "trace/counters.h"

#include <functional>

namespace reel::trace {
namespace {

constexpr uint64_t kSmall = 4096;

bool may_be_left_out(RecordType type) {
  switch (type) {
    case RecordType::read:
    case RecordType::write:
    case RecordType::copy:
    case RecordType::fsync:
    case RecordType::stat:
    case RecordType::readdir:
    case RecordType::seek:
    case RecordType::gxatr:
    case RecordType::send:
    case RecordType::recv:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Counters::add(const Event& event, uint32_t process, const std::string& program, const std::string& path) {
  if (event.op == Op::compute) return;
  Count& count = counts_[{process, program, event.op, path}];
  ++count.calls;
  if (event.failed()) ++count.failed;
  count.time_ns += event.duration_ns;
  if (!moves_data(event.op) || event.result <= 0) return;
  auto bytes = static_cast<uint64_t>(event.result);
  count.bytes += bytes;
  if (bytes < kSmall) ++count.small;
  ++count.sizes[size_class(bytes)];
}

Status Counters::write(Writer& writer) {
  for (auto& [key, count] : counts_) {
    const auto& [process, program, op, path] = key;
    count.thread = process;
    count.op = op;
    if (!program.empty()) {
      TRY_ASSIGN(count.program, writer.string(StringKind::thread_name, program));
    }
    if (!path.empty()) {
      TRY_ASSIGN(count.path, writer.string(StringKind::path, path));
    }
    TRY(writer.count(count));
  }
  counts_.clear();
  return ok();
}

bool Sampler::keeps(const Event& event, const std::string& path) {
  if (one_in_ <= 1 || !may_be_left_out(type_of(event.op))) return true;
  uint64_t key = std::hash<std::string>()(path);
  if (path.empty()) key = static_cast<uint64_t>(event.fd.number) << 32 | event.fd.generation;
  key = (key * 31 + event.thread) * 0x9e3779b97f4a7c15ull + static_cast<uint64_t>(event.op);
  uint32_t& seen = seen_[key];
  return seen++ % one_in_ == 0;
}

}  // namespace reel::trace

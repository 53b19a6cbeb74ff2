// SPDX-License-Identifier: Apache-2.0
//
// See uses.h.
#include "report/uses.h"

#include <algorithm>

namespace reel::report {
namespace {

using trace::Event;
using trace::Op;

constexpr uint64_t kSmall = 4096;

void add_range(std::map<uint64_t, uint64_t>& ranges, uint64_t begin, uint64_t end) {
  auto at = ranges.upper_bound(begin);
  if (at != ranges.begin() && std::prev(at)->second >= begin) --at;
  while (at != ranges.end() && at->first <= end) {
    begin = std::min(begin, at->first);
    end = std::max(end, at->second);
    at = ranges.erase(at);
  }
  ranges[begin] = end;
}

// How many of the bytes are in the ranges.
uint64_t covered(const std::map<uint64_t, uint64_t>& ranges, uint64_t begin, uint64_t end) {
  uint64_t bytes = 0;
  auto at = ranges.upper_bound(begin);
  if (at != ranges.begin()) --at;
  for (; at != ranges.end() && at->first < end; ++at) {
    uint64_t from = std::max(begin, at->first), to = std::min(end, at->second);
    if (to > from) bytes += to - from;
  }
  return bytes;
}

}  // namespace

const char* FileUse::pattern() const {
  uint64_t all = sequential + strided + random;
  if (all == 0) return "-";
  if (sequential * 10 >= all * 9) return "sequential";
  if ((sequential + strided) * 10 >= all * 9) return "strided";
  return "random";
}

void FileUses::add(const Event& event, const std::string& name, uint32_t process) {
  RecordType type = trace::type_of(event.op);
  bool data = trace::moves_data(event.op);
  if (!data && event.op != Op::open && type != RecordType::fsync) return;
  FileUse& use = uses_[name];
  if (event.op == Op::open) {
    ++use.opens;
    return;
  }
  use.time_ns += event.duration_ns;
  if (!data) {
    ++use.syncs;
    return;
  }
  bool write = type == RecordType::write;
  ++(write ? use.writes : use.reads);
  if (event.result <= 0) return;
  auto moved = static_cast<uint64_t>(event.result);
  (write ? use.bytes_written : use.bytes_read) += moved;
  if (moved < kSmall) ++use.small;
  if ((event.flags & trace::kOffsetUnknown) != 0 && type != RecordType::copy) return;
  Ranges& written = written_[name];
  if (write)
    add_range(written, event.offset, event.offset + moved);
  else
    use.reread += covered(written, event.offset, event.offset + moved);
  follow(use, event, moved, process);
}

void FileUses::follow(FileUse& use, const Event& event, uint64_t moved, uint32_t process) {
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
  last = {event.offset + moved, event.offset, last.stride, true};
}

void FileUses::add(const trace::Count& count, const std::string& name) {
  RecordType type = trace::type_of(count.op);
  bool data = trace::moves_data(count.op);
  if (!data && count.op != Op::open && type != RecordType::fsync) return;
  FileUse& use = uses_[name];
  if (count.op == Op::open) {
    use.opens += count.calls;
    return;
  }
  use.time_ns += count.time_ns;
  bool write = type == RecordType::write;
  (!data ? use.syncs : write ? use.writes : use.reads) += count.calls;
  (write ? use.bytes_written : use.bytes_read) += count.bytes;
  use.small += count.small;
}

std::vector<FileUse> FileUses::sorted() const {
  std::vector<FileUse> list;
  for (const auto& [name, use] : uses_) {
    if (use.reads + use.writes + use.syncs == 0) continue;
    list.push_back(use);
    list.back().name = name;
  }
  std::sort(list.begin(), list.end(), [](const FileUse& a, const FileUse& b) {
    uint64_t left = a.bytes_read + a.bytes_written, right = b.bytes_read + b.bytes_written;
    return left != right ? left > right : a.name < b.name;
  });
  return list;
}

}  // namespace reel::report

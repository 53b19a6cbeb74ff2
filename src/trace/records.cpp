// SPDX-License-Identifier: Apache-2.0
//
// The parts of a trace as records of a log and back.
#include "trace/records.h"

#include <algorithm>
#include <charconv>

namespace reel::trace {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

Record plain(RecordType type, uint64_t time_ns) {
  Record record;
  record.type = type;
  record.time = packed_time(time_ns);
  record.io.emplace();
  record.call.emplace();
  return record;
}

void set_user(Record& record, uint32_t uid, uint32_t gid) {
  record.flags |= kFlagExtra;
  record.extra_flags |= kExtraUidGid;
  record.uid = uid;
  record.gid = gid;
}

const IoExtension& io_of(const Record& record) {
  static const IoExtension none;
  return record.io ? *record.io : none;
}

const CallExtension& call_of(const Record& record) {
  static const CallExtension none;
  return record.call ? *record.call : none;
}

}  // namespace

uint64_t packed_time(uint64_t ns) {
  return pack_time(ns / kSecond, static_cast<uint32_t>(ns % kSecond));
}

uint64_t nanoseconds_of(uint64_t packed) {
  return time_seconds(packed) * kSecond + time_nanoseconds(packed);
}

Record record_of(const Event& event) {
  Record record;
  record.type = type_of(event.op);
  record.time = packed_time(event.enter_ns);
  record.target = event.object;
  record.parent = event.object2;
  record.io = IoExtension{event.offset, event.length, event.result, event.duration_ns, event.thread};
  CallExtension& call = record.call.emplace();
  call.op = static_cast<uint32_t>(event.op);
  call.fd = event.fd.number;
  call.fd_generation = event.fd.generation;
  call.fd2 = event.fd2.number;
  call.fd2_generation = event.fd2.generation;
  call.path = event.path;
  call.path2 = event.path2;
  call.relative = event.relative;
  call.relative2 = event.relative2;
  call.flags = event.flags;
  call.mode = event.mode;
  call.arg = event.arg;
  call.arg2 = event.arg2;
  return record;
}

std::optional<Event> event_of(const Record& record) {
  if (!record.call || record.call->op == 0 || record.type >= RecordType::fact) return std::nullopt;
  const CallExtension& call = *record.call;
  const IoExtension& io = io_of(record);
  Event event;
  event.index = record.index;
  event.op = static_cast<Op>(call.op);
  event.thread = static_cast<uint32_t>(io.thread);
  event.enter_ns = nanoseconds_of(record.time);
  event.duration_ns = io.duration_ns;
  event.result = io.result;
  event.object = record.target;
  event.object2 = record.parent;
  event.fd = {call.fd, call.fd_generation};
  event.fd2 = {call.fd2, call.fd2_generation};
  event.path = static_cast<StringId>(call.path);
  event.path2 = static_cast<StringId>(call.path2);
  event.relative = call.relative;
  event.relative2 = call.relative2;
  event.offset = io.offset;
  event.length = io.length;
  event.flags = call.flags;
  event.mode = call.mode;
  event.arg = call.arg;
  event.arg2 = call.arg2;
  return event;
}

Record record_of(const Thread& thread) {
  Record record = plain(RecordType::thread, thread.start_ns);
  set_user(record, thread.uid, thread.gid);
  record.io->thread = thread.number;
  record.call->fd = thread.pid;
  record.call->fd2 = thread.tid;
  record.call->arg = thread.process;
  record.call->arg2 = thread.parent;
  record.call->path = thread.name;
  return record;
}

Thread thread_of(const Record& record) {
  const CallExtension& call = call_of(record);
  Thread thread;
  thread.number = static_cast<uint32_t>(io_of(record).thread);
  thread.process = static_cast<uint32_t>(call.arg);
  thread.parent = static_cast<uint32_t>(call.arg2);
  thread.pid = call.fd;
  thread.tid = call.fd2;
  thread.uid = static_cast<uint32_t>(record.uid);
  thread.gid = static_cast<uint32_t>(record.gid);
  thread.start_ns = nanoseconds_of(record.time);
  thread.name = static_cast<StringId>(call.path);
  return thread;
}

Record record_of(const FileState& state) {
  Record record = plain(RecordType::file, 0);
  set_user(record, state.uid, state.gid);
  record.target = state.object;
  record.io->offset = state.size;
  record.io->length = state.allocated;
  CallExtension& call = *record.call;
  call.path = state.path;
  call.path2 = state.link_text;
  call.flags = static_cast<uint64_t>(state.kind) | static_cast<uint64_t>(state.known) << 8 |
               static_cast<uint64_t>(state.content) << 16;
  call.mode = state.mode;
  call.arg = state.nlink;
  call.arg2 = state.rdev;
  return record;
}

FileState file_of(const Record& record) {
  const CallExtension& call = call_of(record);
  FileState state;
  state.uid = static_cast<uint32_t>(record.uid);
  state.gid = static_cast<uint32_t>(record.gid);
  state.object = record.target;
  state.size = io_of(record).offset;
  state.allocated = io_of(record).length;
  state.path = static_cast<StringId>(call.path);
  state.link_text = static_cast<StringId>(call.path2);
  state.kind = static_cast<FileKind>(call.flags & 0xff);
  state.known = static_cast<Known>(call.flags >> 8 & 0xff);
  state.content = static_cast<Content>(call.flags >> 16 & 0xff);
  state.mode = static_cast<uint32_t>(call.mode);
  state.nlink = static_cast<uint32_t>(call.arg);
  state.rdev = call.arg2;
  return state;
}

Record record_of(const Loss& loss) {
  Record record = plain(RecordType::loss, loss.time_ns);
  record.name = loss.reason;
  record.io->thread = loss.thread;
  record.io->length = loss.events;
  return record;
}

Loss loss_of(const Record& record) {
  return {nanoseconds_of(record.time), static_cast<uint32_t>(io_of(record).thread), io_of(record).length,
          std::string(record.name)};
}

Record record_of(const Count& count) {
  Record record = plain(RecordType::count, 0);
  record.io = IoExtension{0, count.bytes, static_cast<int64_t>(count.failed), count.time_ns, count.thread};
  record.call->op = static_cast<uint32_t>(count.op);
  record.call->path = count.path;
  record.call->path2 = count.program;
  record.call->arg = count.calls;
  record.call->arg2 = count.small;
  return record;
}

std::string sizes_text(const Count& count) {
  std::string text;
  for (const auto& [size, calls] : count.sizes)
    text += (text.empty() ? "" : " ") + std::to_string(size) + ":" + std::to_string(calls);
  return text;
}

Count count_of(const Record& record) {
  const IoExtension& io = io_of(record);
  const CallExtension& call = call_of(record);
  Count count;
  count.thread = static_cast<uint32_t>(io.thread);
  count.op = static_cast<Op>(call.op);
  count.path = static_cast<StringId>(call.path);
  count.calls = call.arg;
  count.failed = static_cast<uint64_t>(io.result);
  count.bytes = io.length;
  count.time_ns = io.duration_ns;
  count.program = static_cast<StringId>(call.path2);
  count.small = call.arg2;
  // "SIZE:CALLS SIZE:CALLS"; what is not that is passed over.
  for (size_t at = 0; at < record.name.size();) {
    size_t end = std::min(record.name.find(' ', at), record.name.size());
    std::string_view pair = record.name.substr(at, end - at);
    size_t colon = pair.find(':');
    uint64_t size = 0, calls = 0;
    if (colon != std::string_view::npos) {
      std::from_chars(pair.data(), pair.data() + colon, size);
      std::from_chars(pair.data() + colon + 1, pair.data() + pair.size(), calls);
      if (size != 0) count.sizes[size] += calls;
    }
    at = end + 1;
  }
  return count;
}

Record fact_record(std::string_view name) {
  Record record = plain(RecordType::fact, 0);
  record.name = name;
  return record;
}

Record string_record(StringId id, StringKind kind, std::string_view bytes) {
  Record record = plain(RecordType::string, 0);
  record.name = bytes;
  record.call->path = id;
  record.call->arg = static_cast<uint64_t>(kind);
  return record;
}

}  // namespace reel::trace

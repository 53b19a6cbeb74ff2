// SPDX-License-Identifier: Apache-2.0
//
// What encoder and decoder remember of a block, and what they take from it to be likely.
#include "log/block/block.h"

namespace reel::log {

CallFields fields_of(const CallExtension& call) {
  auto number = [](int32_t fd) { return static_cast<uint64_t>(int64_t{fd}); };
  return {number(call.fd),  call.fd_generation,  call.path, call.flags, call.relative,  call.arg,
          number(call.fd2), call.fd2_generation, call.mode, call.path2, call.relative2, call.arg2};
}

CallExtension call_of(uint32_t op, const CallFields& fields) {
  CallExtension call;
  call.op = op;
  call.fd = static_cast<int32_t>(fields[0]);
  call.fd_generation = static_cast<uint32_t>(fields[1]);
  call.path = fields[2];
  call.flags = fields[3];
  call.relative = static_cast<uint32_t>(fields[4]);
  call.arg = fields[5];
  call.fd2 = static_cast<int32_t>(fields[6]);
  call.fd2_generation = static_cast<uint32_t>(fields[7]);
  call.mode = fields[8];
  call.path2 = fields[9];
  call.relative2 = static_cast<uint32_t>(fields[10]);
  call.arg2 = fields[11];
  return call;
}

void BlockMemory::start(uint64_t first_index) {
  index = first_index - 1;
  time = 0;
  target = parent = source = source_parent = literal = Fid{};
  caller = Caller{};
  flags.fill({});
  io = IoExtension{};
  calls.fill(fields_of(CallExtension{}));
  forms.clear();
  name.clear();
  first_string = 0;
  bases.clear();
  generations.fill(0);
  fid_at = 0;
  fids.clear();
  callers.clear();
}

// Strings are numbered one by one; what is behind another's number, or in an earlier block, is not known here.
void BlockMemory::note_string(const Record& record) {
  if (record.type != RecordType::string || !record.call) return;
  if (bases.empty()) first_string = record.call->path;
  if (record.call->path == first_string + bases.size())
    bases.push_back(static_cast<uint32_t>(record.name.size() - (record.name.rfind('/') + 1)));
}

uint64_t BlockMemory::expected(uint32_t field, const Form& form, const CallFields& now) {
  const CallFields& last = this->last(form);
  if (field == kRelative && now[kPath] != last[kPath]) {
    uint64_t string = now[kPath] - first_string;
    if (string < bases.size()) return bases[string];
  }
  if (form.op != 0 && (field == kFdGeneration || field == kFd2Generation)) {
    auto number = static_cast<int64_t>(now[field - 1]);
    if (number < 0) return 0;
    uint64_t generation = generations[now[field - 1] % generations.size()];
    return field == kFdGeneration ? generation : generation + 1;  // fd2 is a new one
  }
  return last[field];
}

uint64_t BlockMemory::origin(uint32_t field, const Form& form, const CallFields& now) {
  switch (field) {
    case kFd:  // small numbers in no order
    case kFlags:
    case kRelative:
    case kFd2:
    case kMode:
    case kRelative2:
      return 0;
    case kArg:
      if (form.type == static_cast<uint32_t>(RecordType::compute)) return io.duration_ns;
      [[fallthrough]];
    default:
      return expected(field, form, now);
  }
}

void BlockMemory::note_fields(const Form& form, const CallFields& now) {
  last(form) = now;
  for (CallField field : {kFd, kFd2})
    if (form.op != 0 && static_cast<int64_t>(now[field]) >= 0)
      generations[now[field] % generations.size()] = now[field + 1];
}

}  // namespace reel::log

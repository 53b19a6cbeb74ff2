// SPDX-License-Identifier: Apache-2.0
//
// A trace's records as lines and as JSON.
#include "trace/text.h"

#include "base/print.h"
#include "log/text/text.h"

namespace reel::trace {
namespace {

std::string op_text(uint32_t op) {
  const char* name = op_name(static_cast<Op>(op));
  return name ? name : std::to_string(op);
}

void append_descriptor(const char* key, int32_t number, uint32_t generation, std::string& out) {
  if (number == -1) return;
  if (number == kAtCwd)
    out.append(" ").append(key).append("=cwd");
  else
    append_format(out, " %s=%d.%u", key, number, generation);
}

void append_hex(const char* key, uint64_t value, std::string& out) {
  if (value != 0) append_format(out, " %s=0x%llx", key, wide(value));
}

}  // namespace

void TraceText::note(const Record& record) {
  if (record.type == RecordType::string && record.call) strings_[record.call->path] = record.name;
}

const std::string& TraceText::string(uint64_t id) const {
  static const std::string none;
  auto at = strings_.find(id);
  return at == strings_.end() ? none : at->second;
}

void TraceText::append_line(const Record& record, std::string& out) const {
  log::append_lfs_line(record, out);
  if (!record.call) return;
  const CallExtension& call = *record.call;
  out.pop_back();  // the newline
  if (record.type == RecordType::string) {
    append_format(out, " n=%llu k=%llu\n", wide(call.path), wide(call.arg));
    return;
  }
  if (call.op != 0) out += " c=" + op_text(call.op);
  append_descriptor("fd", call.fd, call.fd_generation, out);
  append_descriptor("fd2", call.fd2, call.fd2_generation, out);
  append_hex("fl", call.flags, out);
  if (call.mode != 0) append_format(out, " m=0%llo", wide(call.mode));
  append_hex("a", call.arg, out);
  append_hex("a2", call.arg2, out);
  if (call.path != 0) out.append(" ").append(string(call.path));
  if (call.path2 != 0) out.append(" -> ").append(string(call.path2));
  out += '\n';
}

void TraceText::append_json(const Record& record, std::string& out) const {
  log::append_json_line(record, out);
  if (!record.call) return;
  const CallExtension& call = *record.call;
  out.resize(out.size() - 2);  // "}\n"
  out.append(",\"op\":\"").append(call.op != 0 ? op_text(call.op) : "").append("\"");
  append_format(out, ",\"fd\":%d,\"fd_generation\":%u,\"fd2\":%d,\"fd2_generation\":%u", call.fd, call.fd_generation,
                call.fd2, call.fd2_generation);
  append_format(out, ",\"call_flags\":%llu,\"mode\":%llu,\"arg\":%llu,\"arg2\":%llu,\"relative\":%u,\"relative2\":%u",
                wide(call.flags), wide(call.mode), wide(call.arg), wide(call.arg2), call.relative, call.relative2);
  if (record.type == RecordType::string) {
    append_format(out, ",\"string\":%llu}\n", wide(call.path));
    return;
  }
  out += ",\"path\":";
  log::append_json_string(string(call.path), out);
  out += ",\"path2\":";
  log::append_json_string(string(call.path2), out);
  out += "}\n";
}

}  // namespace reel::trace

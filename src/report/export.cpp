// SPDX-License-Identifier: Apache-2.0
//
// A trace in the formats of other tools.
#include "report/export.h"

#include <fcntl.h>
#include <string.h>

#include <set>

#include "base/print.h"
#include "log/text/text.h"
#include "report/files.h"

namespace reel::report {
namespace {

using trace::Descriptor;
using trace::Event;
using trace::Op;

// In C's notation; names are bytes.
std::string quoted(const std::string& bytes) {
  std::string out = "\"";
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += std::string("\\") + c;
    else if (byte < 0x20 || byte >= 0x7f)
      append_format(out, "\\%03o", byte);
    else
      out += c;
  }
  return out + "\"";
}

std::string directory(Descriptor fd) {
  if (fd.number == trace::kAtCwd || fd.number == -1) return "AT_FDCWD";
  return std::to_string(fd.number);
}

std::string open_flags(uint64_t flags) {
  static const struct {
    uint64_t bit;
    const char* name;
  } kNames[] = {{O_CREAT, "O_CREAT"},   {O_EXCL, "O_EXCL"},        {O_TRUNC, "O_TRUNC"},
                {O_APPEND, "O_APPEND"}, {O_CLOEXEC, "O_CLOEXEC"},  {O_DIRECTORY, "O_DIRECTORY"},
                {O_DIRECT, "O_DIRECT"}, {O_NOFOLLOW, "O_NOFOLLOW"}};
  std::string text = (flags & O_ACCMODE) == O_RDWR     ? "O_RDWR"
                     : (flags & O_ACCMODE) == O_WRONLY ? "O_WRONLY"
                                                       : "O_RDONLY";
  for (const auto& known : kNames)
    if ((flags & known.bit) == known.bit) text += std::string("|") + known.name;
  return text;
}

std::string arguments_of(const trace::Trace& trace, const Event& event, const Files& files) {
  std::string out, path = quoted(trace.string(event.path));
  RecordType type = trace::type_of(event.op);
  std::string fd = std::to_string(event.fd.number);
  if (event.path == 0 && event.fd.number >= 0 && !files.of(event).empty()) fd += "<" + files.of(event) + ">";
  if (event.op == Op::open) {
    out = directory(event.fd) + ", " + path + ", " + open_flags(event.flags);
    if ((event.flags & O_CREAT) != 0) append_format(out, ", 0%llo", wide(event.mode));
  } else if (event.op == Op::rename || event.op == Op::link) {
    out = directory(event.fd) + ", " + path + ", " + directory(event.fd2) + ", " + quoted(trace.string(event.path2));
  } else if (event.op == Op::symlink) {
    out = quoted(trace.string(event.path2)) + ", " + path;
  } else if (type == RecordType::read || type == RecordType::write) {
    append_format(out, ", %llu, %llu", wide(event.length), wide(event.offset));
    out = fd + out;
  } else if (event.op == Op::exec) {
    out = path;
  } else {
    out = event.path != 0 ? directory(event.fd) + ", " + path : event.fd.number >= 0 ? fd : "";
    if (event.length != 0) append_format(out, "%s%llu", out.empty() ? "" : ", ", wide(event.length));
  }
  return out;
}

// The system call that a reader of strace's output would expect.
const char* call_name(const Event& event) {
  switch (event.op) {
    case Op::open:
      return "openat";
    case Op::pread:
      return "pread64";
    case Op::pwrite:
      return "pwrite64";
    case Op::rename:
      return "renameat";
    case Op::link:
      return "linkat";
    case Op::exec:
      return "execve";
    case Op::exit:
      return "exit_group";
    case Op::wait:
      return "wait4";
    default:
      return trace::op_name(event.op) ? trace::op_name(event.op) : "?";
  }
}

void strace_line(const trace::Trace& trace, const Event& event, const Files& files, std::string& out) {
  int tid = event.thread > 0 && event.thread <= trace.threads.size() ? trace.threads[event.thread - 1].tid : 0;
  append_format(out, "%d %llu.%06llu ", tid, wide(event.enter_ns / 1'000'000'000),
                wide(event.enter_ns / 1000 % 1'000'000));
  out += std::string(call_name(event)) + "(" + arguments_of(trace, event, files) + ")";
  if (event.op == Op::exit) {
    out += " = ?\n";
    return;
  }
  if (event.failed()) {
    const char* name = ::strerrorname_np(static_cast<int>(-event.result));
    append_format(out, " = -1 %s (%s)", name ? name : "?", ::strerror(static_cast<int>(-event.result)));
  } else if (event.op == Op::mmap) {
    append_format(out, " = 0x%llx", wide(static_cast<uint64_t>(event.result)));
  } else {
    append_format(out, " = %lld", static_cast<long long>(event.result));
  }
  append_format(out, " <%llu.%06llu>\n", wide(event.duration_ns / 1'000'000'000),
                wide(event.duration_ns / 1000 % 1'000'000));
}

void chrome_line(const trace::Trace& trace, const Event& event, const Files& files, bool first, std::string& out) {
  const trace::Thread* thread =
      event.thread > 0 && event.thread <= trace.threads.size() ? &trace.threads[event.thread - 1] : nullptr;
  out += first ? "\n" : ",\n";
  append_format(
      out, "{\"ph\":\"X\",\"name\":\"%s\",\"cat\":\"io\",\"pid\":%d,\"tid\":%d,\"ts\":%llu.%03llu,\"dur\":%llu.%03llu",
      call_name(event), thread ? thread->pid : 0, thread ? thread->tid : 0, wide(event.enter_ns / 1000),
      wide(event.enter_ns % 1000), wide(event.duration_ns / 1000), wide(event.duration_ns % 1000));
  append_format(out, ",\"args\":{\"result\":%lld,\"offset\":%llu,\"length\":%llu,\"file\":",
                static_cast<long long>(event.result), wide(event.offset), wide(event.length));
  log::append_json_string(files.of(event), out);
  out += "}}";
}

std::string csv_field(const std::string& bytes) {
  if (bytes.find_first_of("\",\n\r") == std::string::npos) return bytes;
  std::string out = "\"";
  for (char c : bytes) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

void csv_line(const trace::Trace& trace, const Event& event, const Files& files, std::string& out) {
  const trace::Thread* thread =
      event.thread > 0 && event.thread <= trace.threads.size() ? &trace.threads[event.thread - 1] : nullptr;
  append_format(out, "%u,%d,%d,%s,%llu,%llu,%lld,%llu,%llu,%d,", event.thread, thread ? thread->pid : 0,
                thread ? thread->tid : 0, trace::op_name(event.op) ? trace::op_name(event.op) : "?",
                wide(event.enter_ns), wide(event.duration_ns), static_cast<long long>(event.result), wide(event.offset),
                wide(event.length), event.fd.number);
  out += csv_field(files.of(event)) + "," + csv_field(trace.string(event.path2)) + "\n";
}

// fio's names end at blanks, and it knows one open of a file at a time.
class FioLog {
 public:
  explicit FioLog(uint64_t begin) : begin_(begin) {}

  void line(const Event& event, const std::string& file, std::string& out) {
    RecordType type = trace::type_of(event.op);
    bool data = type == RecordType::read || type == RecordType::write;
    bool sync = event.op == Op::fsync || event.op == Op::fdatasync;
    if ((!data && !sync) || (data && event.result <= 0)) return;
    bool no_name = file.empty() || file.size() > kLongest || file.find_first_of(" \t\n") != std::string::npos;
    if (no_name || (data && (event.flags & trace::kOffsetUnknown) != 0)) {
      ++left_out_;
      return;
    }
    uint64_t us = (event.enter_ns - begin_) / 1000;
    if (known_.insert(file).second)
      out += std::to_string(us) + " " + file + " add\n" + std::to_string(us) + " " + file + " open\n";
    out += std::to_string(us) + " " + file;
    if (event.op == Op::fsync) out += " sync 0 0\n";
    if (event.op == Op::fdatasync) out += " datasync 0 0\n";
    if (data)
      append_format(out, " %s %llu %lld\n", type == RecordType::read ? "read" : "write", wide(event.offset),
                    static_cast<long long>(event.result));
    last_ = us;
  }
  uint64_t left_out() const { return left_out_; }
  void finish(std::string& out) const {
    for (const std::string& file : known_) out += std::to_string(last_) + " " + file + " close\n";
  }

 private:
  static constexpr size_t kLongest = 255;

  uint64_t begin_, last_ = 0, left_out_ = 0;
  std::set<std::string> known_;
};

}  // namespace

bool format_of(const std::string& name, Format& format) {
  static const struct {
    const char* name;
    Format format;
  } kAll[] = {{"strace", Format::strace}, {"chrome", Format::chrome}, {"fio", Format::fio}, {"csv", Format::csv}};
  for (const auto& known : kAll) {
    if (name != known.name) continue;
    format = known.format;
    return true;
  }
  return false;
}

Result<uint64_t> write_as(const trace::Trace& trace, Format format,
                          const std::function<Status(const std::string&)>& put) {
  Files files(trace);
  std::vector<uint32_t> order = trace.by_entry();
  FioLog fio(order.empty() ? 0 : trace.events[order[0]].enter_ns);
  std::string out;
  if (format == Format::fio) out = "fio version 3 iolog\n";
  if (format == Format::chrome) out = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
  if (format == Format::csv) out = "thread,pid,tid,call,enter_ns,duration_ns,result,offset,length,fd,path,path2\n";
  bool first = true;
  for (uint32_t i : order) {
    const Event& event = trace.events[i];
    if (event.op == Op::compute && format != Format::csv) continue;
    if (format == Format::strace) strace_line(trace, event, files, out);
    if (format == Format::chrome) chrome_line(trace, event, files, first, out);
    if (format == Format::csv) csv_line(trace, event, files, out);
    if (format == Format::fio) fio.line(event, files.of(event), out);
    first = false;
    if (out.size() < (64u << 10)) continue;
    TRY(put(out));
    out.clear();
  }
  if (format == Format::chrome) out += "\n]}\n";
  if (format == Format::fio) fio.finish(out);
  TRY(put(out));
  return fio.left_out();
}

}  // namespace reel::report

// SPDX-License-Identifier: Apache-2.0
//
// Going on where a killed recording stopped: the assembler's tables are made again from the calls
// that its log has.
#include <fcntl.h>

#include <algorithm>

#include "trace/collect/assemble/assembler.h"

namespace reel::trace {

void Assembler::resume_thread(const Trace& before, const Thread& thread) {
  ThreadState added;
  added.thread = thread;
  added.last_exit = 1;  // something was seen of it
  if (thread.process == thread.number || thread.process == 0 || thread.process > threads_.size()) {
    added.process = std::make_shared<Process>();
    added.process->number = thread.number;
    added.process->pid = thread.pid;
    added.process->cwd = first_cwd_;
    if (thread.parent > 0 && thread.parent <= threads_.size()) {
      const Process& parent = *state(thread.parent).process;
      added.process->table = parent.table;
      added.process->cwd = parent.cwd;
    }
    by_pid_[thread.pid] = added.process;
  } else {
    added.process = state(thread.process).process;
  }
  added.program = before.string(thread.name);
  by_tid_[thread.tid] = thread.number;
  threads_.push_back(std::move(added));
}

void Assembler::resume_event(const Trace& before, const Event& event) {
  Process& process = *state(event.thread).process;
  process.last_ns = std::max(process.last_ns, event.exit_ns());
  if (event.op == Op::exit) process.ended = true;
  if (event.failed()) return;
  FdTable& table = process.table;
  bool close_on_exec = (event.flags & O_CLOEXEC) != 0;
  const Slot* from = table.find(event.fd.number);
  std::shared_ptr<OpenFile> file = from && from->file ? from->file : std::make_shared<OpenFile>();
  switch (event.op) {
    case Op::open:
      file = std::make_shared<OpenFile>();
      file->path = before.string(event.path);
      file->object = event.object;
      table.give(event.fd2.number, file, close_on_exec);
      break;
    case Op::dup:
    case Op::dup2:
      if (event.fd.number != event.fd2.number) table.give(event.fd2.number, file, close_on_exec);
      break;
    case Op::pipe:
    case Op::socketpair:
      table.give(event.fd.number, std::make_shared<OpenFile>(), close_on_exec);
      table.give(event.fd2.number, std::make_shared<OpenFile>(), close_on_exec);
      break;
    case Op::socket:
    case Op::accept:
    case Op::other_fd:
      table.give(event.fd2.number, std::make_shared<OpenFile>(), close_on_exec);
      break;
    case Op::close:
      table.close(event.fd.number);
      break;
    case Op::close_range:
      table.close_range(event.fd.number, event.fd2.number);
      break;
    case Op::fcntl:
      if (event.arg == F_SETFD) table.set_close_on_exec(event.fd.number, (event.flags & FD_CLOEXEC) != 0);
      break;
    case Op::chdir:
      process.cwd = event.path != 0 ? before.string(event.path) : file->path;
      break;
    case Op::exec:
      table.exec();
      process.mappings.clear();
      break;
    default:
      break;  // positions are not made again: offsets of what was open are not known from here on
  }
}

void Assembler::resume(const Trace& before) {
  auto cwd = before.facts.find("cwd");
  if (cwd != before.facts.end()) first_cwd_ = cwd->second;
  std::vector<uint32_t> order = before.by_entry();
  size_t next = 0;
  // A thread stands before its calls; a new process has what its parent had when it began.
  for (const Thread& thread : before.threads) {
    for (; next < order.size() && before.events[order[next]].enter_ns < thread.start_ns; ++next) {
      const Event& event = before.events[order[next]];
      if (event.thread > 0 && event.thread <= threads_.size()) resume_event(before, event);
    }
    resume_thread(before, thread);
  }
  for (; next < order.size(); ++next) {
    const Event& event = before.events[order[next]];
    if (event.thread > 0 && event.thread <= threads_.size()) resume_event(before, event);
  }
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// What each call means for what comes later, and what it must be told from what came before.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>

#include "trace/collect/assemble/assembler.h"
#include "trace/ops.h"

namespace reel::trace {
namespace {

constexpr uint64_t kCloseRangeCloexec = 4;

std::shared_ptr<OpenFile> nameless() {
  return std::make_shared<OpenFile>();
}

}  // namespace

Status Assembler::complete(ThreadState& at, const Raw& raw, Event& event, const std::string& full,
                           const std::string& full2, bool& wanted) {
  Process& process = *at.process;
  switch (family_of(event.op)) {
    case Family::open:
      complete_open(process, raw, event, full);
      break;
    case Family::descriptor:
      complete_descriptors(process, event);
      break;
    case Family::transfer:
    case Family::truncate:
      complete_data(process, event);
      break;
    case Family::copy:
      complete_copy(process, event);
      break;
    case Family::mapping:
      wanted = complete_mapping(process, event);
      break;
    case Family::move:
      if (event.op == Op::rename && !event.failed()) renamed(full, full2);
      break;
    case Family::question:
      if (event.op == Op::chdir && !event.failed()) changed_directory(process, event, full);
      break;
    case Family::memory:
      complete_memory(process, event);
      break;
    case Family::process:
      return complete_process(at, raw, event, full, wanted);
    default:
      break;
  }
  return ok();
}

void Assembler::changed_directory(Process& process, const Event& event, const std::string& full) {
  if (!full.empty()) process.cwd = full;
  if (const OpenFile* file = full.empty() ? process.table.file(event.fd.number) : nullptr) process.cwd = file->path;
}

Status Assembler::complete_process(ThreadState& at, const Raw& raw, Event& event, const std::string& full,
                                   bool& wanted) {
  Process& process = *at.process;
  switch (event.op) {
    case Op::exit:
      process.exit = event;
      process.exit_thread = event.thread;
      wanted = false;  // it is the last of the process, whatever libc still does
      break;
    case Op::setid:
      if (!event.failed() && static_cast<uint32_t>(event.arg) != ~0u) at.thread.uid = static_cast<uint32_t>(event.arg);
      break;
    case Op::clone_thread:
      if (auto made = by_tid_.find(static_cast<int32_t>(event.result)); event.result > 0 && made != by_tid_.end())
        event.arg = made->second;
      break;
    case Op::exec: {
      TRY_ASSIGN(event.path2, writer_.string(StringKind::arguments, raw.data));
      if (!event.failed()) became(at, full);
      break;
    }
    case Op::fork:
    case Op::wait:
      return complete_child(at, event);
    case Op::vfork: {
      uint32_t maker = event.thread;
      at.spawn.enter_ns = raw.event.enter_ns;
      TRY(complete_child(at, event));
      return spawned(maker, event.failed() ? 0 : static_cast<uint32_t>(event.arg), raw.data);
    }
    default:
      break;
  }
  return ok();
}

void Assembler::complete_open(Process& process, const Raw& raw, Event& event, const std::string& full) {
  if (event.failed()) return;
  auto file = std::make_shared<OpenFile>();
  file->path = full;
  file->object = event.object;
  file->append = (event.flags & O_APPEND) != 0;
  if (raw.object) {
    file->seekable = S_ISREG(raw.object->mode);
    if (surroundings_.first_hand()) sizes_[event.object] = raw.object->size;
    if (!surroundings_.first_hand()) sizes_.try_emplace(event.object, raw.object->size);
    if ((event.flags & O_TRUNC) != 0) sizes_[event.object] = 0;
    if (S_ISDIR(raw.object->mode)) directories_.push_back(file);
  }
  if (raw.before && raw.before->links == 0) event.arg2 = 1;
  auto number = static_cast<int32_t>(event.result);
  event.fd2 = {number, process.table.give(number, file, (event.flags & O_CLOEXEC) != 0)};
}

void Assembler::complete_descriptors(Process& process, Event& event) {
  FdTable& table = process.table;
  auto number = static_cast<int32_t>(event.result);
  auto shared = [&](int32_t from) {
    const Slot* slot = table.find(from);
    return slot ? slot->file : nameless();
  };
  if (event.op == Op::close) {
    if (event.result != -EBADF) table.close(event.fd.number);
    return;
  }
  if (event.failed() || event.op == Op::connect) return;
  bool close_on_exec = (event.flags & O_CLOEXEC) != 0;
  switch (event.op) {
    case Op::dup:
      event.fd2 = {number, table.give(number, shared(event.fd.number), close_on_exec)};
      break;
    case Op::dup2:
      if (event.fd.number != event.fd2.number)
        event.fd2.generation = table.give(event.fd2.number, shared(event.fd.number), close_on_exec);
      break;
    case Op::fcntl:
      if (event.arg == F_SETFD) table.set_close_on_exec(event.fd.number, (event.flags & FD_CLOEXEC) != 0);
      if (OpenFile* file = event.arg == F_SETFL ? table.file(event.fd.number) : nullptr)
        file->append = (event.flags & O_APPEND) != 0;
      break;
    case Op::pipe:
    case Op::socketpair: {
      bool cloexec = close_on_exec || (event.op == Op::socketpair && (event.mode & O_CLOEXEC) != 0);
      event.fd.generation = table.give(event.fd.number, nameless(), cloexec);
      event.fd2.generation = table.give(event.fd2.number, nameless(), cloexec);
      break;
    }
    case Op::close_range:
      if ((event.flags & kCloseRangeCloexec) != 0) {
        for (int32_t fd = event.fd.number; fd <= std::min(event.fd2.number, event.fd.number + 65536); ++fd)
          table.set_close_on_exec(fd, true);
      } else {
        table.close_range(event.fd.number, event.fd2.number);
      }
      break;
    case Op::accept: {
      auto peer = by_pid_.find(static_cast<int32_t>(event.arg));
      event.arg = peer == by_pid_.end() ? 0 : peer->second->number;
      event.fd2 = {number, table.give(number, nameless(), close_on_exec)};
      break;
    }
    default:  // socket, other_fd
      event.fd2 = {number, table.give(number, nameless(), close_on_exec || (event.mode & O_CLOEXEC) != 0)};
      break;
  }
}

// The position of the descriptor is where the call worked, and moves on.
void Assembler::move(OpenFile& file, Event& event, int64_t moved, bool writes) {
  uint64_t& size = sizes_[file.object];
  if (writes && file.append) file.position = size;
  event.offset = file.position;
  if (moved > 0) file.position += static_cast<uint64_t>(moved);
  if (writes) size = std::max(size, file.position);
}

void Assembler::complete_data(Process& process, Event& event) {
  OpenFile* file = event.fd.number >= 0 ? process.table.file(event.fd.number) : nullptr;
  bool known = file && file->seekable;
  switch (event.op) {
    case Op::read:
    case Op::readv:
    case Op::write:
    case Op::writev: {
      bool writes = event.op == Op::write || event.op == Op::writev;
      if (known)
        move(*file, event, event.result, writes);
      else
        event.flags |= kOffsetUnknown;
      break;
    }
    case Op::pwrite:
    case Op::pwritev:
    case Op::aio_write:
    case Op::uring_write:
      if (known && event.result > 0) {
        uint64_t& size = sizes_[file->object];
        size = std::max(size, event.offset + static_cast<uint64_t>(event.result));
      }
      break;
    case Op::lseek:
      if (known && event.result >= 0) file->position = static_cast<uint64_t>(event.result);
      break;
    case Op::truncate:
      if (!event.failed() && !event.object.is_zero()) sizes_[event.object] = event.length;
      break;
    default:
      break;
  }
}

void Assembler::complete_copy(Process& process, Event& event) {
  OpenFile* from = process.table.file(event.fd.number);
  OpenFile* to = process.table.file(event.fd2.number);
  if (event.op == Op::clone_range) {  // has its offsets, and moves no position
    if (to) event.object2 = to->object;
    return;
  }
  int64_t moved = event.result;
  if ((event.flags & 1) == 0 && from && from->seekable) {
    event.offset = from->position;
    if (moved > 0) from->position += static_cast<uint64_t>(moved);
  }
  if (!to) return;
  event.object2 = to->object;
  if (!to->seekable || (event.flags & 2) != 0) return;
  event.arg2 = to->position;
  if (moved > 0) to->position += static_cast<uint64_t>(moved);
  uint64_t& size = sizes_[to->object];
  size = std::max(size, to->position);
}

// False: it is about memory that is no file's.
bool Assembler::complete_mapping(Process& process, Event& event) {
  auto& mappings = process.mappings;
  if (event.op == Op::mmap) {
    if (!event.failed()) mappings[static_cast<uint64_t>(event.result)] = {event.length, event.offset, event.object};
    return true;
  }
  if (event.op == Op::mremap) return true;
  auto at = mappings.upper_bound(event.arg);
  if (at != mappings.begin() && std::prev(at)->first + std::prev(at)->second.length > event.arg) --at;
  bool any = at != mappings.end() && at->first < event.arg + event.length;
  if (!any) return false;
  event.object = at->second.object;
  event.offset = at->second.offset + (event.arg > at->first ? event.arg - at->first : 0);
  if (event.op != Op::munmap || event.failed()) return true;
  while (at != mappings.end() && at->first < event.arg + event.length) {
    uint64_t end = at->first + at->second.length, hole_end = event.arg + event.length;
    Mapping rest = at->second;
    uint64_t begin = at->first;
    at = mappings.erase(at);
    if (begin < event.arg) mappings[begin] = {event.arg - begin, rest.offset, rest.object};
    if (end > hole_end) mappings[hole_end] = {end - hole_end, rest.offset + (hole_end - begin), rest.object};
  }
  return true;
}

// Who woke it; or where in which file the object is, if its memory is a file's.
void Assembler::complete_memory(Process& process, Event& event) {
  if (event.op == Op::futex_wake) return;
  if (event.op == Op::futex_wait) {
    auto waker = by_tid_.find(static_cast<int32_t>(event.arg));
    event.arg = waker == by_tid_.end() ? 0 : waker->second;
    return;
  }
  for (const auto* mappings : {&process.mappings, &process.born_with}) {
    auto at = mappings->upper_bound(event.arg);
    if (at == mappings->begin()) continue;
    --at;
    if (event.arg - at->first >= at->second.length) continue;
    event.object = at->second.object;
    event.offset = at->second.offset + (event.arg - at->first);
    return;
  }
}

Status Assembler::complete_child(ThreadState& at, Event& event) {
  if (event.failed() || event.result == 0) return ok();
  auto pid = static_cast<int32_t>(event.result);
  if (event.op == Op::wait) {
    auto known = by_pid_.find(pid);
    if (known == by_pid_.end()) return ok();
    event.arg = known->second->number;
    // An end by a signal is known from here; stopped and continued children live on.
    auto status = static_cast<int>(event.mode);
    if (WIFSTOPPED(status) || WIFCONTINUED(status)) return ok();
    return process_ended(pid, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
  }
  // A child may have come to its end before its maker's call is heard to return: then it is one that began since.
  auto known = by_pid_.find(pid);
  if (known != by_pid_.end() &&
      (!known->second->ended || state(known->second->number).thread.start_ns >= event.enter_ns)) {
    event.arg = known->second->number;
    return ok();
  }
  uint64_t made = event.exit_ns() - ahead_ns_;
  TRY_ASSIGN(uint32_t number, child_of(at, pid, made, at.program));
  event.arg = number;
  return ok();
}

// Open directories and working directories below it have another name now.
void Assembler::renamed(const std::string& from, const std::string& to) {
  auto below = [&](std::string& path) {
    if (path == from)
      path = to;
    else if (path.size() > from.size() && path.starts_with(from) && path[from.size()] == '/')
      path = to + path.substr(from.size());
  };
  for (std::weak_ptr<OpenFile>& weak : directories_)
    if (auto file = weak.lock()) below(file->path);
  std::erase_if(directories_, [](const std::weak_ptr<OpenFile>& weak) { return weak.expired(); });
  for (auto& [pid, process] : by_pid_)
    if (!process->ended) below(process->cwd);
}

// The process runs another program now.
void Assembler::became(ThreadState& at, std::string_view program) {
  size_t slash = program.rfind('/');
  at.program = program.substr(slash == std::string_view::npos ? 0 : slash + 1);
  at.process->exec_pending = false;
  at.process->table.exec();
  at.process->mappings.clear();
  at.process->born_with.clear();
}

// A program begins: after an exec in a process that is known, or as the first thing seen of one.
Status Assembler::hello(ThreadState& at, const Raw& raw) {
  Event event = at.process->exec;
  if (!at.process->exec_pending) {
    event = Event{};
    event.op = Op::exec;
    event.enter_ns = in_real_time(raw.event.enter_ns);
    std::string full = join_path("", raw.path);
    TRY_ASSIGN(event.path, writer_.string(StringKind::path, full));
  }
  if (!raw.path2.empty() && at.thread.parent == 0) at.process->cwd = raw.path2;
  became(at, raw.path);
  event.thread = at.thread.number;
  uint64_t now = in_real_time(raw.event.exit_ns);
  event.duration_ns = now > event.enter_ns ? now - event.enter_ns : 0;
  emit(event, "");
  return ok();
}

// A descriptor that libc opened within itself: it was opened some time before this.
Status Assembler::unseen(ThreadState& at, const Raw& raw) {
  if (at.process->table.find(raw.event.fd) || !raw.path.starts_with('/')) return ok();
  Raw call = raw;
  call.event.op = static_cast<uint16_t>(Op::open);
  call.event.result = raw.event.fd;
  call.event.fd = -1;
  call.event.flags |= O_CLOEXEC;
  call.event.exit_ns = call.event.enter_ns;
  return take(at.thread.number, call);
}

Status Assembler::exec_tried(ThreadState& at, const Raw& raw) {
  Process& process = *at.process;
  Event event;
  std::string full, full2;
  Raw call = raw;
  call.event.op = static_cast<uint16_t>(Op::exec);
  TRY(base_event(at, call, event, full, full2));
  TRY(initial_.used(call, event, full, full2));
  TRY_ASSIGN(event.path2, writer_.string(StringKind::arguments, raw.data));
  process.exec = event;
  process.exec_pending = true;
  return ok();
}

Status Assembler::process_ended(int32_t pid, int signal) {
  auto at = by_pid_.find(pid);
  if (at == by_pid_.end() || at->second->ended) return ok();
  Process& process = *at->second;
  process.ended = true;
  aio_.process_ended(pid);
  if (process.exec_pending) {
    process.exec.thread = process.number;
    emit(process.exec, "");
    const std::string path = "pid " + std::to_string(pid) +
                             " became a program that does not load the recorder (static, or with other rights)";
    TRY(writer_.loss({process.exec.enter_ns, process.number, 0, path}));
  }
  Event event;
  event.op = Op::exit;
  event.thread = process.number;
  if (process.exit) event = *process.exit;
  event.enter_ns = std::max(event.enter_ns, process.last_ns);
  event.duration_ns = 0;
  if (signal != 0) event.mode = static_cast<uint64_t>(signal);
  emit(event, "");
  return ok();
}

Status Assembler::finish() {
  for (auto& [pid, process] : by_pid_) TRY(process_ended(pid));
  TRY(counters_.write(writer_));
  return flush();
}

}  // namespace reel::trace

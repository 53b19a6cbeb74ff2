// SPDX-License-Identifier: Apache-2.0
//
// The ptrace recorder's loop: every thread of the command and of what it starts stops before and after each call. No
// seccomp filter picks the calls: under one, whose answer is to ask the tracer, every call of a program whose tracer
// was killed fails. So it only goes on, unrecorded. (Calls that are not recorded cost their stops, too.)
#include "trace/ptrace/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "trace/collect/collector.h"
#include "trace/ptrace/memory.h"

namespace reel::trace {
namespace {

constexpr int kWaitMs = 20;
constexpr uint64_t kFlush_ns = 100'000'000;  // what is older is in the log: a block for each call would be slow

long options() {
  return PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
}

struct StatusFile {
  int32_t tgid = 0, ppid = 0;
  uint32_t uid = 0, gid = 0;
  std::string name;
};

StatusFile read_status(int32_t tid) {
  StatusFile status;
  std::ifstream in("/proc/" + std::to_string(tid) + "/status");
  for (std::string key; in >> key;) {
    uint32_t real = 0;
    if (key == "Name:") in >> status.name;
    if (key == "Tgid:") in >> status.tgid;
    if (key == "PPid:") in >> status.ppid;
    if (key == "Uid:") in >> real >> status.uid;
    if (key == "Gid:") in >> real >> status.gid;
    in.ignore(4096, '\n');
  }
  return status;
}

bool may_change_what_is_there(const FetchedCall& call) {
  switch (call.shape->op) {
    case Op::unlink:
    case Op::rename:
    case Op::rmdir:
    case Op::link:
    case Op::truncate:
    case Op::chmod:
    case Op::chown:
    case Op::utimens:
    case Op::setxattr:
    case Op::removexattr:
      return true;
    case Op::open:
      return (call.shape->number == SYS_creat) || (call.arguments[call.shape->path + 1] & (O_CREAT | O_TRUNC)) != 0 ||
             call.has_blob;
    default:
      return false;
  }
}

bool names_the_link_itself(Op op) {
  return op == Op::unlink || op == Op::rename || op == Op::rmdir || op == Op::link;
}

}  // namespace

Status Tracer::attach(int32_t pid) {
  int status = 0;
  // The child stops itself before it does anything.
  while (::waitpid(pid, &status, WUNTRACED) < 0 && errno == EINTR) {
  }
  if (::ptrace(PTRACE_SEIZE, pid, nullptr, options()) != 0)
    return Error::from_errno(errno,
                             "ptrace of the command (is it forbidden here? see /proc/sys/kernel/yama/ptrace_scope)");
  ::kill(pid, SIGCONT);
  tracees_[pid].pid = pid;
  return ok();
}

void Tracer::identify(int32_t tid, Tracee& tracee) {
  if (tracee.thread) return;
  tracee.thread = std::make_shared<TracedThread>();
  StatusFile status = read_status(tid);
  Origin& origin = tracee.thread->origin;
  origin.pid = tracee.pid = status.tgid != 0 ? status.tgid : tid;
  origin.tid = tid;
  origin.ppid = status.ppid;
  origin.parent = tracee.parent;
  origin.uid = status.uid;
  origin.gid = status.gid;
  origin.made_ns = monotonic_now();
  origin.name = status.name;
  origin.begins = true;
}

// The CPU time of the gap before a call; unknown where the kernel does not tell it.
void Tracer::measure_gap(int32_t tid, Tracee& tracee) {
  if (!tracee.cpu) tracee.cpu = std::make_unique<CpuTime>(tid);
  tracee.gap.reset();
  uint64_t gap = tracee.call.enter_ns - tracee.left_ns;
  if (tracee.left_ns == 0 || !tracee.left || gap < wire::kGap_ns) return;
  if (std::optional<CpuTime::Times> now = tracee.cpu->now())
    tracee.gap = {std::min(gap, now->cpu_ns - tracee.left->cpu_ns), now->queued_ns - tracee.left->queued_ns};
}

Status Tracer::entered(int32_t tid, Tracee& tracee, const CallInfo& info) {
  if (info.arch != AUDIT_ARCH_X86_64) other_machine_ = true;
  const CallShape* shape = info.arch == AUDIT_ARCH_X86_64 ? shape_of(info.entry.nr) : nullptr;
  if (!shape) return ok();
  identify(tid, tracee);
  tracee.call = FetchedCall{};
  tracee.call.shape = shape;
  for (int i = 0; i < 6; ++i) tracee.call.arguments[i] = info.entry.args[i];
  fetch_before(tid, tracee.call);
  tracee.before.reset();
  if (shape->path >= 0 && !tracee.call.path.empty() && may_change_what_is_there(tracee.call)) {
    int32_t dirfd = shape->dirfd == kCwdArg ? AT_FDCWD : static_cast<int32_t>(info.entry.args[shape->dirfd]);
    uint64_t begin = monotonic_now();
    tracee.before = look_as(tid, dirfd, tracee.call.path, !names_the_link_itself(shape->op));
    own_times_.add(shape->op, monotonic_now() - begin, 0);
  }
  tracee.in_call = true;
  tracee.call.enter_ns = monotonic_now();
  measure_gap(tid, tracee);
  if (shape->number == SYS_exit || shape->number == SYS_exit_group) {
    // There is no return.
    tracee.call.exit_ns = tracee.call.enter_ns;
    tracee.in_call = false;
    TRY(emit(tid, tracee));
  }
  return ok();
}

Status Tracer::returned(int32_t tid, Tracee& tracee, const CallInfo& info, uint64_t now) {
  if (!tracee.in_call) return ok();
  tracee.in_call = false;
  tracee.call.exit_ns = now;
  tracee.call.result = info.exit.rval;
  fetch_after(tid, tracee.call);
  Status done = emit(tid, tracee);
  tracee.left_ns = now;
  tracee.left = tracee.cpu->now();
  return done;
}

// At the beginning or the end of a call.
Status Tracer::at_call(int32_t tid, Tracee& tracee) {
  uint64_t now = monotonic_now();
  CallInfo info{};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, tid, reinterpret_cast<void*>(sizeof info), &info) <= 0) return ok();
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY) return entered(tid, tracee, info);
  return info.op == PTRACE_SYSCALL_INFO_EXIT ? returned(tid, tracee, info, now) : ok();
}

Status Tracer::emit(int32_t tid, Tracee& tracee) {
  const FetchedCall& call = tracee.call;
  // A call that is begun again after a signal is one call of the program.
  if (call.result <= -512 && call.result >= -516) return ok();
  bool closes = call.shape->number == SYS_close;
  Held held;
  held.key = closes ? call.enter_ns : call.exit_ns;
  held.thread = tracee.thread;
  held.call = call;
  held.before = tracee.before;
  held.gap = tracee.gap;
  Raw raw;
  if (!to_raw(held.call, raw)) return deliver();
  bool succeeded = call.result >= 0;
  if (raw.op() == Op::open && succeeded) held.object = look_at_fd(tid, static_cast<int32_t>(call.result));
  if (raw.op() == Op::stat && succeeded) {
    if (raw.path.empty())
      held.object = look_at_fd(tid, raw.event.fd);
    else
      held.object = look_as(tid, raw.event.fd, call.path, (raw.event.flags & AT_SYMLINK_NOFOLLOW) == 0);
  }
  held_.push_back(std::move(held));
  return deliver();
}

// The number of a close is free before it returns, and another thread's open may have it and return first. So calls
// that returned after a close began wait until that has returned, too, and comes before them.
Status Tracer::deliver() {
  uint64_t until = ~0ull;
  for (const auto& [tid, tracee] : tracees_)
    if (tracee.in_call && tracee.call.shape->number == SYS_close) until = std::min(until, tracee.call.enter_ns);
  std::stable_sort(held_.begin(), held_.end(), [](const Held& a, const Held& b) { return a.key < b.key; });
  size_t done = 0;
  for (; done < held_.size() && held_[done].key < until; ++done) {
    Held& held = held_[done];
    if (held.ended != 0) {
      TRY(assembler_.process_ended(held.ended, held.signal));
      continue;
    }
    Raw raw;
    to_raw(held.call, raw);
    raw.before = held.before;
    raw.object = held.object;
    if (held.gap) {
      raw.cpu_ns = held.gap->cpu_ns;
      raw.queued_ns = held.gap->queued_ns;
    }
    if (held.thread->number == 0) {
      TRY_ASSIGN(held.thread->number, assembler_.thread(held.thread->origin));
    }
    TRY(assembler_.take(held.thread->number, raw));
  }
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(done));
  return ok();
}

// The new one has stopped, or will; it is known who made it.
Status Tracer::made_child(int32_t tid) {
  unsigned long child = 0;
  if (::ptrace(PTRACE_GETEVENTMSG, tid, nullptr, &child) != 0) return ok();
  Tracee& made = tracees_[static_cast<int32_t>(child)];
  made.parent = tid;
  return ok();
}

Status Tracer::ended(int32_t tid, int status) {
  tracees_.erase(tid);
  if (tid == command_) exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  // Behind its own last calls, which may still be held.
  Held& held = held_.emplace_back();
  held.key = monotonic_now();
  held.ended = tid;
  held.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return deliver();
}

Status Tracer::stopped(int32_t tid, int status) {
  Tracee& tracee = tracees_[tid];
  int signal = WSTOPSIG(status), deliver = 0;
  Status done = ok();
  switch (status >> 16) {
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
      done = made_child(tid);
      break;
    case PTRACE_EVENT_STOP:
      if (signal == SIGTRAP) break;
      ::ptrace(PTRACE_LISTEN, tid, nullptr, 0);  // stopped as a job: stays so until SIGCONT
      return ok();
    case 0:
      if (signal == (SIGTRAP | 0x80))
        done = recording_ ? at_call(tid, tracee) : ok();
      else
        deliver = signal;  // on its way to the program
      break;
    default:
      break;
  }
  // Whatever went wrong here, the program goes on.
  ::ptrace(recording_ ? PTRACE_SYSCALL : PTRACE_CONT, tid, nullptr, deliver);
  return done;
}

Result<Ran> Tracer::run(const std::vector<std::string>& command) {
  Command running;
  TRY(running.launch(command, {}, [] {
    ::raise(SIGSTOP);
    make_calibration_calls();
  }));
  command_ = running.pid();
  assembler_.begin(command_, std::filesystem::current_path().string());
  TRY(attach(command_));
  // Waiting for stops must be all that this thread does between them; signals have another.
  std::atomic<bool> over = false;
  std::thread signals([&] {
    while (!over) running.pass_signals(kWaitMs);
  });
  follow();
  over = true;
  signals.join();
  if (exit_code_ == 127) TRY(running.launched());
  if (recording_) fail_on(deliver());
  if (recording_) fail_on(assembler_.finish());
  return Ran{exit_code_, std::move(failed_)};
}

// Until nobody is left. When the trace cannot be written any more the program goes on all the same.
void Tracer::follow() {
  uint64_t flushed = monotonic_now();
  for (;;) {
    int status = 0;
    int32_t tid = ::waitpid(-1, &status, __WALL);
    if (tid < 0 && errno == ECHILD) return;
    if (recording_ && monotonic_now() - flushed >= kFlush_ns) {
      flushed = monotonic_now();
      fail_on(assembler_.flush());
    }
    if (tid <= 0) continue;
    fail_on(WIFSTOPPED(status) ? stopped(tid, status) : ended(tid, status));
  }
}

void Tracer::fail_on(Status done) {
  if (done || !recording_) return;
  failed_ = std::move(done);
  recording_ = false;
}

}  // namespace reel::trace

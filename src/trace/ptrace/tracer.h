// SPDX-License-Identifier: Apache-2.0
//
// The ptrace recorder: sees every system call of a command and all it starts, static programs and Go
// too, without privileges. A call costs two stops, as with strace.
#pragma once

#include <sys/ptrace.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "trace/collect/assemble/assembler.h"
#include "trace/collect/syscalls/syscalls.h"
#include "trace/ptrace/cpu_time.h"
#include "trace/recording/command.h"

namespace reel::trace {

// <linux/ptrace.h> cannot stand beside <sys/ptrace.h>; glibc has the structure under its own name.
using CallInfo = struct __ptrace_syscall_info;

class Tracer {
 public:
  explicit Tracer(Assembler& assembler) : assembler_(assembler) {}

  // Runs the command until it and all that it started have ended; the exit code is the command's.
  // Errors: it could not be run.
  Result<Ran> run(const std::vector<std::string>& command);
  const OwnTimes& own_times() const { return own_times_; }
  bool saw_other_machine() const { return other_machine_; }  // 32-bit programs: not recorded

 private:
  // Has its number in the trace from its first call's turn on: what its maker did before must be taken before.
  struct TracedThread {
    Origin origin;
    uint32_t number = 0;
  };

  struct Tracee {
    int32_t pid = 0;     // of its process
    int32_t parent = 0;  // tid of the maker
    bool in_call = false;
    std::shared_ptr<TracedThread> thread;
    FetchedCall call;
    std::optional<wire::Object> before;
    std::unique_ptr<CpuTime> cpu;
    uint64_t left_ns = 0;                // when its last call returned
    std::optional<CpuTime::Times> left;  // and its times then
    std::optional<CpuTime::Times> gap;   // those between that and the call it is in
  };

  // A call that has returned, or the end of a process, until its turn.
  struct Held {
    uint64_t key = 0;  // its exit; of a close its entry
    std::shared_ptr<TracedThread> thread;
    int32_t ended = 0;  // the process, and the signal that ended it; 0: it is a call
    int signal = 0;
    FetchedCall call;
    std::optional<wire::Object> before, object;
    std::optional<CpuTime::Times> gap;
  };

  Status attach(int32_t pid);
  void follow();
  void fail_on(Status done);
  Status at_call(int32_t tid, Tracee& tracee);
  Status stopped(int32_t tid, int status);
  Status entered(int32_t tid, Tracee& tracee, const CallInfo& info);
  Status returned(int32_t tid, Tracee& tracee, const CallInfo& info, uint64_t now);
  Status emit(int32_t tid, Tracee& tracee);
  Status deliver();
  Status made_child(int32_t tid);
  Status ended(int32_t tid, int status);
  void identify(int32_t tid, Tracee& tracee);
  void measure_gap(int32_t tid, Tracee& tracee);

  Assembler& assembler_;
  std::unordered_map<int32_t, Tracee> tracees_;
  std::vector<Held> held_;
  OwnTimes own_times_;
  int32_t command_ = 0;
  int exit_code_ = 0;
  bool other_machine_ = false;
  bool recording_ = true;  // false: the trace cannot be written any more, for the reason in failed_
  Status failed_ = ok();
};

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// The ptrace recorder: sees every system call of a command and all it starts, static programs and Go
// too, without privileges. A seccomp filter stops them only at the calls that are recorded. A call
// costs two stops, as with strace.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "trace/collect/assembler.h"
#include "trace/collect/syscalls.h"
#include "trace/command.h"
#include "trace/ptrace/cpu_time.h"

namespace reel::trace {

class Tracer {
 public:
  explicit Tracer(Assembler& assembler) : assembler_(assembler) {}

  // Runs the command until it and all that it started have ended; the exit code is the command's.
  Result<int> run(const std::vector<std::string>& command);
  const OwnTimes& own_times() const { return own_times_; }
  bool saw_other_machine() const { return other_machine_; }  // 32-bit programs: not recorded

 private:
  struct Tracee {
    int32_t pid = 0;     // of its process
    int32_t parent = 0;  // tid of the maker
    bool in_call = false;
    bool known = false;  // its thread has a number
    uint32_t thread = 0;
    FetchedCall call;
    std::optional<wire::Object> before;
    std::unique_ptr<CpuTime> cpu;
    uint64_t left_ns = 0;                 // when its last call returned
    std::optional<uint64_t> left_cpu_ns;  // and the CPU time it had had then
    std::optional<uint64_t> gap_cpu_ns;   // between that and the call it is in
  };

  Status attach(int32_t pid);
  Status follow();
  Status stopped(int32_t tid, int status);
  Status entered(int32_t tid, Tracee& tracee);
  Status returned(int32_t tid, Tracee& tracee);
  Status emit(int32_t tid, Tracee& tracee);
  Status made_child(int32_t tid);
  Status ended(int32_t tid, int status);
  Result<uint32_t> thread_of(int32_t tid, Tracee& tracee);
  void measure_gap(int32_t tid, Tracee& tracee);

  Assembler& assembler_;
  std::unordered_map<int32_t, Tracee> tracees_;
  OwnTimes own_times_;
  int32_t command_ = 0;
  int exit_code_ = 0;
  bool other_machine_ = false;
};

// In the child, before its exec: from now on the calls of all_shapes() stop for the tracer. False
// with errno when the kernel does not let us.
bool install_call_filter();

}  // namespace reel::trace

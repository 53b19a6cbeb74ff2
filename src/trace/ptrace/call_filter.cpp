// SPDX-License-Identifier: Apache-2.0
//
// The seccomp filter of the ptrace recorder.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace/ptrace/tracer.h"

namespace reel::trace {
namespace {

constexpr size_t kMaxShapes = 250;  // a jump reaches 255 instructions

}  // namespace

bool install_call_filter() {
  size_t count = 0;
  const CallShape* shapes = all_shapes(count);
  if (count > kMaxShapes) return false;
  struct sock_filter code[kMaxShapes + 8];
  unsigned short at = 0;
  auto add = [&](struct sock_filter instruction) { code[at++] = instruction; };
  add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
  add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
  add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
  for (size_t i = 0; i < count; ++i) {
    auto to_trace = static_cast<unsigned char>(count - i);
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, shapes[i].number, to_trace, 0));
  }
  add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
  struct sock_fprog program = {at, code};
  // With the privilege the programs that are run keep what rights their files give them.
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0) return true;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

}  // namespace reel::trace

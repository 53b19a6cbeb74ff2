// SPDX-License-Identifier: Apache-2.0
//
// Processes and threads: how they begin, become another program, wait for each other and end. A
// program that is started gets the environment that loads this shim again.
#include <alloca.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trace/preload/calls/spawn.h"
#include "trace/preload/process_state.h"
#include "trace/preload/shim.h"

using namespace reel::trace;        // NOLINT: the whole file is about them
using namespace reel::trace::shim;  // NOLINT

extern "C" char** environ;

namespace {

constexpr char kPreload[] = "LD_PRELOAD=";
constexpr char kAsan[] = "ASAN_OPTIONS=";
constexpr char kRank[] = "REEL_RECORD_RANK=1";
constexpr size_t kInjected = 4;

bool begins(const char* text, const char* with) {
  return strncmp(text, with, strlen(with)) == 0;
}

bool is_dir_entry(const char* entry) {
  return begins(entry, wire::kEnvDir) && entry[strlen(wire::kEnvDir)] == '=';
}

size_t count_of(char* const* list) {
  size_t count = 0;
  while (list && list[count]) ++count;
  return count;
}

// "LD_PRELOAD=our file[:what was there]", "REEL_RECORD_DIR=...", and that AddressSanitizer may come behind us.
struct Injection {
  char preload[8300];
  char dir[4200];
  char asan[4200];
};

// What is needed to start a program. Not on the stack, which may be a signal handler's of a few KiB.
struct Desk {
  size_t bytes;  // of all
  Injection text;
  char arguments[wire::kMaxArguments];  // one behind the other
  char found[wire::kMaxPath];           // along PATH
  char* environment[];
};

// The desk that this thread has: a vfork's child leaves it to its parent when it becomes another program.
__thread Desk* desk_in_use __attribute__((tls_model("initial-exec")));

void clear_desk(Desk* before) {
  if (desk_in_use != before)
    kernel(SYS_munmap, reinterpret_cast<long>(desk_in_use), static_cast<long>(desk_in_use->bytes));
  desk_in_use = before;
}

// `list` has room for all of `from`, kInjected more and a null. Returns it, or `from` when that
// has all already.
char** inject(char* const* from, char** list, Injection& text) {
  char* preload = nullptr;
  bool has_dir = false, has_asan = false, has_rank = !process().ranks_only;
  const char* asan = "";
  size_t count = 0;
  for (size_t i = 0; from && from[i]; ++i) {
    if (begins(from[i], kPreload)) {
      preload = from[i];
      continue;
    }
    if (is_dir_entry(from[i])) {
      has_dir = strcmp(from[i] + strlen(wire::kEnvDir) + 1, ring_dir()) == 0;
      continue;
    }
    if (begins(from[i], kAsan) && strlen(from[i]) < 4000) {
      asan = from[i] + strlen(kAsan);
      has_asan = strstr(asan, wire::kAsanOrder) != nullptr;
      continue;
    }
    if (begins(from[i], kRank)) has_rank = true;
    list[count++] = from[i];
  }
  if (preload && has_dir && has_asan && has_rank && strstr(preload, own_path())) return const_cast<char**>(from);
  char* at = stpcpy(stpcpy(text.preload, kPreload), own_path());
  if (preload && strstr(preload, own_path()) == nullptr && preload[strlen(kPreload)] != '\0' &&
      strlen(preload) < 4000) {
    *at++ = ':';
    stpcpy(at, preload + strlen(kPreload));
  } else if (preload && strstr(preload, own_path())) {
    stpcpy(text.preload, strlen(preload) < sizeof text.preload ? preload : text.preload);
  }
  stpcpy(stpcpy(stpcpy(text.dir, wire::kEnvDir), "="), ring_dir());
  stpcpy(
      stpcpy(stpcpy(stpcpy(text.asan, kAsan), has_asan ? "" : wire::kAsanOrder), has_asan || *asan == '\0' ? "" : ":"),
      asan);
  if (!has_rank) list[count++] = const_cast<char*>(kRank);
  list[count++] = text.asan;
  list[count++] = text.preload;
  list[count++] = text.dir;
  list[count] = nullptr;
  return list;
}

// A program is started with this environment. Without memory for a desk it is started as if we were not there.
class Start {
 public:
  explicit Start(char* const* environment) : environment_(const_cast<char**>(environment)) {
    if (!process().control) return;
    size_t bytes = sizeof(Desk) + (count_of(environment) + kInjected + 1) * sizeof(char*);
    long at = kernel(SYS_mmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 && at > -4096) return;
    desk_ = reinterpret_cast<Desk*>(at);
    desk_->bytes = bytes;
    desk_in_use = desk_;
    environment_ = inject(environment, desk_->environment, desk_->text);
  }
  ~Start() { clear_desk(before_); }
  Desk* desk() const { return desk_; }
  char** environment() const { return environment_; }

 private:
  Desk* const before_ = desk_in_use;  // of the call that a signal handler, in which this is, interrupted
  Desk* desk_ = nullptr;
  char** environment_;
};

uint32_t pack_arguments(char* const* arguments, char* to) {
  uint32_t size = 0;
  for (size_t i = 0; arguments && arguments[i]; ++i) {
    size_t length = strlen(arguments[i]) + 1;
    if (size + length > wire::kMaxArguments) break;
    memcpy(to + size, arguments[i], length);
    size += static_cast<uint32_t>(length);
  }
  return size;
}

// The path, as long as the kernel can read it; else nothing, and the call will fail as it would without us. Most calls
// are recorded when they have told that themselves; these have to be before.
const char* readable(const char* path) {
  return path && kernel(SYS_access, reinterpret_cast<long>(path), F_OK) != -EFAULT ? path : nullptr;
}

// The attempt is written before it, for after it there is nobody left to write; the failure behind it.
class Exec {
 public:
  Exec(int dirfd, const char* path, char* const* arguments, Desk* desk) : call_(Op::exec) {
    if (!call_.on() || !desk) return;
    call_.set_op(wire::kOpExecTry);
    call_.fd = dirfd;
    call_.path(readable(path));
    call_.data(desk->arguments, pack_arguments(arguments, desk->arguments));
    call_.done(0);
    call_.data(nullptr, 0);
  }
  int failed(int result) {
    call_.set_op(static_cast<uint16_t>(Op::exec));
    return call_.result(result);
  }

 private:
  Call call_;
};

int do_exec(const char* path, char* const* arguments, char* const* environment) {
  REEL_REAL(int (*)(const char*, char* const*, char* const*), execve);
  Start start(environment);
  Exec exec(AT_FDCWD, path, arguments, start.desk());
  return exec.failed(real(path, arguments, start.environment()));
}

// What execvp will find, as it looks for it: the first file of the name along PATH that may be run. nullptr: nothing.
const char* find_along_path(const char* file, Desk* desk) {
  if (!desk || strchr(file, '/')) return file;
  char* found = desk->found;
  const char* list = getenv("PATH");
  size_t size = strlen(file);
  for (const char* at = list ? list : "/bin:/usr/bin"; *file;) {
    const char* end = strchrnul(at, ':');
    auto length = static_cast<size_t>(end - at);
    if (length + size + 2 <= sizeof desk->found) {
      char* to = static_cast<char*>(mempcpy(found, at, length));
      if (length > 0) *to++ = '/';
      memcpy(to, file, size + 1);
      if (kernel(SYS_access, reinterpret_cast<long>(found), X_OK) == 0) return found;
    }
    if (*end == '\0') break;
    at = end + 1;
  }
  return nullptr;
}

int do_exec_search(const char* file, char* const* arguments, char* const* environment) {
  REEL_REAL(int (*)(const char*, char* const*, char* const*), execvpe);
  Start start(environment);
  Exec exec(AT_FDCWD, file ? find_along_path(file, start.desk()) : nullptr, arguments, start.desk());
  return exec.failed(real(file, arguments, start.environment()));
}

}  // namespace

REEL_EXPORT int execve(const char* path, char* const arguments[], char* const environment[]) noexcept {
  return do_exec(path, arguments, environment);
}
REEL_EXPORT int execv(const char* path, char* const arguments[]) noexcept {
  return do_exec(path, arguments, environ);
}
REEL_EXPORT int execvp(const char* file, char* const arguments[]) noexcept {
  return do_exec_search(file, arguments, environ);
}
REEL_EXPORT int execvpe(const char* file, char* const arguments[], char* const environment[]) noexcept {
  return do_exec_search(file, arguments, environment);
}

// The arguments of execl and its kin, up to their null; `rest` is what follows it.
#define REEL_LIST_OF(arguments, first, rest)                                               \
  va_list rest;                                                                            \
  va_start(rest, first);                                                                   \
  size_t arguments##_count = 1;                                                            \
  while (va_arg(rest, char*)) ++arguments##_count;                                         \
  va_end(rest);                                                                            \
  auto** arguments = static_cast<char**>(alloca((arguments##_count + 1) * sizeof(char*))); \
  va_start(rest, first);                                                                   \
  arguments[0] = const_cast<char*>(first);                                                 \
  for (size_t i = 1; i <= arguments##_count; ++i) arguments[i] = va_arg(rest, char*)

REEL_EXPORT int execl(const char* path, const char* first, ...) noexcept {
  REEL_LIST_OF(arguments, first, rest);
  va_end(rest);
  return do_exec(path, arguments, environ);
}
REEL_EXPORT int execlp(const char* file, const char* first, ...) noexcept {
  REEL_LIST_OF(arguments, first, rest);
  va_end(rest);
  return do_exec_search(file, arguments, environ);
}
REEL_EXPORT int execle(const char* path, const char* first, ...) noexcept {
  REEL_LIST_OF(arguments, first, rest);
  char** environment = va_arg(rest, char**);
  va_end(rest);
  return do_exec(path, arguments, environment);
}
REEL_EXPORT int fexecve(int fd, char* const arguments[], char* const environment[]) noexcept {
  REEL_REAL(int (*)(int, char* const*, char* const*), fexecve);
  Start start(environment);
  Exec exec(fd, nullptr, arguments, start.desk());
  return exec.failed(real(fd, arguments, start.environment()));
}
REEL_EXPORT int execveat(int dirfd, const char* path, char* const arguments[], char* const environment[],
                         int flags) noexcept {
  REEL_REAL(int (*)(int, const char*, char* const*, char* const*, int), execveat);
  Start start(environment);
  Exec exec(dirfd, path, arguments, start.desk());
  return exec.failed(real(dirfd, path, arguments, start.environment(), flags));
}

namespace {

using SpawnFn = int (*)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*, char* const*,
                        char* const*);

// Seen as a vfork; the child's exec is known by its hello. posix_spawnp looks along PATH as execvp does.
int do_spawn(SpawnFn real, pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
             const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment, bool searches) {
  Start start(environment);
  if (!start.desk()) return real(pid, path, actions, attributes, arguments, start.environment());
  bool looks = searches && path && recording();
  Spawning spawning(looks ? find_along_path(path, start.desk()) : readable(path), actions);
  if (spawning.on()) spawning.begin(start.desk()->arguments, pack_arguments(arguments, start.desk()->arguments));
  pid_t child = 0;
  int error = real(&child, path, actions, attributes, arguments, start.environment());
  if (pid && error == 0) *pid = child;
  spawning.done(error, child);
  return error;
}

}  // namespace

REEL_EXPORT int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                            const posix_spawnattr_t* attributes, char* const arguments[], char* const environment[]) {
  REEL_REAL(SpawnFn, posix_spawn);
  return do_spawn(real, pid, path, actions, attributes, arguments, environment, false);
}
REEL_EXPORT int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                             const posix_spawnattr_t* attributes, char* const arguments[], char* const environment[]) {
  REEL_REAL(SpawnFn, posix_spawnp);
  return do_spawn(real, pid, file, actions, attributes, arguments, environment, true);
}

namespace {

pid_t do_fork(pid_t (*real)()) {
  Call call(Op::fork);
  long parent = kernel(SYS_gettid);
  pid_t pid = real();
  if (pid == 0) {
    if (process().is_here) *process().is_here = 1;
    forget_rings();
    set_parent(static_cast<int32_t>(parent));
    return 0;
  }
  return call.result(pid);
}

}  // namespace

REEL_EXPORT pid_t fork(void) noexcept {
  REEL_REAL(pid_t(*)(), fork);
  return do_fork(real);
}
REEL_EXPORT pid_t _Fork(void) noexcept {
  REEL_REAL(pid_t(*)(), _Fork);
  return do_fork(real);
}

// vfork returns twice on one stack, so no function may stand around it: the return address is kept in
// a register over the system call, as libc does it. The child runs in its parent's memory; the
// parent's rings are put away until it is gone.
namespace {
struct VforkState {
  ThreadSlot rings;
  uint64_t entered;
  Gap gap;  // before it
  int32_t parent;
  Desk* desk;
};
__thread VforkState vfork_state __attribute__((tls_model("initial-exec")));
}  // namespace

// True: the vfork has to be a fork, as ThreadSanitizer makes it one; its memory cannot be shared.
extern "C" __attribute__((visibility("hidden"), used)) bool reel_vfork_before() {
  vfork_state.gap = Gap{};
  if (!begin_call(vfork_state.entered, vfork_state.gap)) vfork_state.entered = 0;
  vfork_state.parent = static_cast<int32_t>(kernel(SYS_gettid));
  vfork_state.desk = desk_in_use;
  return process().has_tsan;
}
extern "C" __attribute__((visibility("hidden"), used)) pid_t reel_vfork_as_fork() {
  return fork();
}
extern "C" __attribute__((visibility("hidden"), used)) void reel_vfork_child() {
  take_rings(vfork_state.rings);
  set_parent(vfork_state.parent);
}
extern "C" __attribute__((visibility("hidden"), used)) void reel_vfork_parent(long result, void* stack) {
  if (result > 0) give_back_rings(vfork_state.rings);
  clear_desk(vfork_state.desk);
  if (process().asan_after_vfork) process().asan_after_vfork(stack);
  if (vfork_state.entered == 0) return;
  Call call(Op::vfork, vfork_state.entered, vfork_state.gap);
  call.done(result);
}
extern "C" __attribute__((visibility("hidden"), used)) int* reel_errno_place() {
  return &errno;
}

__asm__(R"(
        .text
        .globl  vfork
        .type   vfork, @function
vfork:
        .cfi_startproc
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    reel_vfork_before
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        testb   %al, %al
        jne     reel_vfork_as_fork
        popq    %rdi
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rdi
        movl    $58, %eax
        syscall
        pushq   %rdi
        .cfi_adjust_cfa_offset 8
        .cfi_offset %rip, -8
        testq   %rax, %rax
        jne     1f
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    reel_vfork_child
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        xorl    %eax, %eax
        ret
1:      pushq   %rax
        .cfi_adjust_cfa_offset 8
        movq    %rax, %rdi
        leaq    16(%rsp), %rsi
        call    reel_vfork_parent
        movq    (%rsp), %rax
        cmpq    $-4095, %rax
        jb      2f
        call    reel_errno_place
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        negl    %ecx
        movl    %ecx, (%rax)
        movq    $-1, %rax
        ret
2:      .cfi_adjust_cfa_offset 8
        popq    %rax
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size   vfork, .-vfork
)");

// Threads. The new one learns who made it through one of these slots; when all are taken it does not.
namespace {

struct StartSlot {
  void* (*function)(void*);
  void* argument;
  int32_t parent;
  bool hidden;
  int taken;
};
constexpr int kStartSlots = 256;
StartSlot start_slots[kStartSlots];

StartSlot* take_slot() {
  for (StartSlot& slot : start_slots) {
    int nobody = 0;
    if (__atomic_compare_exchange_n(&slot.taken, &nobody, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return &slot;
  }
  return nullptr;
}

void* start_thread(void* data) {
  auto* slot = static_cast<StartSlot*>(data);
  StartSlot mine = *slot;
  __atomic_store_n(&slot->taken, 0, __ATOMIC_RELEASE);
  set_parent(mine.parent);
  if (mine.hidden) hide_thread();
  return mine.function(mine.argument);
}

}  // namespace

REEL_EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*),
                               void* argument) noexcept {
  REEL_REAL(int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*), pthread_create);
  Call call(Op::clone_thread);
  bool hidden = reel::trace::shim::thread.inside != 0;
  StartSlot* slot = call.on() || hidden ? take_slot() : nullptr;
  if (slot) {
    slot->function = function;
    slot->argument = argument;
    slot->hidden = hidden;
    slot->parent = static_cast<int32_t>(kernel(SYS_gettid));
  }
  int error = slot ? real(thread, attributes, start_thread, slot) : real(thread, attributes, function, argument);
  if (slot && error != 0) __atomic_store_n(&slot->taken, 0, __ATOMIC_RELEASE);
  call.done(-error);
  return error;
}

// Ends. What exit() does after us (stdio's last writes) is still recorded.
#define REEL_EXIT(name)                          \
  REEL_EXPORT void name(int status) noexcept {   \
    REEL_REAL(void (*)(int), name);              \
    Call call(Op::exit);                         \
    call.args(static_cast<uint32_t>(status), 0); \
    call.done(0);                                \
    real(status);                                \
    __builtin_unreachable();                     \
  }
REEL_EXIT(_exit)
REEL_EXIT(_Exit)
REEL_EXIT(quick_exit)

#define REEL_WAIT(name, parameters, arguments, options)                \
  REEL_EXPORT pid_t name parameters {                                  \
    REEL_REAL(pid_t(*) parameters, name);                              \
    Call call(Op::wait);                                               \
    pid_t pid = real arguments;                                        \
    call.flags = static_cast<uint32_t>(options);                       \
    if (pid > 0 && status) call.mode = static_cast<uint32_t>(*status); \
    return call.result(pid);                                           \
  }
REEL_WAIT(wait, (int* status), (status), 0)
REEL_WAIT(waitpid, (pid_t wanted, int* status, int flags), (wanted, status, flags), flags)
struct rusage;
REEL_WAIT(wait3, (int* status, int flags, struct rusage* usage), (status, flags, usage), flags)
REEL_WAIT(wait4, (pid_t wanted, int* status, int flags, struct rusage* usage), (wanted, status, flags, usage), flags)
REEL_EXPORT int waitid(idtype_t type, id_t id, siginfo_t* info, int options) {
  REEL_REAL(int (*)(idtype_t, id_t, siginfo_t*, int), waitid);
  Call call(Op::wait);
  int result = real(type, id, info, options);
  call.flags = static_cast<uint32_t>(options);
  if (result == 0 && info && call.on()) {
    call.mode = static_cast<uint32_t>(info->si_status);
    call.done(info->si_pid);
    return result;
  }
  return call.result(result);
}

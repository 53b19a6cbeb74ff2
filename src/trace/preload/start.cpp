// SPDX-License-Identifier: Apache-2.0
//
// How the shim comes to life in a process, and what it asks the system directly.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "trace/preload/process_state.h"
#include "trace/preload/shim.h"

// Of the sanitizers, null where there are none. Not asked of dlsym: what it does not find makes it allocate, and an
// allocator that starts may be what has called us.
extern "C" void __tsan_init() __attribute__((weak));
extern "C" void __asan_handle_vfork(void* stack) __attribute__((weak));

namespace reel::trace::shim {

ProcessState process_state;

namespace {

pthread_key_t end_key;
bool has_end_key = false;

bool copy_text(char* to, size_t capacity, const char* from) {
  size_t size = from ? strlen(from) : 0;
  if (size == 0 || size >= capacity) return false;
  memcpy(to, from, size + 1);
  return true;
}

wire::Control* map_control() {
  char path[4200];
  size_t size = strlen(process().dir);
  memcpy(path, process().dir, size);
  path[size] = '/';
  memcpy(path + size + 1, wire::kControlName, strlen(wire::kControlName) + 1);
  long fd = kernel(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) return nullptr;
  long at = kernel(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  kernel(SYS_close, fd);
  if (at <= 0) return nullptr;
  auto* control = reinterpret_cast<wire::Control*>(at);
  if (control->magic == wire::kControlMagic && control->version == wire::kVersion) return control;
  kernel(SYS_munmap, at, 4096);
  return nullptr;
}

// Whether this is a rank of a parallel program or comes from one: its launcher's variables say so, or ours.
bool is_of_rank() {
  if (getenv(wire::kEnvRank)) return true;
  for (const char* name : wire::kRankVariables)
    if (getenv(name)) return true;
  return false;
}

// What is loaded beside us stays so over an exec.
void add_mpi_library() {
  const char* preload = getenv("LD_PRELOAD");
  size_t size = strlen(process().library);
  const char* after = preload && strncmp(preload, process().library, size) == 0 ? preload + size : nullptr;
  if (!after || *after != ':') return;
  size_t next = strcspn(after + 1, ":");
  const char* name = wire::kMpiLibrary;
  size_t name_size = strlen(name);
  if (next < name_size || strncmp(after + 1 + next - name_size, name, name_size) != 0) return;
  if (size + 1 + next >= sizeof process().library) return;
  memcpy(process().library + size, after, next + 1);
  process().library[size + 1 + next] = '\0';
}

void thread_ends(void*) {
  Call call(Op::exit_thread);
  if (!call.on()) return;
  call.done(0);
  end_thread();
}

// The program is there, and we are in it: the first event of each image.
void hello() {
  char file[wire::kMaxPath];
  long size =
      kernel(SYS_readlink, reinterpret_cast<long>("/proc/self/exe"), reinterpret_cast<long>(file), sizeof file - 1);
  if (size < 0) size = 0;
  file[size] = '\0';
  Call call(Op::none);
  call.set_op(wire::kOpHello);
  call.path(file);
  char cwd[wire::kMaxPath];
  if (process().ranks_only && kernel(SYS_getcwd, reinterpret_cast<long>(cwd), sizeof cwd) > 0) call.path2(cwd);
  call.done(0);
}

// exit() has been called; registered first, so that what other handlers do comes before.
void leave(int status, void*) {
  Call call(Op::exit);
  call.args(static_cast<uint32_t>(status), 0);
  call.done(0);
}

__attribute__((constructor)) void begin() {
  int error = errno;
  if (start_process()) {
    patch_stdio();
    find_in_memory();
    on_exit(leave, nullptr);
  }
  errno = error;
}

}  // namespace

long kernel(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

bool counter_is_clock = false;

void came_by_unseen_fork() {
  forget_rings();
  *process().is_here = 1;
}

uint64_t monotonic_ns() {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

void* find_real(const char* name, void** slot) {
  int error = errno;
  void* found = dlsym(RTLD_NEXT, name);
  __atomic_store_n(slot, found, __ATOMIC_RELEASE);
  errno = error;
  return found;
}

bool start_process() {
  if (process().control) return true;
  if (process().tried) return false;
  process().tried = true;
  if (!copy_text(process().dir, sizeof process().dir, getenv(wire::kEnvDir))) return false;
  Dl_info self;
  if (!dladdr(reinterpret_cast<void*>(&start_process), &self) ||
      !copy_text(process().library, sizeof process().library, self.dli_fname))
    return false;
  add_mpi_library();
  wire::Control* control = map_control();
  if (control && control->ranks_only != 0 && !is_of_rank()) {
    kernel(SYS_munmap, reinterpret_cast<long>(control), 4096);
    control = nullptr;
  }
  if (!control) return false;
  long page = kernel(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page > 0 && kernel(SYS_madvise, page, 4096, MADV_WIPEONFORK) == 0) {
    process().is_here = reinterpret_cast<uint32_t*>(page);
    *process().is_here = 1;
  }
  has_end_key = pthread_key_create(&end_key, thread_ends) == 0;
  process().ranks_only = control->ranks_only != 0;
  process().has_tsan = __tsan_init != nullptr;
  process().asan_after_vfork = __asan_handle_vfork;
  counter_is_clock = control->clock == wire::kCounter;
  __atomic_store_n(&process().control, control, __ATOMIC_RELEASE);
  hello();  // before any other event: constructors of other libraries may come before ours
  calibrate();
  return true;
}

void watch_thread_end() {
  if (has_end_key) pthread_setspecific(end_key, &process());
}

const char* own_path() {
  return process().library;
}

const char* ring_dir() {
  return process().dir;
}

}  // namespace reel::trace::shim

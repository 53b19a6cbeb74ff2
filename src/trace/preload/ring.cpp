// SPDX-License-Identifier: Apache-2.0
//
// The rings of this process's threads, and how an event gets into one (trace/wire.h).
#include <fcntl.h>
#include <linux/stat.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "trace/preload/process_state.h"
#include "trace/preload/shim.h"

namespace reel::trace::shim {
namespace {

constexpr uint32_t kRetryEvery = 1024;  // events, when a ring could not be had

// All that a thread has. Static TLS: no allocation at the first touch, also in a signal handler.
struct ThreadState {
  wire::RingHeader* ring;
  uint32_t bytes;        // of the ring
  uint32_t sequence;     // of the next ring
  uint32_t lost;         // since the last ring
  int32_t parent;        // the thread that made this one; 0: not known
  bool starting;         // a ring is being made; a signal handler must not make one too
  bool resting;          // the ring was finished; the thread is at its end
  uint64_t last_exit;    // of the last call
  uint64_t cpu, cpu_at;  // the CPU time last measured, and when
};
__thread ThreadState thread __attribute__((tls_model("initial-exec")));

uint64_t thread_cpu() {
  struct timespec t;
  kernel(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, reinterpret_cast<long>(&t));
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

// "DIR/r.PID.TID.SEQUENCE.TIME": no two rings of a recording have one name.
void ring_path(char* to, long pid, long tid, uint32_t sequence, uint64_t time) {
  size_t size = strlen(ring_dir());
  memcpy(to, ring_dir(), size);
  char* at = to + size;
  auto number = [&at](uint64_t value) {
    char digits[20];
    size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    while (count > 0) *at++ = digits[--count];
  };
  memcpy(at, "/r.", 3);
  at += 3;
  number(static_cast<uint64_t>(pid));
  *at++ = '.';
  number(static_cast<uint64_t>(tid));
  *at++ = '.';
  number(sequence);
  *at++ = '.';
  number(time);
  *at = '\0';
}

// Room on disk is taken before the file is mapped: a store into a hole of a full disk is a SIGBUS.
wire::RingHeader* map_ring(const char* path, uint32_t bytes) {
  long fd = kernel(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path),
                   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return nullptr;
  void* map = MAP_FAILED;
  if (kernel(SYS_fallocate, fd, 0, 0, bytes) == 0) {
    long at = kernel(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at > 0) map = reinterpret_cast<void*>(at);
  }
  kernel(SYS_close, fd);
  if (map == MAP_FAILED) {
    kernel(SYS_unlink, reinterpret_cast<long>(path));
    return nullptr;
  }
  kernel(SYS_madvise, reinterpret_cast<long>(map), bytes, MADV_DONTFORK);
  return static_cast<wire::RingHeader*>(map);
}

void drop_ring() {
  if (!thread.ring) return;
  __atomic_store_n(&thread.ring->closed, 1, __ATOMIC_RELEASE);
  kernel(SYS_munmap, reinterpret_cast<long>(thread.ring), thread.bytes);
  thread.ring = nullptr;
}

wire::RingHeader* make_ring(uint32_t bytes) {
  wire::Control* control = process().control;
  uint64_t used = __atomic_add_fetch(&control->used_bytes, bytes, __ATOMIC_RELAXED);
  wire::RingHeader* ring = nullptr;
  long pid = kernel(SYS_getpid), tid = kernel(SYS_gettid);
  uint64_t time = now();
  if (used <= control->limit_bytes) {
    char path[4600];
    ring_path(path, pid, tid, thread.sequence, time);
    ring = map_ring(path, bytes);
  }
  if (!ring) {
    __atomic_sub_fetch(&control->used_bytes, bytes, __ATOMIC_RELAXED);
    return nullptr;
  }
  ring->version = wire::kVersion;
  ring->bytes = bytes;
  ring->pid = static_cast<int32_t>(pid);
  ring->tid = static_cast<int32_t>(tid);
  ring->ppid = static_cast<int32_t>(kernel(SYS_getppid));
  ring->parent = thread.parent;
  ring->uid = static_cast<uint32_t>(kernel(SYS_geteuid));
  ring->gid = static_cast<uint32_t>(kernel(SYS_getegid));
  ring->sequence = thread.sequence++;
  ring->made_ns = time;
  ring->lost_before = thread.lost;
  __atomic_sub_fetch(&control->lost, thread.lost, __ATOMIC_RELAXED);  // from now on the ring tells it
  thread.lost = 0;
  kernel(SYS_prctl, 16 /* PR_GET_NAME */, reinterpret_cast<long>(ring->comm));
  __atomic_store_n(&ring->magic, wire::kRingMagic, __ATOMIC_RELEASE);
  __atomic_add_fetch(&control->rings_made, 1, __ATOMIC_RELEASE);
  return ring;
}

// A ring for this thread, in place of the one it has. Signals wait meanwhile.
bool next_ring() {
  if (thread.starting) return false;
  uint64_t all = ~0ull, before = 0;
  kernel(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&all),
         reinterpret_cast<long>(&before), sizeof before);
  thread.starting = true;
  uint32_t bytes = thread.sequence == 0 ? wire::kFirstRingBytes : wire::kRingBytes;
  wire::RingHeader* ring = make_ring(bytes);
  if (ring) {
    drop_ring();
    thread.ring = ring;
    thread.bytes = bytes;
  }
  thread.starting = false;
  kernel(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&before), 0, sizeof before);
  return ring != nullptr;
}

void count_lost() {
  ++thread.lost;
  __atomic_add_fetch(&process().control->lost, 1, __ATOMIC_RELAXED);
}

// Room for an event in the ring, marked as pending; nullptr when it is lost.
wire::Event* take_room(uint32_t size) {
  for (int tries = 0; tries < 2; ++tries) {
    if (thread.ring) {
      uint32_t at = __atomic_fetch_add(&thread.ring->reserved, size, __ATOMIC_RELAXED);
      if (at <= thread.bytes && wire::kRingStart + at + size <= thread.bytes) {
        auto* event = reinterpret_cast<wire::Event*>(reinterpret_cast<char*>(thread.ring) +
                                                     wire::kRingStart + at);
        __atomic_store_n(&event->size, size | wire::kPending, __ATOMIC_RELAXED);
        return event;
      }
      if (at > thread.bytes) __atomic_store_n(&thread.ring->reserved, thread.bytes, __ATOMIC_RELAXED);
    }
    if (thread.lost % kRetryEvery != 0 || !next_ring()) break;
  }
  count_lost();
  return nullptr;
}

uint32_t padded(uint32_t bytes) {
  return (bytes + 7) & ~7u;
}

uint32_t part_size(uint32_t bytes) {
  return static_cast<uint32_t>(sizeof(wire::Part)) + padded(bytes);
}

char* put_part(char* at, uint16_t tag, const void* data, uint32_t bytes) {
  wire::Part part = {tag, 0, bytes};
  memcpy(at, &part, sizeof part);
  memcpy(at + sizeof part, data, bytes);
  return at + part_size(bytes);
}

uint32_t text_size(const char* text) {
  return text ? static_cast<uint32_t>(strnlen(text, wire::kMaxPath)) : 0;
}

// CPU time of the gap before a call; measured only for gaps that are worth the question. What lies
// between two measurements otherwise are short calls and short gaps: the thread was running.
bool gap_cpu(uint64_t enter, uint64_t& cpu) {
  if (thread.last_exit == 0 || enter - thread.last_exit < process().control->gap_ns) return false;
  uint64_t measured = thread_cpu();
  uint64_t at_exit = thread.cpu + (thread.last_exit - thread.cpu_at);
  uint64_t gap = enter - thread.last_exit;
  cpu = measured > at_exit ? measured - at_exit : 0;
  if (cpu > gap) cpu = gap;
  thread.cpu = measured;
  thread.cpu_at = enter;
  return true;
}

// The descriptors that were seen to be opened; of those above it is not asked.
constexpr int kSeenFds = 1024;
uint64_t seen_fds[kSeenFds / 64];

bool is_seen(int fd) {
  return fd < 0 || fd >= kSeenFds || (__atomic_load_n(&seen_fds[fd / 64], __ATOMIC_RELAXED) >> (fd % 64) & 1) != 0;
}

void see(int fd, bool open) {
  if (fd < 0 || fd >= kSeenFds) return;
  uint64_t bit = 1ull << (fd % 64);
  if (open)
    __atomic_or_fetch(&seen_fds[fd / 64], bit, __ATOMIC_RELAXED);
  else
    __atomic_and_fetch(&seen_fds[fd / 64], ~bit, __ATOMIC_RELAXED);
}

void note_descriptors(uint16_t op, long result, int fd, int fd2) {
  if (op > static_cast<uint16_t>(Op::other_fd)) return;
  switch (static_cast<Op>(op)) {
    case Op::close:
      see(fd, false);
      return;
    case Op::fcntl:
    case Op::connect:
      return;
    case Op::pipe:
    case Op::socketpair:
      see(fd, true);
      see(fd2, true);
      return;
    default:
      if (result >= 0) see(fd2, true);
  }
}

void note_exit(uint64_t enter, uint64_t exit) {
  thread.last_exit = exit;
  if (exit - enter < process().control->gap_ns) return;
  thread.cpu = thread_cpu();
  thread.cpu_at = exit;
}

}  // namespace

uint64_t now() {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

bool recording() {
  if (thread.ring) return !process().control->stopped;
  if (thread.starting || thread.resting || !start_process()) return false;
  if (thread.sequence == 0) {
    watch_thread_end();
    thread.cpu = thread_cpu();
    thread.cpu_at = now();
  }
  return true;
}

void Call::finish(long result, uint64_t exit_ns) {
  int error = errno;
  bool bad_pointer = result == -EFAULT;
  uint32_t path_size = bad_pointer ? 0 : text_size(path_);
  uint32_t path2_size = bad_pointer ? 0 : text_size(path2_);
  uint64_t cpu = 0;
  bool has_cpu = gap_cpu(enter_, cpu);
  uint32_t size = sizeof(wire::Event);
  uint16_t parts = 0;
  auto add = [&](bool present, uint32_t bytes) {
    if (!present) return;
    size += part_size(bytes);
    ++parts;
  };
  add(path_size > 0, path_size);
  add(path2_size > 0, path2_size);
  add(has_args_, 16);
  add(object != nullptr, sizeof(wire::Object));
  add(before != nullptr, sizeof(wire::Object));
  add(has_cpu, 8);
  add(data_size_ > 0, data_size_);
  wire::Event* event = take_room(size);
  if (event) {
    event->op = op_;
    event->parts = parts;
    event->enter_ns = enter_;
    event->exit_ns = exit_ns;
    event->result = result;
    event->fd = fd;
    event->fd2 = fd2;
    event->offset = offset;
    event->length = length;
    event->flags = flags;
    event->mode = mode;
    char* at = reinterpret_cast<char*>(event + 1);
    if (path_size > 0) at = put_part(at, wire::kPartPath, path_, path_size);
    if (path2_size > 0) at = put_part(at, wire::kPartPath2, path2_, path2_size);
    uint64_t both[2] = {arg_, arg2_};
    if (has_args_) at = put_part(at, wire::kPartArgs, both, sizeof both);
    if (object) at = put_part(at, wire::kPartObject, object, sizeof *object);
    if (before) at = put_part(at, wire::kPartBefore, before, sizeof *before);
    if (has_cpu) at = put_part(at, wire::kPartCpu, &cpu, sizeof cpu);
    if (data_size_ > 0) put_part(at, wire::kPartData, data_, data_size_);
    __atomic_store_n(&event->size, size, __ATOMIC_RELEASE);
  }
  note_exit(enter_, exit_ns);
  note_descriptors(op_, result, fd, fd2);
  errno = error;
}

void tell_unseen(int fd) {
  if (is_seen(fd)) return;
  int error = errno;
  Call call(Op::none);
  if (call.on()) {
    char link[32] = "/proc/self/fd/";
    char* at = link + 14;
    if (fd >= 1000) *at++ = static_cast<char>('0' + fd / 1000);
    if (fd >= 100) *at++ = static_cast<char>('0' + fd / 100 % 10);
    if (fd >= 10) *at++ = static_cast<char>('0' + fd / 10 % 10);
    *at++ = static_cast<char>('0' + fd % 10);
    *at = '\0';
    char path[wire::kMaxPath];
    long size = kernel(SYS_readlink, reinterpret_cast<long>(link), reinterpret_cast<long>(path), sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    wire::Object object;
    look(fd, "", AT_EMPTY_PATH, object);
    call.set_op(wire::kOpUnseen);
    call.fd = fd;
    call.path(path);
    call.object = &object;
    long flags = kernel(SYS_fcntl, fd, F_GETFL);
    call.flags = static_cast<uint32_t>(flags > 0 ? flags : 0);
    call.done(0);
    see(fd, true);
  }
  errno = error;
}

void look(int dirfd, const char* path, int at_flags, wire::Object& object) {
  struct statx x;
  memset(&object, 0, sizeof object);
  long error = kernel(SYS_statx, dirfd, reinterpret_cast<long>(path), at_flags | AT_NO_AUTOMOUNT,
                      STATX_BASIC_STATS | STATX_BTIME, reinterpret_cast<long>(&x));
  if (error < 0) return;
  object.device = static_cast<uint64_t>(x.stx_dev_major) << 32 | x.stx_dev_minor;
  object.inode = x.stx_ino;
  if ((x.stx_mask & STATX_BTIME) != 0)
    object.generation = static_cast<uint64_t>(x.stx_btime.tv_sec) * 1'000'000'000u + x.stx_btime.tv_nsec;
  object.size = x.stx_size;
  object.blocks = x.stx_blocks;
  object.rdev = static_cast<uint64_t>(x.stx_rdev_major) << 32 | x.stx_rdev_minor;
  object.mode = x.stx_mode;
  object.uid = x.stx_uid;
  object.gid = x.stx_gid;
  object.links = x.stx_nlink == 0 ? 1 : x.stx_nlink;  // unlinked, but there
}

void forget_rings() {
  thread = ThreadState{};  // the mapping is not in the child (MADV_DONTFORK)
}

void take_rings(ThreadSlot& slot) {
  static_assert(sizeof(ThreadState) <= sizeof slot.bytes);
  memcpy(slot.bytes, &thread, sizeof thread);
  thread = ThreadState{};
}

void give_back_rings(const ThreadSlot& slot) {
  drop_ring();
  memcpy(static_cast<void*>(&thread), slot.bytes, sizeof thread);
}

void set_parent(int32_t tid) {
  thread.parent = tid;
}

void end_thread() {
  drop_ring();
  thread.resting = true;
}

}  // namespace reel::trace::shim

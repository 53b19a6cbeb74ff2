// SPDX-License-Identifier: Apache-2.0
//
// The rings of this process's threads (trace/wire.h): made, filled up, left for the next one. A
// signal handler may record at any point in here; what it must find whole is said where it matters.
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "trace/preload/process_state.h"
#include "trace/preload/shim.h"

namespace reel::trace::shim {

__thread ThreadState thread __attribute__((tls_model("initial-exec")));

namespace {

constexpr uint32_t kRetryEvery = 1024;  // events, when a ring could not be had
constexpr int kPopulateWrite = 23;      // MADV_POPULATE_WRITE, Linux 5.14

// "r.PID.TID.SEQUENCE.TIME": no two rings of a recording have one name.
struct RingName {
  char text[64];

  RingName(long pid, long tid, uint32_t sequence, uint64_t time) {
    char* at = text;
    *at++ = 'r';
    const uint64_t parts[] = {static_cast<uint64_t>(pid), static_cast<uint64_t>(tid), sequence, time};
    for (uint64_t number : parts) {
      *at++ = '.';
      char digits[20];
      size_t count = 0;
      do {
        digits[count++] = static_cast<char>('0' + number % 10);
        number /= 10;
      } while (number != 0);
      while (count > 0) *at++ = digits[--count];
    }
    *at = '\0';
  }
};
static_assert(sizeof(RingName::text) > 1 + 3 * 11 + 21);

// A file longer than this would be a SIGXFSZ for the program.
bool may_be_so_long(uint32_t bytes) {
  struct rlimit limit;
  return kernel(SYS_getrlimit, RLIMIT_FSIZE, reinterpret_cast<long>(&limit)) == 0 && bytes <= limit.rlim_cur;
}

// Room on disk is taken before the file is mapped: a store into a hole of a full disk is a SIGBUS. By the directory's
// descriptor, for whole paths are long, and stacks may be small.
wire::RingHeader* map_ring(const RingName& name, uint32_t bytes) {
  if (!may_be_so_long(bytes)) return nullptr;
  long dir = kernel(SYS_openat, AT_FDCWD, reinterpret_cast<long>(ring_dir()), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return nullptr;
  void* map = MAP_FAILED;
  long fd = kernel(SYS_openat, dir, reinterpret_cast<long>(name.text),
                   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0 && kernel(SYS_fallocate, fd, 0, 0, bytes) == 0) {
    long at = kernel(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at > 0) map = reinterpret_cast<void*>(at);
  }
  if (fd >= 0 && map == MAP_FAILED) kernel(SYS_unlinkat, dir, reinterpret_cast<long>(name.text));
  if (fd >= 0) kernel(SYS_close, fd);
  kernel(SYS_close, dir);
  if (map == MAP_FAILED) return nullptr;
  kernel(SYS_madvise, reinterpret_cast<long>(map), bytes, MADV_DONTFORK);
  // One call for all pages is half the price of their faults. A thread's first ring may stay empty.
  if (bytes > wire::kFirstRingBytes) kernel(SYS_madvise, reinterpret_cast<long>(map), bytes, kPopulateWrite);
  return static_cast<wire::RingHeader*>(map);
}

void close_ring(wire::RingHeader* ring) {
  __atomic_store_n(&ring->closed, 1, __ATOMIC_RELEASE);
  kernel(SYS_munmap, reinterpret_cast<long>(ring), ring->bytes);
}

// The thread writes no more into its ring. An event that is being filled further out on the stack,
// which a signal interrupted, may lie in it: then it stays until that is done.
void leave_ring() {
  wire::RingHeader* ring = thread.ring;
  thread.ring = nullptr;
  thread.next = 0;
  if (!ring) return;
  if (thread.depth <= 1) return close_ring(ring);
  ring->stale = reinterpret_cast<uint64_t>(thread.stale);
  thread.stale = ring;
}

void close_stale() {
  while (thread.stale) {
    wire::RingHeader* ring = thread.stale;
    thread.stale = reinterpret_cast<wire::RingHeader*>(ring->stale);
    close_ring(ring);
  }
}

wire::RingHeader* make_ring(uint32_t bytes) {
  wire::Control* control = process().control;
  uint64_t used = __atomic_add_fetch(&control->used_bytes, bytes, __ATOMIC_RELAXED);
  wire::RingHeader* ring = nullptr;
  long pid = kernel(SYS_getpid), tid = kernel(SYS_gettid);
  uint64_t time = now();
  if (used <= control->limit_bytes) ring = map_ring(RingName(pid, tid, thread.sequence, time), bytes);
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
  ring->made = time;
  ring->lost_before = thread.lost;
  __atomic_sub_fetch(&control->lost, thread.lost,
                     __ATOMIC_RELAXED);  // from now on the ring tells it
  thread.lost = 0;
  kernel(SYS_prctl, 16 /* PR_GET_NAME */, reinterpret_cast<long>(ring->comm));
  __atomic_store_n(&ring->magic, wire::kRingMagic, __ATOMIC_RELEASE);
  __atomic_add_fetch(&control->rings_made, 1, __ATOMIC_RELEASE);
  return ring;
}

// A ring for this thread, in place of the one it has, which is full. Signals wait meanwhile.
void next_ring() {
  if (thread.starting) return;
  uint64_t all = ~0ull, before = 0;
  kernel(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&all), reinterpret_cast<long>(&before), sizeof before);
  thread.starting = true;
  uint32_t bytes = thread.sequence == 0 ? wire::kFirstRingBytes : wire::kRingBytes;
  leave_ring();
  wire::RingHeader* ring = make_ring(bytes);
  if (ring) {
    thread.next = reinterpret_cast<uint64_t>(ring) + wire::kRingStart;
    thread.ring = ring;
  }
  thread.starting = false;
  kernel(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&before), 0, sizeof before);
}

void count_lost() {
  ++thread.lost;
  __atomic_add_fetch(&process().control->lost, 1, __ATOMIC_RELAXED);
}

// One instruction: nothing of a signal handler comes between reading and adding. Other threads do
// not see it.
uint64_t take_next(uint32_t size) {
  uint64_t at = size;
  __asm__ volatile("xaddq %0, %1" : "+r"(at), "+m"(thread.next) : : "memory", "cc");
  return at;
}

bool fits(const wire::RingHeader* ring, uint64_t at, uint32_t size) {
  return ring && at - reinterpret_cast<uint64_t>(ring) <= ring->bytes - size;
}

// The ring that `at` lies in. A handler may have changed the ring behind take_next: then it is a
// stale one.
bool fits_somewhere(uint64_t at, uint32_t size) {
  if (fits(thread.ring, at, size)) return true;
  for (auto* ring = thread.stale; ring; ring = reinterpret_cast<wire::RingHeader*>(ring->stale))
    if (fits(ring, at, size)) return true;
  return false;
}

}  // namespace

// `depth` is up from here to is_filled(): so long no ring that an address was taken in goes away.
wire::Event* take_room(uint32_t size) {
  ++thread.depth;
  for (int tries = 0; tries < 2; ++tries) {
    uint64_t at = take_next(size);
    if (fits_somewhere(at, size)) {
      auto* event = reinterpret_cast<wire::Event*>(at);
      __atomic_store_n(&event->words, static_cast<uint16_t>(size / 8 | wire::kPending), __ATOMIC_RELAXED);
      return event;
    }
    if (tries > 0 || thread.lost % kRetryEvery != 0) break;
    next_ring();
  }
  count_lost();
  --thread.depth;
  return nullptr;
}

void is_filled(wire::Event* event, uint32_t size) {
  __atomic_store_n(&event->words, static_cast<uint16_t>(size / 8), __ATOMIC_RELEASE);
  if (thread.depth == 1 && thread.stale) close_stale();
  --thread.depth;
}

// The mappings are not in the child (MADV_DONTFORK). When a signal handler forks while an event is
// being filled, the child goes on filling it: there it gets memory that nobody reads.
void forget_rings() {
  uint32_t depth = thread.depth;
  auto replace = [](wire::RingHeader* ring, bool first) {
    if (ring)
      kernel(SYS_mmap, reinterpret_cast<long>(ring), first ? wire::kFirstRingBytes : wire::kRingBytes,
             PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  };
  if (depth > 0) {
    replace(thread.ring, thread.sequence <= 1);
    replace(thread.stale, thread.sequence <= 2);
  }
  uint32_t inside = thread.inside;
  thread = ThreadState{};
  thread.depth = depth;
  thread.inside = inside;
}

void take_rings(ThreadSlot& slot) {
  static_assert(sizeof(ThreadState) <= sizeof slot.bytes);
  memcpy(slot.bytes, &thread, sizeof thread);
  uint32_t inside = thread.inside;
  thread = ThreadState{};
  thread.inside = inside;
}

void give_back_rings(const ThreadSlot& slot) {
  leave_ring();
  memcpy(static_cast<void*>(&thread), slot.bytes, sizeof thread);
}

void hide_thread() {
  thread.inside = 1;
}

void set_parent(int32_t tid) {
  thread.parent = tid;
}

void end_thread() {
  leave_ring();
  thread.resting = true;
}

}  // namespace reel::trace::shim

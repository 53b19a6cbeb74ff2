// SPDX-License-Identifier: Apache-2.0
//
// The inside of the preload recorder. It lives in other people's programs, so: no allocation, no
// locks, no library but libc, every call of its own made directly to the kernel, errno as the call
// left it, no descriptor kept open, nothing ever refused that would have worked without it.
#pragma once

#include <errno.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/codec.h"
#include "trace/wire.h"

#define REEL_EXPORT extern "C" __attribute__((visibility("default")))

namespace reel::trace::shim {

// A system call as the kernel sees it: -errno on failure, errno untouched.
long kernel(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);

// The program's memory as the kernel sees it: no fault, whatever the address.
bool copy_if_readable(void* to, const void* from, size_t size);

uint64_t monotonic_ns();
extern bool counter_is_clock __attribute__((visibility("hidden")));  // Control::clock; known once something is recorded

// Ticks (trace/wire.h). The fence keeps the counter from being read before what stands before it is done.
inline uint64_t now() {
  if (!counter_is_clock) return monotonic_ns();
  __builtin_ia32_lfence();
  return __builtin_ia32_rdtsc();
}

// The same behind a system call, which the counter cannot be read before anyway.
inline uint64_t now_behind() {
  return counter_is_clock ? __builtin_ia32_rdtsc() : monotonic_ns();
}

// True when calls of this thread are to be recorded. Sets everything up at the first call.
bool recording();

// The libc function that ours stands before. `slot` remembers it.
void* find_real(const char* name, void** slot);

// The time between two calls; `measured` false: it was not worth the question. Nanoseconds of CPU time, and of being
// ready to run without a processor (wire::kNotKnown: that cannot be told).
struct Gap {
  bool measured;
  uint64_t cpu, queued;
};
// Of the gap that ends at `enter`, asked now; once for each gap.
Gap measure_gap(uint64_t enter);
// A call is about to be made, once for each: true when it is recorded. `enter`: when it begins, in ticks; `gap`: the
// one before it. This is where a thread is held up.
bool begin_call(uint64_t& enter, Gap& gap);

// One call while it happens. Made before it, with the time of entry.
class Call {
 public:
  explicit Call(Op op) : op_(static_cast<uint16_t>(op)), on_(begin_call(enter_, gap_)) {}
  // One that was made already; began at `entered` ticks, behind `gap`.
  Call(Op op, uint64_t entered, Gap gap)
      : op_(static_cast<uint16_t>(op)), enter_(entered), gap_(gap), on_(recording()) {}
  bool on() const { return on_; }
  uint64_t entered() const { return enter_; }

  // What the event will hold; only the set ones cost room.
  void path(const char* p) { path_ = p; }
  void path2(const char* p) { path2_ = p; }
  void args(uint64_t a, uint64_t b = 0) {
    arg_ = a;
    arg2_ = b;
    has_args_ = true;
  }
  void data(const char* bytes, uint32_t size) {
    data_ = bytes;
    data_size_ = size;
  }
  int32_t fd = -1, fd2 = -1;
  uint64_t offset = 0, length = 0;
  uint32_t flags = 0, mode = 0;
  wire::Object* object = nullptr;
  wire::Object* before = nullptr;

  // The call, a system call, has returned `result`, with errno as it is now; errno is the same afterwards.
  void done(long result) {
    if (on_) finish(result, now_behind());
  }
  void finish(long result, uint64_t exit);
  // The same for a call that returns -1 and errno; gives its result back.
  template <class T>
  T result(T value) {
    if (on_) finish(value < 0 ? -static_cast<long>(errno) : static_cast<long>(value), now_behind());
    return value;
  }
  void set_op(uint16_t op) { op_ = op; }
  // What went before was our own doing.
  void begin_now() {
    uint64_t begun = now();
    own_before_ = begun - enter_;
    enter_ = begun;
  }

 private:
  uint16_t op_;
  uint64_t enter_ = 0, own_before_ = 0;
  Gap gap_ = {};
  bool on_;
  bool has_args_ = false;
  const char* path_ = nullptr;
  const char* path2_ = nullptr;
  const char* data_ = nullptr;
  uint32_t data_size_ = 0;
  uint64_t arg_ = 0, arg2_ = 0;
};

// read, write and the like while they happen: what is called most often, so it has no more than it needs.
class Transfer {
 public:
  Transfer() : on_(begin_call(enter_, gap_)) {}
  // The call gave back `result`, with errno as it is now; errno is the same afterwards.
  ssize_t done(Op op, int fd, uint64_t offset, uint64_t length, ssize_t result) {
    if (on_) finish(op, fd, offset, length, result);
    return result;
  }

 private:
  void finish(Op op, int fd, uint64_t offset, uint64_t length, long result);

  uint64_t enter_ = 0;
  Gap gap_ = {};
  bool on_;
};

// What is at a path or descriptor now; links 0 when nothing is. errno untouched.
void look(int dirfd, const char* path, int at_flags, wire::Object& object);

// Around fork and vfork: the child begins with rings of its own.
struct ThreadSlot {
  unsigned char bytes[160];
};
void forget_rings();
void take_rings(ThreadSlot& slot);  // vfork: the parent's are kept while the child runs
void give_back_rings(const ThreadSlot& slot);
void end_thread();             // no more events of this thread
void set_parent(int32_t tid);  // which thread made this one
void hide_thread();            // this thread is MPI's own: nothing of it is recorded, nor of what it makes

// Giving way begins, and is over.
void begin_yield();
void end_yield();

void hold();  // this thread is the one that Control says to hold up: does it, when it is time

// libc opens files within itself, too. Before stdio uses a descriptor that was never seen: says what it is.
void tell_unseen(int fd);
void calibrate();        // the first calls of a recording, which measure it
void patch_stdio();      // stdio's own reads and writes come to us
void find_in_memory();   // libc's functions that wait in memory, and how it keeps what they wait for
const char* own_path();  // of this library
const char* ring_dir();

}  // namespace reel::trace::shim

// The real function of this name and type, found once.
#define REEL_REAL(type, name) \
  static void* real_slot;     \
  auto real = reinterpret_cast<type>(real_slot ? real_slot : reel::trace::shim::find_real(#name, &real_slot))

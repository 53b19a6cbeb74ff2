// SPDX-License-Identifier: Apache-2.0
//
// What the threads of a recorded process share.
#pragma once

#include "trace/preload/shim.h"

namespace reel::trace::shim {

struct ProcessState {
  wire::Control* control;  // null: this process is not recorded
  bool tried;
  // In a page of its own that a fork leaves as zeros: 0 in a child that was made behind our back (clone, a fork by
  // number).
  uint32_t* is_here;
  bool ranks_only;                     // Control's; who made this process may not be recorded
  bool has_tsan;                       // ThreadSanitizer is in this program
  void (*asan_after_vfork)(void* sp);  // AddressSanitizer's; null: it is not
  char dir[4096];                      // of the rings
  char library[4096];                  // this shim's file, for LD_PRELOAD; and ":" and that of MPI, when it is there
};

extern ProcessState process_state __attribute__((visibility("hidden")));
inline ProcessState& process() {
  return process_state;
}

// A thread that gives way again and again: it waits for something in memory. In ticks, and the CPU time in nanoseconds.
struct Spin {
  uint64_t from, from_cpu;    // since when
  uint64_t at;                // when it came back from giving way last; before the last call: it does not spin
  uint64_t asked, asked_cpu;  // when its CPU time was asked last
};

// All that a thread has. Static TLS: no allocation at the first touch, also in a signal handler.
struct ThreadState {
  wire::RingHeader* ring;
  uint64_t next;            // address of the next event in it
  wire::RingHeader* stale;  // rings left behind while an event was being filled
  uint32_t depth;           // how many events are being filled: more than one when a signal handler records
  uint32_t sequence;        // of the next ring
  uint32_t lost;            // events since the last ring
  int32_t parent;           // the thread that made this one; 0: not known
  bool starting;            // a ring is being made; a signal handler must not make one too
  bool resting;             // the ring was finished; the thread is at its end
  uint64_t last_exit;       // ticks, of the last call
  uint64_t cpu, cpu_at;     // the CPU time last measured in nanoseconds, and when in ticks
  long blocked;             // how often it had given its processor up to wait for something, when last asked
  Spin spin;
  uint64_t woken_for, woken_at;  // the mutex of the condition it was woken for last, and last_exit then; 0: it has
                                 // signalled one since
  uint32_t inside;               // calls of MPI that it is in; what it does there is not the program's
  bool files_inside;             // but for calls on files
};
extern __thread ThreadState thread __attribute__((tls_model("initial-exec")));

// Room for an event of `size` bytes (a multiple of 8) in the ring, marked as pending; nullptr when it is lost.
wire::Event* take_room(uint32_t size);
void is_filled(wire::Event* event, uint32_t size);  // the collector may have it

void came_by_unseen_fork();  // this process is such a child
bool start_process();        // once; false when there is nothing to record to
void watch_thread_end();     // end_thread() is called when this thread ends

}  // namespace reel::trace::shim

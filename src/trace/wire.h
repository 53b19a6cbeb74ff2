// SPDX-License-Identifier: Apache-2.0
//
// What recorders hand to the collector: ring files and the events in them. Shared by the preload
// shim (which may include this, base/codec.h and nothing else of ours), the BPF and ptrace recorders
// and the collector; all of one build, so there is no other version to be read.
//
// A recording has a directory of its own with one file "control" and ring files, each written by one
// thread. A ring is a header and then events, one behind the other. The writer takes room with an
// atomic add on `reserved`, writes `size` with kPending set, fills the event and clears kPending; a
// signal handler that records in between takes the room behind. The file is zeros where nothing was
// taken. When an event does not fit the ring is closed and the thread goes on in its next one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reel/trace_op.h"

namespace reel::trace::wire {

inline constexpr uint64_t kRingMagic = 0x31474e495252454cull;
inline constexpr uint64_t kControlMagic = 0x3154434c52454552ull;
inline constexpr uint32_t kVersion = 1;

inline constexpr const char* kEnvDir = "REEL_RECORD_DIR";    // where the rings are
inline constexpr const char* kControlName = "control";
inline constexpr uint32_t kFirstRingBytes = 32u << 10;  // of a thread; the next ones are larger
inline constexpr uint32_t kRingBytes = 256u << 10;

// The file "control", mapped by everybody.
struct Control {
  uint64_t magic;
  uint32_t version;
  uint32_t stopped;        // 1: record nothing more
  uint64_t limit_bytes;    // all rings together may be this large
  uint64_t used_bytes;     // and are (atomic)
  uint64_t rings_made;     // atomic; the collector looks for files when it changes
  uint64_t lost;           // events that found no room (atomic)
  uint64_t gap_ns;         // gaps from this length on get their CPU time measured
};

struct RingHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t bytes;       // of the file
  int32_t pid, tid, ppid;
  int32_t parent;       // tid of the thread that made this one, 0: not known
  uint32_t uid, gid;
  uint32_t sequence;    // of this thread's rings, from 0
  uint64_t made_ns;     // monotonic
  uint64_t lost_before; // events of this thread that found no room before this ring
  uint32_t reserved;    // bytes taken behind the header (atomic); may go beyond the end
  uint32_t closed;      // 1: the thread has gone on in another ring, or ended
  char comm[16];
};
inline constexpr uint32_t kRingStart = 128;  // where events begin
static_assert(sizeof(RingHeader) <= kRingStart);

inline constexpr uint32_t kPending = 1u << 31;

// Ops beyond trace::Op, for the collector alone.
inline constexpr uint16_t kOpHello = 1000;    // a program with the recorder in it begins: path = its file
inline constexpr uint16_t kOpExecTry = 1001;  // an exec is about to happen: path, args
inline constexpr uint16_t kOpUnseen = 1002;   // fd was opened where the recorder does not look: path, flags, object

// 64 bytes, then parts.
struct Event {
  uint32_t size;      // of it all, a multiple of 8; kPending while it is being filled; 0: not there
  uint16_t op;        // trace::Op
  uint16_t parts;     // how many
  uint64_t enter_ns;  // monotonic
  uint64_t exit_ns;
  int64_t result;     // or -errno
  int32_t fd, fd2;
  uint64_t offset, length;
  uint32_t flags, mode;
};
static_assert(sizeof(Event) == 64);

enum PartTag : uint16_t {
  kPartPath = 1,   // as the program gave it
  kPartPath2 = 2,
  kPartArgs = 3,   // u64 arg, u64 arg2
  kPartObject = 4, // Object: of fd or path
  kPartObject2 = 5,
  kPartCpu = 6,    // u64: CPU nanoseconds of the gap before this call
  kPartBefore = 7, // Object: what was at path before the call
  kPartData = 8,   // exec's arguments, each with its NUL
};

// Followed by `bytes` bytes and padding to a multiple of 8.
struct Part {
  uint16_t tag;
  uint16_t reserved;
  uint32_t bytes;
};

// What stat said. links 0: there was nothing.
struct Object {
  uint64_t device, inode;
  uint64_t generation;  // what tells two files of one number apart: the time of birth in nanoseconds, or with
                        // bit 63 the kernel's generation; 0: not known
  uint64_t size, blocks, rdev;
  uint32_t mode, uid, gid, links;
};

inline constexpr uint32_t kMaxPath = 4096;
inline constexpr uint32_t kMaxArguments = 8192;  // bytes of exec's arguments that are kept

}  // namespace reel::trace::wire

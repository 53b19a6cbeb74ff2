// SPDX-License-Identifier: Apache-2.0
//
// What recorders hand to the collector: ring files and the events in them. Shared by the preload
// shim (which may include this, base/codec.h and nothing else of ours), the BPF and ptrace recorders
// and the collector; all of one build, so there is no other version to be read.
//
// A recording has a directory of its own with one file "control" and ring files, each written by one
// thread. A ring is a header and then events, one behind the other. The writer takes room, writes `words`
// with kPending set, fills the event and clears kPending; a signal handler that records in between takes
// the room behind. The file is zeros where nothing was taken. When an event does not fit the ring is
// closed and the thread goes on in its next one.
//
// Times are ticks of Control::clock: asking the kernel's clock twice would cost more than all the rest of an event.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reel/trace_op.h"

namespace reel::trace::wire {

inline constexpr uint64_t kRingMagic = 0x31474e495252454cull;
inline constexpr uint64_t kControlMagic = 0x3154434c52454552ull;
inline constexpr uint32_t kVersion = 5;

inline constexpr const char* kEnvDir = "REEL_RECORD_DIR";  // where the rings are
// A rank's descendants have it, also when they are started with an environment of their own.
inline constexpr const char* kEnvRank = "REEL_RECORD_RANK";
// What launchers tell a rank its number by: Open MPI, MPICH and its kin, PMIx, Slurm.
inline constexpr const char* kRankVariables[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"};
inline constexpr const char* kMpiLibrary = "libreel-record-mpi.so";
// For ASAN_OPTIONS: AddressSanitizer wants to be the first library of a program, and would end one with us before it.
inline constexpr const char* kAsanOrder = "verify_asan_link_order=0";
inline constexpr const char* kControlName = "control";
inline constexpr uint32_t kFirstRingBytes = 32u << 10;  // of a thread; the next ones are larger
inline constexpr uint32_t kRingBytes = 256u << 10;

inline constexpr uint64_t kGap_ns = 20'000;  // of shorter gaps between calls the CPU time is not told

// Before the command begins: calls that measure what recording one costs (trace/collect/calibration.h). An lseek of
// this descriptor belongs to them, and with SEEK_END is the last.
inline constexpr int32_t kCalibrationFd = -0x5245;
inline constexpr int kCalibrationCalls = 48;

enum Clock : uint32_t {
  kMonotonic = 0,  // a tick is a nanosecond of CLOCK_MONOTONIC
  kCounter = 1,    // the processor's time stamp counter, where the kernel keeps its own time by it
};

// One moment by both clocks.
struct ClockPair {
  uint64_t ticks, monotonic_ns;
};

// The recorder's own time at calls of an op, in ticks: before their entry and behind their exit. Of a sample of them;
// atomic, each by itself.
struct OwnTime {
  uint64_t calls, before, after;
};
inline constexpr uint32_t kOwnTimeOps = 128;

// The file "control", mapped by everybody.
struct Control {
  uint64_t magic;
  uint32_t version;
  uint32_t stopped;         // 1: record nothing more
  uint64_t limit_bytes;     // all rings together may be this large
  uint64_t used_bytes;      // and are (atomic)
  uint64_t rings_made;      // atomic; the collector looks for files when it changes
  uint64_t lost;            // events that found no room (atomic)
  uint64_t gap_ticks;       // gaps from this length on get their CPU time measured
  uint32_t clock;           // Clock
  uint32_t ns_per_tick_24;  // nanoseconds of a tick, times 2^24; near enough for CPU times
  uint64_t going_index;     // when the log has this record, what was `going` in the rings is in it; ~0: not known yet
  uint32_t ranks_only;      // 1: only processes of a parallel program's ranks, and what they start
  uint32_t calibrated;      // 1: a process has made the calls that measure the recorder
  // A thread that is to be held up (record --throttle), 0: none. Reel sets it last; the thread sets it to 0 when it
  // begins to wait, before the call behind its next hold_after ones, for hold_ns.
  int32_t hold_tid;
  uint32_t hold_after;
  uint64_t hold_ns;
  uint64_t holds;            // how many are over
  ClockPair pairs[2];        // the first and the latest that the collector took: a later one can turn ticks into time
  OwnTime own[kOwnTimeOps];  // by op
};
static_assert(sizeof(Control) <= 4096);

struct RingHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t bytes;  // of the file
  int32_t pid, tid, ppid;
  int32_t parent;  // tid of the thread that made this one, 0: not known
  uint32_t uid, gid;
  uint32_t sequence;     // of this thread's rings, from 0
  uint64_t made;         // ticks
  uint64_t lost_before;  // events of this thread that found no room before this ring
  uint32_t closed;       // 1: the thread has gone on in another ring, or ended
  // The collector's, offsets: up to where events are in the log; and up to where they will be when the write that
  // is under way has been done. Both 0: none yet. Who goes on after a collector's death begins there.
  uint64_t in_log, going;
  uint64_t stale;  // the writer's: the address of another ring of its that it cannot close yet
  char comm[16];
};
inline constexpr uint32_t kRingStart = 128;  // where events begin
static_assert(sizeof(RingHeader) <= kRingStart);

inline constexpr uint16_t kPending = 1u << 15;

// Ops beyond trace::Op, for the collector alone.
inline constexpr uint16_t kOpHello = 1000;    // a program with the recorder in it begins: path = its file, path2 = its
                                              // directory where nobody else can tell
inline constexpr uint16_t kOpExecTry = 1001;  // an exec is about to happen: path, args
inline constexpr uint16_t kOpUnseen = 1002;   // fd was opened where the recorder does not look: path, flags, object

inline constexpr uint16_t kOpLoss = 1003;  // something is missing from here on: path = why
inline constexpr uint16_t kOpFact = 1004;  // path = "key=value"
// posix_spawn is about to be called, and the vfork that follows is it: path and args of the program; and then, when
// there are any, the file actions.
inline constexpr uint16_t kOpSpawnTry = 1005;
inline constexpr uint16_t kOpSpawnActions = 1006;
inline constexpr uint16_t kOpSpun = 1007;  // the thread gave way again and again (sched_yield), without computing
                                           // between: arg, arg2 = as kCpu, of this time
// Memory of System V is attached: args = its address and the segment's number, length = bytes; 0: it is detached.
inline constexpr uint16_t kOpAttached = 1008;

inline constexpr uint64_t kNotKnown = ~0ull;

// 24 bytes, then the parts that `has` tells of, in the order of its bits, each in whole words of 8 bytes.
struct Event {
  uint16_t words;  // of it all; kPending while it is being filled; 0: not there
  uint16_t op;     // trace::Op
  uint16_t has;    // Part
  uint16_t unused;
  uint64_t enter;     // ticks
  uint32_t duration;  // ticks until the exit, when there is no kDuration
  int32_t fd;
};
static_assert(sizeof(Event) == 24);

enum Part : uint16_t {
  kLength = 1 << 0,    // u64; not there: 0
  kResult = 1 << 1,    // i64, or -errno; not there: as the length
  kOffset = 1 << 2,    // u64; not there: 0
  kDuration = 1 << 3,  // u64 ticks
  kFd2 = 1 << 4,       // i32 and 4 bytes of nothing; not there: -1
  kFlags = 1 << 5,     // u32 flags, u32 mode; not there: 0
  kArgs = 1 << 6,      // u64 arg, u64 arg2
  kCpu = 1 << 7,       // u64, u64 nanoseconds of the gap before this call: of CPU time, and of being ready to run
                       // without a processor (kNotKnown: it was not told)
  kObject = 1 << 8,    // Object: of fd or path
  kBefore = 1 << 9,    // Object: what was at path before the call
  kPath = 1 << 10,     // Text: as the program gave it
  kPath2 = 1 << 11,    // Text
  kData = 1 << 12,     // Text: exec's arguments, each with its NUL; aio's requests or results
};

// Followed by `bytes` bytes, and padding to whole words.
struct Text {
  uint32_t bytes;
  uint32_t unused;
};

// What stat said. links 0: there was nothing.
struct Object {
  uint64_t device, inode;
  uint64_t generation;  // what tells two files of one number apart: the time of birth in nanoseconds, or with
                        // bit 63 the kernel's generation; 0: not known
  uint64_t size, blocks, rdev;
  uint32_t mode, uid, gid, links;
};

// The data of an io_submit: one for each request that was taken, the first kMaxAio of them. That of an io_getevents:
// the kernel's io_events.
struct AioRequest {
  uint64_t address;   // of the control block, which io_events tell
  uint8_t block[64];  // the kernel's iocb
};
inline constexpr uint32_t kMaxAio = 96;
inline constexpr uint32_t kIoEventBytes = 32;

// The data of kOpSpawnActions: one for each, followed by its path's bytes. That of the vfork: an Object for each open,
// as it was afterwards.
struct SpawnAction {
  uint32_t op;      // trace::Op: close, dup2, open, chdir, close_range; none: it is about no file
  int32_t fd, fd2;  // open: the number that it gets
  uint32_t flags, mode;
  uint32_t path_bytes;
  // open: what was there; and, by bit, which lower numbers are open in the parent
  Object before;
  uint64_t below;
};

inline constexpr uint32_t kMaxPath = 4096;
inline constexpr uint32_t kMaxArguments = 8192;  // bytes of exec's arguments that are kept

}  // namespace reel::trace::wire

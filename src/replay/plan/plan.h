// SPDX-License-Identifier: Apache-2.0
//
// The plan of a replay: a trace's calls as steps, thread by thread, with everything that can be
// known ahead of playing: which descriptor, which directory and name, which steps of other threads
// must be over, how long the thread computes before. A pure function of the trace.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "reel/result.h"
#include "reel/trace.h"
#include "replay/plan/order/order.h"

namespace reel::replay {

using trace::FileKind;

// Why a call is not made again.
enum class Skip : uint8_t {
  none,
  process,      // fork, exec, wait, exit: threads are started and waited for instead
  waiting,      // poll, sleep: time alone
  message,      // of MPI: who waited waits for the same one
  context,      // umask, user: folded into the plan
  outside,      // a descriptor that was open before the recording, or whose opening is not in the trace
  machine,      // below /proc, /sys, /dev: the replaying machine's own
  socket,       // sockets, and descriptors that are no files
  timing,       // was interrupted, or would have had to wait: that depends on the moment
  refused,      // failed for a reason that lies in its machine: rights, room, limits, where file systems end
  nowhere,      // its name cannot be resolved, or lies in another root than its second name
  unsupported,  // no way to make it again
};
inline constexpr size_t kSkips = 12;
const char* skip_text(Skip skip);

// A directory in which a step finds a name.
struct Dir {
  uint32_t root = 0;      // 0: --into, else the number of a --map
  uint32_t instance = 0;  // equal ones are one directory, whatever it is called then; 0: not to be kept open
  std::string path;       // below the root, as it is called at that step; "." is the root itself
};

// Descriptors are slots: one for each time that a number was given out in a process.
using SlotId = uint32_t;  // 0: none

// Before the step (fork: the child's copies): `to` becomes a copy of `from`; to = 0: `from` is
// closed.
struct Effect {
  SlotId from = 0, to = 0;
};

// A call that lets others go on by having begun is two steps: its arrival, and the rest of it.
struct Step {
  uint32_t event = 0;  // index into Trace::events
  bool arrival = false;
  Skip skip = Skip::none;
  bool releases = false;      // a step of another thread needs this one
  bool waits = false;         // waiting for its needs is what the call itself does
  bool spins = false;         // it waited by computing
  bool sees = false;          // and its gap begins when it sees that it can go on
  bool stream = false;        // a pipe: bytes come when they come, as many as were recorded are taken
  bool through_proc = false;  // by the name /proc/self/fd/N of its slot
  SlotId slot = 0, slot2 = 0;
  SlotId replaces = 0;                 // dup2: what the number was before
  uint32_t dir = 0, dir2 = 0;          // indexes into Plan::dirs
  uint32_t name = 0, name2 = 0;        // indexes into Plan::names; 0: no name
  uint32_t mode = 0, umask = 0;        // of what it makes
  uint32_t ends_instance = 0;          // the directory that it removes
  uint32_t needs = 0, need_count = 0;  // in Plan::needs
  uint32_t effects = 0, effect_count = 0;
  uint32_t starts = 0;                  // the thread that begins with it
  uint32_t arrives_at = 0, awaits = 0;  // places in Plan::groups + 1
  uint64_t gap_ns = 0;                  // between what it waited for and its entry
  uint64_t before_ns = 0;               // with a base: CPU time of the gap before it waited
  uint64_t cpu_ns = 0;                  // how much of the gap was CPU time; ~0: it was not measured
  uint64_t queued_ns = ~0ull;           // of the gap: ready to run, without a processor; ~0: not known
  uint64_t unseen_ns = 0;               // of the gap of one that sees: all but its work
  uint64_t contended_ns = 0;            // how much of it the thread could have run, and all processors had others
  uint64_t passing_ns = 0;  // of a step that is not made: how long it takes once what it waited for has happened
  uint32_t until = 0;       // a poll: not made when all that this step of its thread needs is over
  uint64_t tick_ns = 0;     // the step that polls led to: the time from one to the next
  Need fed_by;              // whose bytes, or end, a read of a stream waited for; the stream sees to it in a replay
  Need base;                // the gap begins at the end of this step (of another thread); none: of the thread's
                            // last one
};

// A barrier, or another meeting: who awaits it goes on when so many have arrived.
struct Group {
  uint32_t arrivals = 0;
  uint64_t last_ns = 0;  // when the last one arrived in the recording
};

// What has to be there at the start.
struct Initial {
  uint32_t root = 0;  // as Dir::root
  std::string path;   // below the root, without symlinks
  FileKind kind = FileKind::absent;
  std::string link_text;
  uint32_t mode = 0;  // permission bits; 0 with `inferred`: a default
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0, allocated = 0, rdev = 0;
  Fid object;  // equal ones are one file
  trace::Content content = trace::Content::unknown;
  trace::Known known = trace::Known::inferred;
};

struct Plan {
  std::vector<std::vector<Step>> threads;  // by Thread::number - 1
  std::vector<uint32_t> first;             // threads that begin with the replay
  std::vector<Need> needs;
  std::vector<Group> groups;
  std::vector<Effect> effects;
  std::vector<Dir> dirs;
  std::vector<std::string> names{""};
  std::vector<Initial> initial;
  uint32_t slots = 1, instances = 1;
  uint64_t begin_ns = 0, end_ns = 0;  // first entry and last exit of its steps
  uint64_t most_written = 0;          // bytes of the longest write
  size_t steps = 0;
  std::vector<std::string> doubts;  // where the order of the recording could not be told, in words

  // When the step was over in the recording.
  uint64_t recorded_ns(const trace::Trace& trace, const Need& need) const {
    const Step& step = threads[need.thread - 1][need.count - 1];
    const trace::Event& event = trace.events[step.event];
    return step.arrival ? event.enter_ns : event.exit_ns();
  }
};

struct PlanOptions {
  std::vector<std::string> mapped;  // recorded prefixes that have a root of their own; root i + 1
  bool strict = false;              // ARTC's file rule: the calls on a file come one after the other
  bool causal = false;              // who waited for another's message, or read what another wrote, does so again
};

// Errors: invalid (the trace has no calls, or holds counters only).
Result<Plan> make_plan(const trace::Trace& trace, const PlanOptions& options);

}  // namespace reel::replay

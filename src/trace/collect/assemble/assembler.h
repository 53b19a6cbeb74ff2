// SPDX-License-Identifier: Apache-2.0
//
// From recorders' events, in the order of their exits, to a trace: whose descriptor is which file,
// where its position is, what a name is in full, which process came from which, and what was there
// before. It touches nothing but the Writer and the Surroundings. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "reel/trace.h"
#include "trace/collect/assemble/aio.h"
#include "trace/collect/assemble/calibration.h"
#include "trace/collect/assemble/initial_state.h"
#include "trace/collect/assemble/objects.h"
#include "trace/collect/assemble/tables.h"
#include "trace/collect/raw.h"
#include "trace/counters.h"
#include "trace/filter.h"

namespace reel::trace {

// Where a recorder's events come from.
struct Origin {
  int32_t pid = 0, tid = 0, ppid = 0;
  int32_t parent = 0;  // tid of the maker, 0: not known
  uint32_t uid = 0, gid = 0;
  uint64_t made_ns = 0;  // monotonic
  std::string name;
  bool begins = false;  // the first events of a thread, or of a program after an exec
  bool hello = false;   // ... the latter
};

class Assembler {
 public:
  // `ahead_ns`: what the realtime clock was ahead of the monotonic one at the start.
  Assembler(Writer& writer, Surroundings& surroundings, Filter filter, uint64_t ahead_ns);

  // The first process's directory and the files it was born with.
  void begin(int32_t pid, const std::string& cwd);
  void inherit(int32_t number, std::shared_ptr<OpenFile> file);

  // What an import is told beside the calls: the thread's process is in this directory; and, when nobody was seen
  // opening it, what the descriptor leads to (its position is not known).
  void is_in_directory(uint32_t thread, const std::string& cwd) { state(thread).process->cwd = cwd; }
  void leads_to(uint32_t thread, int32_t number, const std::string& path);

  // As if it had taken what is in the trace already: who was there, in which directory, with what open.
  void resume(const Trace& before);

  // The number of the thread that an origin's events belong to; made when it is new.
  Result<uint32_t> thread(const Origin& origin);
  Status take(uint32_t thread, const Raw& raw);
  // A process is known to have ended: its last word, or that it had none.
  Status process_ended(int32_t pid, int signal = 0);
  // All that is still open is closed in the trace.
  Status finish();
  // What was taken goes to the writer, each thread's in a row; flush() makes it readable, too. Blocks that are
  // closed too often pack badly, so recorders flush when it is due: after kFlush_ns, `few_ns` when there is little, or
  // when there is much.
  Status hand_over();
  Status flush();
  bool is_due(uint64_t now_ns, uint64_t few_ns = kFlush_ns) const {
    return now_ns - flushed_ns_ >= (batched_ < kFew ? few_ns : kFlush_ns) || batched_ >= kMuch;
  }

  uint64_t in_real_time(uint64_t monotonic_ns) const { return monotonic_ns + ahead_ns_; }
  uint32_t thread_count() const { return static_cast<uint32_t>(threads_.size()); }

  static constexpr uint64_t kFlush_ns = 100'000'000;

 private:
  // A posix_spawn that has begun.
  struct Spawn {
    bool tried = false;
    uint64_t enter_ns = 0;
    std::string path, arguments, actions;
  };
  struct ThreadState {
    Thread thread;
    std::shared_ptr<Process> process;
    std::string program;  // what it runs, for filters
    uint64_t last_exit = 0;
    Spawn spawn;
  };

  ThreadState& state(uint32_t number) { return threads_[number - 1]; }
  Result<uint32_t> add_thread(const Origin& origin, std::shared_ptr<Process> process, uint32_t parent);
  Result<uint32_t> child_of(ThreadState& parent, int32_t pid, uint64_t now, const std::string& name);
  std::shared_ptr<Process> alive(int32_t pid);

  void resume_thread(const Trace& before, const Thread& thread);
  void resume_event(const Trace& before, const Event& event);
  Status base_event(ThreadState& at, const Raw& raw, Event& event, std::string& full, std::string& full2);
  Status name_paths(ThreadState& at, const Raw& raw, Event& event, std::string& full, std::string& full2);
  void became(ThreadState& at, std::string_view program);
  Status hello(ThreadState& at, const Raw& raw);
  Status unseen(ThreadState& at, const Raw& raw);
  Status exec_tried(ThreadState& at, const Raw& raw);
  uint32_t spawner(uint32_t parent, uint64_t now) const;
  Status spawned(uint32_t maker, uint32_t child, std::string_view opened);
  Status act(uint32_t child, const wire::SpawnAction& action, std::string_view path, uint64_t at_ns,
             const wire::Object& opened);
  Status fact(std::string_view text);
  Status compute(ThreadState& at, const Raw& raw);
  void spun(const ThreadState& at, const Raw& raw);
  static void attached(Process& process, const Raw& raw);
  Status requests(ThreadState& at, const Raw& raw);
  Status complete(ThreadState& at, const Raw& raw, Event& event, const std::string& full, const std::string& full2,
                  bool& wanted);
  void complete_descriptors(Process& process, Event& event);
  void complete_open(Process& process, const Raw& raw, Event& event, const std::string& full);
  void complete_data(Process& process, Event& event);
  void complete_copy(Process& process, Event& event);
  bool complete_mapping(Process& process, Event& event);
  void complete_memory(Process& process, Event& event);
  Status complete_process(ThreadState& at, const Raw& raw, Event& event, const std::string& full, bool& wanted);
  Status complete_child(ThreadState& at, Event& event);
  void changed_directory(Process& process, const Event& event, const std::string& full);
  void renamed(const std::string& from, const std::string& to);
  void move(OpenFile& file, Event& event, int64_t moved, bool writes);
  void emit(Event event, const std::string& path);

  static constexpr size_t kFew = 2'000, kMuch = 50'000;  // calls
  static constexpr uint64_t kCount_ns = 1'000'000'000;   // counts are in the log no later than this

  Writer& writer_;
  uint64_t flushed_ns_ = 0, counted_ns_ = 0;
  Surroundings& surroundings_;
  Filter filter_;
  Sampler sampler_;
  Counters counters_;
  uint64_t ahead_ns_;
  Objects objects_;
  InitialState initial_;
  Calibration calibration_;
  AioRequests aio_;
  std::vector<ThreadState> threads_;              // by number - 1
  std::unordered_map<int32_t, uint32_t> by_tid_;  // the latest of this tid
  std::unordered_map<int32_t, std::shared_ptr<Process>> by_pid_;
  std::vector<std::weak_ptr<OpenFile>> directories_;  // open ones: a rename changes their names
  std::unordered_map<Fid, uint64_t> sizes_;           // for what is opened with O_APPEND
  std::map<uint32_t, std::vector<Event>> batch_;      // by thread: a thread's calls pack better together
  size_t batched_ = 0;                                // events in it
  std::string first_cwd_ = "/";
  int32_t first_pid_ = 0;
  FdTable first_table_;
};

}  // namespace reel::trace

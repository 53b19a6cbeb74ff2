// SPDX-License-Identifier: Apache-2.0
//
// Walks a trace's calls in the order in which they took effect and makes steps of them. Of calls
// that overlapped in time the one that ended first counts as first; what gives something away
// (close, unlock, fork) counts from its entry.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "replay/plan/messages.h"
#include "replay/plan/names.h"
#include "replay/plan/order.h"
#include "replay/plan/plan.h"
#include "replay/plan/polls.h"
#include "replay/plan/written.h"
#include "trace/costs.h"

namespace reel::replay {

// A pipe or a pair of sockets, which is made again.
struct Stream {
  uint64_t written = 0, read = 0;
  // Part of it went to or came from somebody who was not recorded.
  bool is_torn() const;
};

// Bytes on their way, in one direction: of a pipe or a connection.
struct Flow {
  // Who moved the bytes up to `end`.
  struct Piece {
    uint64_t end = 0;
    Need by;
  };
  uint64_t written = 0, read = 0;
  std::vector<Piece> writes, reads;
  Need closed;  // the last that closed an end to write to
};

// What a descriptor leads to; copies share it.
struct Description {
  Skip skip = Skip::none;
  NodeId node = 0;
  bool directory = false;
  bool append = false;
  Fid object;
  uint32_t initial = 0;  // place in Plan::initial + 1
  std::shared_ptr<Stream> stream;
  std::shared_ptr<Flow> incoming, outgoing;  // causal only
  Sequence position;
};

struct SlotState {
  std::shared_ptr<Description> description;
  Cell stage;  // made, used, closed
};

class Planner {
 public:
  Planner(const trace::Trace& trace, const PlanOptions& options, Plan& plan);
  void run();

 private:
  using Event = trace::Event;
  struct Entry {
    SlotId slot = 0;
    uint32_t generation = 0;
    bool close_on_exec = false;
  };
  struct ProcessState {
    std::map<int32_t, Entry> table;
    uint32_t umask = 022;
    uint32_t vfork_parent = 0;  // the thread that waits for its exec or end; 0: none
    Need ended;
  };
  struct ThreadState {
    std::vector<uint32_t> events;
    size_t next = 0;
    uint64_t last_exit = 0;
    trace::Op last_op = trace::Op::none;
    uint64_t compute_wall = 0, compute_cpu = 0;  // of the gap under way
    std::vector<Need> pending;                   // hard needs of its next step
    bool made = false;                           // somebody makes it
    std::vector<uint32_t> polls;                 // places of the steps that poll for a call to come
    bool arrived = false;                        // the first of its next call's two steps is there
    uint64_t calls = 0;                          // trace::is_call
    bool queued = false;                         // its next call is in the queue
    uint64_t taken = 0;                          // times that the queue has given it out
  };
  // The step under way.
  struct At {
    Step& step;
    const Event& event;
    Need me;
    ProcessState& process;
    bool found = false;  // it waits for what no call shows
  };

  // planner.cpp
  void begin_threads();
  void push(uint32_t thread);
  void take(uint32_t thread, uint32_t index, bool arrival);
  void take_poll(At& at);
  void end_polls(At& at);
  bool is_apart(uint32_t index) const;  // its arrival is a step of its own
  void pace(At& at);
  void finish_step(At& at);
  void call(At& at);
  void call_without_file(At& at);
  void drop_torn_streams();
  ProcessState& process_of(uint32_t thread) { return processes_[trace_.threads[thread - 1].process]; }

  // planner_processes.cpp
  void begin_process(At& at, uint32_t from, uint32_t to);
  void make_thread(At& at);
  void plan_exit(At& at);
  void plan_exec(At& at);
  void plan_wait(At& at);
  void release_parent(At& at);

  // planner_messages.cpp
  void begin_messages();
  void finish_messages();
  void plan_message(At& at);
  void arrive(At& at);
  void await_group(At& at, uint32_t group);
  void await_message(At& at, uint32_t sent);
  void await_receiver(At& at, uint32_t sent, bool always);

  // planner_found.cpp
  void begin_found();
  void await_found(At& at);

  // planner_flows.cpp
  std::shared_ptr<Flow> make_flow();
  void begin_connections();
  void connect_ends(At& at, SlotId slot, bool accepts);
  void read_flow(At& at, const Description& from, int64_t result);
  void write_flow(At& at, const Description& to, int64_t result);
  void plan_socket_data(At& at);
  void find_feeders();

  // planner_overlaps.cpp
  struct Claim {
    NodeId node;
    bool present;
  };
  std::vector<Claim> claims_of(const Event& event);
  bool makes_true(const Event& event, const Claim& claim);
  NodeId made_by(const Event& event);
  bool takes_away(const Event& event, NodeId node);
  bool found_nothing(const Event& event, NodeId node);
  struct Sizes {
    uint64_t least = 0, most = ~0ull;
  };
  static Sizes sizes_seen(const Event& event);
  static std::optional<uint64_t> size_after(const Event& event, uint64_t size);
  uint32_t overtaken(uint32_t thread);
  uint32_t still_finds(uint32_t thread, const Event& event);
  bool somebody_makes(uint32_t thread, const Event& event, const Claim& claim);
  uint32_t overtaken_in_size(uint32_t thread, const Event& event);
  uint32_t find_late(uint32_t thread, const Event& event, const std::function<bool(const Event&)>& wanted);

  // planner_names.cpp
  NodeId look(At& at, trace::StringId path, bool follow);
  bool place(At& at, NodeId node, bool second);
  bool by_proc(At& at, trace::StringId path);
  void plan_open(At& at);
  void plan_make(At& at);      // mkdir, mknod, symlink
  void plan_remove(At& at);    // unlink, rmdir
  void plan_move(At& at);      // rename, link
  void plan_question(At& at);  // by path, or by descriptor
  void plan_truncate(At& at);

  // planner_descriptors.cpp
  SlotId give(At& at, trace::Descriptor fd, std::shared_ptr<Description> description, bool close_on_exec);
  bool use_slot(At& at, trace::Descriptor fd, SlotId& slot);
  Description* description(SlotId slot) { return slots_[slot].description.get(); }
  void close_slot(At& at, SlotId slot, bool effect);
  void plan_descriptors(At& at);
  void plan_close(At& at);
  void plan_copy_descriptor(At& at);
  void plan_pair(At& at);
  void plan_close_range(At& at);

  // planner_data.cpp
  void plan_data(At& at);
  void plan_copy(At& at);
  void plan_lock(At& at);
  void plan_mapping(At& at);
  void read_at(At& at, SlotId slot, uint64_t offset, uint64_t length, int64_t result);
  void write_at(At& at, SlotId slot, uint64_t offset, int64_t result);
  void touch(At& at, const Fid& object);  // the strict rule
  uint64_t* size_of(const Fid& object);

  const trace::Trace& trace_;
  const PlanOptions& options_;
  Plan& plan_;
  Needs needs_;
  Names names_;
  trace::Costs costs_;                // of the recorder, in gaps
  std::vector<ThreadState> threads_;  // by number
  std::unordered_map<uint32_t, ProcessState> processes_;
  std::vector<SlotState> slots_;
  std::unordered_map<Fid, Extent, FidHash> extents_;
  std::unordered_map<Fid, Sequence, FidHash> strict_, locks_;
  std::unordered_map<Fid, uint64_t, FidHash> sizes_;  // of files whose size is known
  std::unordered_set<Fid, FidHash> written_;
  struct Fifo {
    std::shared_ptr<Stream> stream;
    std::shared_ptr<Flow> flow;
  };
  std::unordered_map<NodeId, Fifo> fifos_;
  std::vector<std::shared_ptr<Flow>> flows_;
  // Connections by name and how many of that name there were before: to who accepted it, and back.
  struct Connection {
    std::shared_ptr<Flow> there, back;
  };
  using Name = std::pair<trace::StringId, uint32_t>;  // and the process that connects, where all accepts tell it
  std::map<std::pair<Name, uint32_t>, Connection> connections_;
  std::map<Name, uint32_t> connected_, accepted_;      // how many so far
  std::unordered_set<trace::StringId> unknown_peers_;  // an accept of this name does not tell its process
  std::unordered_map<Fid, Written, FidHash> data_;     // causal only
  Messages messages_;                                  // causal only
  std::unordered_map<uint32_t, uint32_t> polls_;       // causal only
  std::unordered_map<uint32_t, Need> arrivals_;        // event of a message -> the step that its arrival is
  // Causal only, by thread and call: those that it waits for, and the steps of those that are waited for.
  using CallId = std::pair<uint32_t, uint64_t>;
  std::map<CallId, std::vector<CallId>> found_;
  std::map<CallId, Need> sources_;
  uint64_t late_found_ = 0;
  uint64_t late_arrivals_ = 0;                           // the other end had not begun by then, by the trace's clocks
  using Key = std::tuple<uint64_t, uint32_t, uint64_t>;  // when its next call took effect, thread, its `taken`
  std::priority_queue<Key, std::vector<Key>, std::greater<>> queue_;
};

// A call by name: whether a symlink at its end is followed; whether its names, or what lies above them, may not have
// been there.
bool follows(const trace::Event& event);
bool missing(const trace::Event& event);

// The number of effects of a step is counted by `add`.
void add_effect(Plan& plan, Step& step, Effect effect);

}  // namespace reel::replay

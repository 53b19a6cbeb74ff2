// SPDX-License-Identifier: Apache-2.0
//
// The team of `mpirun reel-mpi replay`. On a node its processes share one board, and threads wait on it (futexes);
// between nodes, what somebody there waits for is told by messages, and each node's leader writes it on its board.
#pragma once

#include <mpi.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "replay/play/team.h"

namespace reel::mpi {

class MpiTeam : public replay::Team {
 public:
  // MPI has been initialized with MPI_THREAD_MULTIPLE, and is finalized after this has gone.
  MpiTeam();
  ~MpiTeam() override;
  // Takes each `processes` for a node. For trying what happens between nodes on one machine.
  void split(int processes);

  bool leads() const override { return rank_ == 0; }
  bool leads_node() const override { return node_rank_ == 0; }
  Status agree(Status mine) override;
  bool of_leader(bool what) override;
  void wait_for_all() override;
  Result<replay::Board*> begin(const trace::Trace& trace, const replay::Plan& plan) override;
  bool plays(uint32_t thread) const override { return parts_[thread - 1] == static_cast<uint32_t>(rank_); }
  uint64_t start_ns() override;
  void over(uint32_t thread, uint32_t count, uint64_t now) override;
  void arrived(uint32_t place, uint64_t now) override;
  void stop() override;
  uint64_t steps_elsewhere() override;
  Status end(const replay::Plan& plan, replay::Played& played) override;

 private:
  // Between nodes. Times are the leader's clock.
  enum class Kind : uint32_t { over, arrived, stop, beat };
  struct Note {
    Kind kind;
    uint32_t number;  // over: thread; arrived: place of the group; beat: node
    uint64_t count;   // over, beat: steps; arrived: how many
    uint64_t ns;
  };
  struct Meeting {
    uint32_t here = 0;       // arrivals by this node's threads
    std::vector<int> nodes;  // others that await it
  };

  void number_nodes();
  void find_routes(const replay::Plan& plan);
  void share_memory(const replay::Plan& plan);
  void measure_clock();
  void tell(int node, const Note& note);
  void receive();
  void take(const Note& note);
  void gather_samples(const replay::Plan& plan, replay::Played& played);
  void gather_ends(replay::Played& played);
  int node_of(uint32_t thread) const { return node_of_process_[parts_[thread - 1]]; }

  MPI_Comm all_ = MPI_COMM_NULL, notes_ = MPI_COMM_NULL, node_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1, node_rank_ = 0, my_node_ = 0;
  std::vector<int> node_of_process_, leader_of_node_;

  MPI_Win window_ = MPI_WIN_NULL;  // of the node: board, arrivals_, beats_
  std::optional<replay::Board> board_;
  std::atomic<uint32_t>* arrivals_ = nullptr;  // by place of the group: of this node's threads
  std::atomic<uint64_t>* beats_ = nullptr;     // by node: steps done there
  std::vector<uint32_t> parts_;
  std::unordered_map<uint64_t, std::vector<int>> routes_;  // thread << 32 | steps -> nodes that wait for it
  std::vector<Meeting> meetings_;                          // by place in Plan::groups + 1
  int64_t ahead_ns_ = 0;                                   // of the leader's clock, against this machine's

  std::vector<std::atomic<uint64_t>> sent_;  // notes, by node
  std::thread receiver_;
  std::atomic<int64_t> expected_{-1};  // notes to this node in all, once it is known
  uint64_t last_beat_ns_ = 0;
};

}  // namespace reel::mpi

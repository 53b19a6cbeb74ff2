// SPDX-License-Identifier: Apache-2.0
#include "mpi/mpi_team.h"

#include <time.h>

#include <algorithm>
#include <cstring>

#include "replay/plan/parts.h"
#include "replay/play/pacing.h"
#include "replay/play/player.h"

namespace reel::mpi {
namespace {

using replay::Need;
using replay::now_ns;
using replay::Plan;
using replay::Played;
using replay::Sample;
using replay::Step;

constexpr int kNoteTag = 1, kSampleTag = 2, kClockTag = 3;
constexpr uint64_t kBeat = 1'000'000'000;
constexpr uint64_t kLead = 5'000'000;  // from the last word about the start to the start
constexpr int kClockRounds = 100;
constexpr size_t kLine = 64;
constexpr size_t kMostText = 4096;

void nap(uint64_t ns) {
  timespec rest{0, static_cast<long>(ns)};
  ::nanosleep(&rest, nullptr);
}

uint64_t shifted(uint64_t ns, int64_t by) {
  return ns == 0 ? 0 : ns + static_cast<uint64_t>(by);
}

uint64_t key_of(uint32_t thread, uint64_t count) {
  return uint64_t{thread} << 32 | count;
}

void add_node(std::vector<int>& nodes, int node) {
  if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
}

}  // namespace

MpiTeam::MpiTeam() {
  MPI_Comm_dup(MPI_COMM_WORLD, &all_);
  MPI_Comm_dup(MPI_COMM_WORLD, &notes_);
  MPI_Comm_rank(all_, &rank_);
  MPI_Comm_size(all_, &size_);
  MPI_Comm_split_type(all_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node_);
  number_nodes();
}

MpiTeam::~MpiTeam() {
  if (window_ != MPI_WIN_NULL) MPI_Win_free(&window_);
  for (MPI_Comm* one : {&all_, &notes_, &node_}) MPI_Comm_free(one);
}

void MpiTeam::split(int processes) {
  MPI_Comm_free(&node_);
  MPI_Comm_split(all_, rank_ / processes, rank_, &node_);
  number_nodes();
}

// Nodes are numbered by their leaders' ranks; the leader of all leads the first.
void MpiTeam::number_nodes() {
  MPI_Comm_rank(node_, &node_rank_);
  int leader = rank_;
  MPI_Bcast(&leader, 1, MPI_INT, 0, node_);
  std::vector<int> leaders(static_cast<size_t>(size_));
  MPI_Allgather(&leader, 1, MPI_INT, leaders.data(), 1, MPI_INT, all_);
  leader_of_node_ = leaders;
  std::sort(leader_of_node_.begin(), leader_of_node_.end());
  leader_of_node_.erase(std::unique(leader_of_node_.begin(), leader_of_node_.end()), leader_of_node_.end());
  node_of_process_.clear();
  for (int one : leaders) {
    auto place = std::lower_bound(leader_of_node_.begin(), leader_of_node_.end(), one);
    node_of_process_.push_back(static_cast<int>(place - leader_of_node_.begin()));
  }
  my_node_ = node_of_process_[static_cast<size_t>(rank_)];
}

// MPI's own waiting spins; those who are done early must not take the processors from the others.
void MpiTeam::wait_for_all() {
  MPI_Request request;
  MPI_Ibarrier(all_, &request);
  int done = 0;
  for (uint64_t pause = 20'000;; pause = std::min<uint64_t>(pause * 2, 2'000'000)) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done != 0) return;
    nap(pause);
  }
}

Status MpiTeam::agree(Status mine) {
  wait_for_all();
  int failed = mine ? size_ : rank_, first = size_;
  MPI_Allreduce(&failed, &first, 1, MPI_INT, MPI_MIN, all_);
  if (first == size_) return ok();
  struct {
    int code;
    char text[kMostText];
  } told = {};
  if (first == rank_) {
    char host[MPI_MAX_PROCESSOR_NAME];
    int length = 0;
    MPI_Get_processor_name(host, &length);
    told.code = static_cast<int>(mine.error().code());
    std::string text = mine.error().text();
    if (rank_ != 0) text = "process " + std::to_string(rank_) + " on " + host + ": " + text;
    std::strncpy(told.text, text.c_str(), sizeof told.text - 1);
  }
  MPI_Bcast(&told, sizeof told, MPI_BYTE, first, all_);
  return Error(static_cast<Code>(told.code), told.text);
}

bool MpiTeam::of_leader(bool what) {
  int told = what ? 1 : 0;
  MPI_Bcast(&told, 1, MPI_INT, 0, all_);
  return told != 0;
}

Result<replay::Board*> MpiTeam::begin(const trace::Trace& trace, const Plan& plan) {
  int threads = MPI_THREAD_SINGLE;
  MPI_Query_thread(&threads);
  if (leader_of_node_.size() > 1 && threads < MPI_THREAD_MULTIPLE)
    return Error(Code::unsupported, "this MPI does not let several threads send: a replay cannot be on several nodes");
  parts_ = replay::parts_of(trace, plan, static_cast<uint32_t>(size_));
  share_memory(plan);
  size_t nodes = leader_of_node_.size();
  sent_ = std::vector<std::atomic<uint64_t>>(nodes);
  expected_ = -1;
  last_beat_ns_ = 0;
  find_routes(plan);
  if (nodes > 1) {
    measure_clock();
    if (leads_node()) receiver_ = std::thread(&MpiTeam::receive, this);
  }
  return &*board_;
}

void MpiTeam::share_memory(const Plan& plan) {
  size_t board = replay::Board::room(plan), arrivals = (plan.groups.size() + 1) * sizeof *arrivals_;
  arrivals = (arrivals + kLine - 1) / kLine * kLine;
  size_t room = board + arrivals + leader_of_node_.size() * sizeof *beats_ + kLine;
  char* memory = nullptr;
  if (window_ != MPI_WIN_NULL) MPI_Win_free(&window_);
  MPI_Aint mine = leads_node() ? static_cast<MPI_Aint>(room) : 0;
  MPI_Win_allocate_shared(mine, 1, MPI_INFO_NULL, node_, &memory, &window_);  // or MPI ends it all
  MPI_Aint size = 0;
  int unit = 0;
  MPI_Win_shared_query(window_, 0, &size, &unit, &memory);
  auto at = reinterpret_cast<uintptr_t>(memory);
  memory += (kLine - at % kLine) % kLine;
  if (leads_node()) std::memset(memory, 0, room - kLine);
  MPI_Barrier(node_);
  board_.emplace(plan, memory);
  arrivals_ = reinterpret_cast<std::atomic<uint32_t>*>(memory + board);
  beats_ = reinterpret_cast<std::atomic<uint64_t>*>(memory + board + arrivals);
}

// What this node's threads do that others wait for.
void MpiTeam::find_routes(const Plan& plan) {
  routes_.clear();
  meetings_.assign(plan.groups.size() + 1, {});
  if (leader_of_node_.size() == 1) return;
  for (uint32_t thread = 1; thread <= plan.threads.size(); ++thread) {
    int node = node_of(thread);
    auto waits_for = [&](const Need& need) {
      if (need.count != 0 && node != my_node_ && node_of(need.thread) == my_node_)
        add_node(routes_[key_of(need.thread, need.count)], node);
    };
    for (const Step& step : plan.threads[thread - 1]) {
      for (uint32_t i = 0; i < step.need_count; ++i) waits_for(plan.needs[step.needs + i]);
      waits_for(step.fed_by);
      waits_for(step.base);
      if (step.arrives_at != 0 && node == my_node_) ++meetings_[step.arrives_at].here;
      if (step.awaits != 0 && node != my_node_) add_node(meetings_[step.awaits].nodes, node);
    }
  }
}

// As NTP does it, the best of many rounds, each node in turn; Mills, RFC 5905, section 8.
void MpiTeam::measure_clock() {
  ahead_ns_ = 0;
  for (size_t node = 1; node < leader_of_node_.size(); ++node) {
    int other = leader_of_node_[node];
    for (int round = 0; round < kClockRounds && rank_ == 0; ++round) {
      MPI_Recv(nullptr, 0, MPI_BYTE, other, kClockTag, all_, MPI_STATUS_IGNORE);
      uint64_t now = now_ns();
      MPI_Send(&now, 1, MPI_UINT64_T, other, kClockTag, all_);
    }
    uint64_t shortest = ~0ull;
    for (int round = 0; round < kClockRounds && rank_ == other; ++round) {
      uint64_t asked = now_ns(), leaders = 0;
      MPI_Send(nullptr, 0, MPI_BYTE, 0, kClockTag, all_);
      MPI_Recv(&leaders, 1, MPI_UINT64_T, 0, kClockTag, all_, MPI_STATUS_IGNORE);
      uint64_t took = now_ns() - asked;
      if (took >= shortest) continue;
      shortest = took;
      ahead_ns_ = static_cast<int64_t>(leaders - (asked + took / 2));
    }
  }
  MPI_Bcast(&ahead_ns_, 1, MPI_INT64_T, 0, node_);
}

uint64_t MpiTeam::start_ns() {
  wait_for_all();
  uint64_t start = now_ns() + kLead;
  MPI_Bcast(&start, 1, MPI_UINT64_T, 0, all_);
  return shifted(start, -ahead_ns_);
}

void MpiTeam::tell(int node, const Note& note) {
  sent_[static_cast<size_t>(node)].fetch_add(1);
  MPI_Send(&note, sizeof note, MPI_BYTE, leader_of_node_[static_cast<size_t>(node)], kNoteTag, notes_);
}

void MpiTeam::over(uint32_t thread, uint32_t count, uint64_t now) {
  auto route = routes_.find(key_of(thread, count));
  if (route == routes_.end()) return;
  for (int node : route->second) tell(node, {Kind::over, thread, count, shifted(now, ahead_ns_)});
}

// One word for all arrivals of a node.
void MpiTeam::arrived(uint32_t place, uint64_t) {
  const Meeting& meeting = meetings_[place];
  if (meeting.nodes.empty() || arrivals_[place].fetch_add(1) + 1 != meeting.here) return;
  uint64_t last = board_->meeting(place).last_ns.load();
  for (int node : meeting.nodes) tell(node, {Kind::arrived, place, meeting.here, shifted(last, ahead_ns_)});
}

void MpiTeam::stop() {
  for (int node = 0; node < static_cast<int>(leader_of_node_.size()); ++node)
    if (node != my_node_) tell(node, {Kind::stop, 0, 0, 0});
}

uint64_t MpiTeam::steps_elsewhere() {
  uint64_t now = now_ns(), sum = 0;
  if (leads_node() && now - last_beat_ns_ > kBeat) {
    last_beat_ns_ = now;
    for (int node = 0; node < static_cast<int>(leader_of_node_.size()); ++node)
      if (node != my_node_) tell(node, {Kind::beat, static_cast<uint32_t>(my_node_), board_->steps_done(), 0});
  }
  for (size_t node = 0; node < leader_of_node_.size(); ++node) sum += beats_[node].load();
  return sum;
}

// The receiving thread. MPI's own waiting would take a processor from those who play.
void MpiTeam::receive() {
  constexpr uint64_t kPause = 10'000;
  Note note;
  for (int64_t received = 0;; ++received) {
    MPI_Request request;
    MPI_Irecv(&note, sizeof note, MPI_BYTE, MPI_ANY_SOURCE, kNoteTag, notes_, &request);
    int done = 0;
    for (;;) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done != 0) break;
      if (expected_.load() == received) {
        MPI_Cancel(&request);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
        return;
      }
      nap(kPause);
    }
    take(note);
  }
}

void MpiTeam::take(const Note& note) {
  uint64_t ns = shifted(note.ns, -ahead_ns_);
  switch (note.kind) {
    case Kind::over:
      board_->samples(note.number)[note.count - 1].exit_ns = ns;
      board_->progress(note.number).set(static_cast<uint32_t>(note.count), true);
      break;
    case Kind::arrived:
      board_->meeting(note.number).arrive(ns, static_cast<uint32_t>(note.count));
      break;
    case Kind::stop:
      board_->stop() = true;
      board_->wake_everybody();
      break;
    case Kind::beat:
      beats_[note.number] = note.count;
      break;
  }
}

Status MpiTeam::end(const Plan& plan, Played& played) {
  wait_for_all();
  size_t nodes = leader_of_node_.size();
  std::vector<uint64_t> mine(nodes), all(nodes);
  for (size_t node = 0; node < nodes; ++node) mine[node] = sent_[node].load();
  MPI_Allreduce(mine.data(), all.data(), static_cast<int>(nodes), MPI_UINT64_T, MPI_SUM, all_);
  // What was told, and nobody waited for, does not come in the next playing.
  expected_ = static_cast<int64_t>(all[static_cast<size_t>(my_node_)]);
  if (receiver_.joinable()) receiver_.join();
  gather_samples(plan, played);
  gather_ends(played);
  MPI_Win_free(&window_);
  return ok();
}

void MpiTeam::gather_samples(const Plan& plan, Played& played) {
  MPI_Datatype sample;
  MPI_Type_contiguous(sizeof(Sample), MPI_BYTE, &sample);
  MPI_Type_commit(&sample);
  for (uint32_t i = 0; i < plan.threads.size(); ++i) {
    int player = static_cast<int>(parts_[i]);
    std::vector<Sample>& samples = played.threads[i];
    if (player == 0) continue;
    if (player == rank_) {
      for (Sample& one : samples) {
        one.enter_ns = shifted(one.enter_ns, ahead_ns_);
        one.exit_ns = shifted(one.exit_ns, ahead_ns_);
      }
      MPI_Send(samples.data(), static_cast<int>(samples.size()), sample, 0, kSampleTag, all_);
    } else if (rank_ == 0) {
      samples.resize(plan.threads[i].size());
      MPI_Recv(samples.data(), static_cast<int>(samples.size()), sample, player, kSampleTag, all_, MPI_STATUS_IGNORE);
    }
  }
  MPI_Type_free(&sample);
}

void MpiTeam::gather_ends(Played& played) {
  struct End {
    uint32_t stopped;
    char stalled[1024];
  } mine = {played.stopped ? 1u : 0u, {}};
  std::strncpy(mine.stalled, played.stalled.c_str(), sizeof mine.stalled - 1);
  std::vector<End> all(leads() ? static_cast<size_t>(size_) : 0);
  MPI_Gather(&mine, sizeof mine, MPI_BYTE, all.data(), sizeof mine, MPI_BYTE, 0, all_);
  for (const End& end : all) {
    played.stopped = played.stopped || end.stopped != 0;
    if (played.stalled.empty()) played.stalled = end.stalled;
  }
}

}  // namespace reel::mpi

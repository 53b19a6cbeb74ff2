// SPDX-License-Identifier: Apache-2.0
//
// Collectives of neighbours: a message to each neighbour and one from each, as the topology of the communicator has
// them.
#include <stdlib.h>

#include "trace/mpi/shim.h"

using namespace reel::trace;       // NOLINT: the whole file is about them
using namespace reel::trace::mpi;  // NOLINT

REEL_REAL(Topo_test);
REEL_REAL(Cartdim_get);
REEL_REAL(Cart_shift);
REEL_REAL(Graph_neighbors_count);
REEL_REAL(Graph_neighbors);
REEL_REAL(Dist_graph_neighbors_count);
REEL_REAL(Dist_graph_neighbors);

namespace {

// The neighbours of this rank, in MPI's order: with place i of a call's arrays goes the i-th.
class Neighbours {
 public:
  explicit Neighbours(MPI_Comm comm) {
    int kind = MPI_UNDEFINED;
    if (real_Topo_test(comm, &kind) != MPI_SUCCESS) return;
    if (kind == MPI_CART) of_grid(comm);
    if (kind == MPI_GRAPH) of_graph(comm);
    if (kind == MPI_DIST_GRAPH) of_distributed_graph(comm);
  }
  ~Neighbours() { free(ranks_); }
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;

  int sources() const { return sources_; }
  int source(int i) const { return ranks_[i]; }
  int targets() const { return targets_; }
  int target(int i) const { return ranks_[sources_ + i]; }
  // Which of the sources is asked for first, second...: where one rank is a neighbour on both sides of a grid, what it
  // sends to its lower one comes first, and is for the upper place.
  int in_turn(int i) const { return is_grid_ ? i ^ 1 : i; }

 private:
  // Room for what is done with them, too: weights.
  bool make_room(int sources, int targets) {
    ranks_ = static_cast<int*>(calloc(static_cast<size_t>(sources + targets) * 2 + 1, sizeof(int)));
    if (!ranks_) return false;
    sources_ = sources;
    targets_ = targets;
    return true;
  }
  void of_grid(MPI_Comm comm) {
    int dimensions = 0;
    real_Cartdim_get(comm, &dimensions);
    if (!make_room(dimensions * 2, dimensions * 2)) return;
    is_grid_ = true;
    for (int i = 0; i < dimensions; ++i) real_Cart_shift(comm, i, 1, &ranks_[i * 2], &ranks_[i * 2 + 1]);
    for (int i = 0; i < targets_; ++i) ranks_[sources_ + i] = ranks_[i];
  }
  void of_graph(MPI_Comm comm) {
    int count = 0, rank = communicator_of(comm)->rank;
    real_Graph_neighbors_count(comm, rank, &count);
    if (!make_room(count, count)) return;
    real_Graph_neighbors(comm, rank, count, ranks_);
    for (int i = 0; i < count; ++i) ranks_[count + i] = ranks_[i];
  }
  void of_distributed_graph(MPI_Comm comm) {
    int in = 0, out = 0, weighted = 0;
    real_Dist_graph_neighbors_count(comm, &in, &out, &weighted);
    if (!make_room(in, out)) return;
    int* weights = ranks_ + in + out;
    real_Dist_graph_neighbors(comm, in, ranks_, weights, out, ranks_ + in, weights + in);
  }

  int* ranks_ = nullptr;  // sources, targets
  int sources_ = 0, targets_ = 0;
  bool is_grid_ = false;
};

// `gives`, `gets`: the bytes of place i.
template <class Gives, class Gets>
void exchanged(Inside& call, MPI_Comm comm, Gives gives, Gets gets, int error) {
  if (!call.on() || error != MPI_SUCCESS) return;
  const Communicator& at = *communicator_of(comm);
  Neighbours neighbours(comm);
  auto places = static_cast<size_t>(neighbours.sources() + neighbours.targets());
  auto* halves = static_cast<Half*>(calloc(places + 1, sizeof(Half)));
  if (!halves) return;
  Half* sent = halves;
  uint32_t sends = 0, receives = 0;
  for (int i = 0; i < neighbours.targets(); ++i)
    if (neighbours.target(i) != MPI_PROC_NULL)
      sent[sends++] = {at.world_of(neighbours.target(i)), kNeighbourTag, gives(i)};
  Half* received = halves + sends;
  for (int i = 0; i < neighbours.sources(); ++i) {
    int place = neighbours.in_turn(i);
    if (neighbours.source(place) != MPI_PROC_NULL)
      received[receives++] = {at.world_of(neighbours.source(place)), kNeighbourTag, gets(place)};
  }
  if (at.is_known()) tell_exchange(call, at, {sent, sends, received, received, receives});
  free(halves);
}

}  // namespace

// `gives` and `gets` are expressions for the bytes of place i.
#define REEL_LIST(...) __VA_ARGS__
#define REEL_NEIGHBOURS(name, gives, gets, parameters, arguments)                \
  REEL_MPI(Neighbor_##name)(parameters, MPI_Comm comm) {                         \
    Inside call;                                                                 \
    int error = real_Neighbor_##name(arguments, comm);                           \
    auto given = [&]([[maybe_unused]] int i) { return gives; };                  \
    auto got = [&]([[maybe_unused]] int i) { return gets; };                     \
    exchanged(call, comm, given, got, error);                                    \
    return error;                                                                \
  }                                                                              \
  REEL_MPI(Ineighbor_##name)(parameters, MPI_Comm comm, MPI_Request * request) { \
    Inside call;                                                                 \
    if (call.on()) tell_missing(Missing::begun_neighbourhood);                   \
    return real_Ineighbor_##name(arguments, comm, request);                      \
  }

REEL_NEIGHBOURS(allgather, bytes_of(out_count, out_type), bytes_of(in_count, in_type),
                REEL_LIST(const void* out, int out_count, MPI_Datatype out_type, void* in, int in_count,
                          MPI_Datatype in_type),
                REEL_LIST(out, out_count, out_type, in, in_count, in_type))
REEL_NEIGHBOURS(alltoall, bytes_of(out_count, out_type), bytes_of(in_count, in_type),
                REEL_LIST(const void* out, int out_count, MPI_Datatype out_type, void* in, int in_count,
                          MPI_Datatype in_type),
                REEL_LIST(out, out_count, out_type, in, in_count, in_type))
REEL_NEIGHBOURS(allgatherv, bytes_of(out_count, out_type), bytes_of(in_counts[i], in_type),
                REEL_LIST(const void* out, int out_count, MPI_Datatype out_type, void* in, const int* in_counts,
                          const int* places, MPI_Datatype in_type),
                REEL_LIST(out, out_count, out_type, in, in_counts, places, in_type))
REEL_NEIGHBOURS(alltoallv, bytes_of(out_counts[i], out_type), bytes_of(in_counts[i], in_type),
                REEL_LIST(const void* out, const int* out_counts, const int* out_places, MPI_Datatype out_type,
                          void* in, const int* in_counts, const int* in_places, MPI_Datatype in_type),
                REEL_LIST(out, out_counts, out_places, out_type, in, in_counts, in_places, in_type))
REEL_NEIGHBOURS(alltoallw, bytes_of(out_counts[i], out_types[i]), bytes_of(in_counts[i], in_types[i]),
                REEL_LIST(const void* out, const int* out_counts, const MPI_Aint* out_places,
                          const MPI_Datatype* out_types, void* in, const int* in_counts, const MPI_Aint* in_places,
                          const MPI_Datatype* in_types),
                REEL_LIST(out, out_counts, out_places, out_types, in, in_counts, in_places, in_types))

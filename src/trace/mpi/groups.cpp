// SPDX-License-Identifier: Apache-2.0
//
// MPI's beginning and end, and communicators that are made and freed.
#include "trace/mpi/shim.h"

using namespace reel::trace;       // NOLINT: the whole file is about them
using namespace reel::trace::mpi;  // NOLINT

REEL_REAL(Comm_get_parent);

namespace {

void tell_world(Inside& call, Op op, Collective kind) {
  DoorEvent& event = call.add(op);
  event.arg = 1;
  event.mode = static_cast<uint32_t>(kind);
  event.offset = static_cast<uint64_t>(world_size());
  event.flags = op == Op::mpi_init ? static_cast<uint32_t>(world_rank()) : kNoRoot;
}

void begun(Inside& call, int error) {
  if (!call.on() || error != MPI_SUCCESS) return;
  begin_world();
  tell_world(call, Op::mpi_init, Collective::init);
  MPI_Comm parent = handles().no_comm;
  if (real_Comm_get_parent(&parent) == MPI_SUCCESS && parent != handles().no_comm) tell_missing(Missing::spawn);
}

// Of the communicator that all of them are in who make another.
void tell_making(Inside& call, const Communicator& at) {
  tell_collective(call.add(Op::mpi_collective), at, Collective::communicator, kNoRoot);
}

void made_from(Inside& call, MPI_Comm from, const MPI_Comm* made, int error) {
  if (!call.on() || error != MPI_SUCCESS) return;
  was_made(*made);
  tell_making(call, *communicator_of(from));
}

}  // namespace

REEL_MPI(Init)(int* count, char*** arguments) {
  int error;
  {
    Inside call;
    find_mpi();
    error = real_Init(count, arguments);
    begun(call, error);
  }
  if (error == MPI_SUCCESS) sample_clocks(0);
  return error;
}
REEL_MPI(Init_thread)(int* count, char*** arguments, int wanted, int* given) {
  int error;
  {
    Inside call;
    find_mpi();
    error = real_Init_thread(count, arguments, wanted, given);
    begun(call, error);
  }
  if (error == MPI_SUCCESS) sample_clocks(0);
  return error;
}
REEL_MPI(Finalize)(void) {
  sample_clocks(1);
  Inside call;
  int error = real_Finalize();
  if (call.on() && error == MPI_SUCCESS) tell_world(call, Op::mpi_collective, Collective::finalize);
  return error;
}

#define REEL_MAKES(name, parameters, arguments) \
  REEL_MPI(name) parameters {                   \
    Inside call;                                \
    int error = real_##name arguments;          \
    made_from(call, comm, made, error);         \
    return error;                               \
  }
REEL_MAKES(Comm_dup, (MPI_Comm comm, MPI_Comm* made), (comm, made))
REEL_MAKES(Comm_dup_with_info, (MPI_Comm comm, MPI_Info info, MPI_Comm* made), (comm, info, made))
REEL_MAKES(Comm_create, (MPI_Comm comm, MPI_Group group, MPI_Comm* made), (comm, group, made))
REEL_MAKES(Comm_split, (MPI_Comm comm, int colour, int key, MPI_Comm* made), (comm, colour, key, made))
REEL_MAKES(Comm_split_type, (MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm* made),
           (comm, type, key, info, made))
REEL_MAKES(Cart_create,
           (MPI_Comm comm, int dimensions, const int* sizes, const int* periods, int reorder, MPI_Comm* made),
           (comm, dimensions, sizes, periods, reorder, made))
REEL_MAKES(Cart_sub, (MPI_Comm comm, const int* kept, MPI_Comm* made), (comm, kept, made))
REEL_MAKES(Graph_create, (MPI_Comm comm, int nodes, const int* index, const int* edges, int reorder, MPI_Comm* made),
           (comm, nodes, index, edges, reorder, made))
REEL_MAKES(Dist_graph_create,
           (MPI_Comm comm, int count, const int* nodes, const int* degrees, const int* targets, const int* weights,
            MPI_Info info, int reorder, MPI_Comm* made),
           (comm, count, nodes, degrees, targets, weights, info, reorder, made))
REEL_MAKES(Dist_graph_create_adjacent,
           (MPI_Comm comm, int in_degree, const int* sources, const int* source_weights, int out_degree,
            const int* targets, const int* target_weights, MPI_Info info, int reorder, MPI_Comm* made),
           (comm, in_degree, sources, source_weights, out_degree, targets, target_weights, info, reorder, made))

// Only the members of the group call it: a collective of the new one.
REEL_MPI(Comm_create_group)(MPI_Comm comm, MPI_Group group, int tag, MPI_Comm* made) {
  Inside call;
  int error = real_Comm_create_group(comm, group, tag, made);
  if (!call.on() || error != MPI_SUCCESS || *made == handles().no_comm) return error;
  was_made(*made);
  tell_making(call, *communicator_of(*made));
  return error;
}

REEL_MPI(Comm_idup)(MPI_Comm comm, MPI_Comm* made, MPI_Request* request) {
  Inside call;
  int error = real_Comm_idup(comm, made, request);
  if (!call.on() || error != MPI_SUCCESS) return error;
  Communicator* at = communicator_of(comm);
  Request begun;
  begun.kind = Request::collective;
  begun.number = next_request();
  begun.communicator = keep(at);
  if (at->is_known()) {
    begun.made = made;
    begun.made_number = number_of_next(*at);
  }
  DoorEvent& event = call.add(Op::mpi_icollective);
  tell_collective(event, *at, Collective::communicator, kNoRoot);
  event.arg2 = begun.number;
  add_request(as_number(*request), request, begun);
  return error;
}

#define REEL_FREES(name)                                                   \
  REEL_MPI(name)(MPI_Comm * comm) {                                        \
    Inside call;                                                           \
    Communicator* at = call.on() ? keep(communicator_of(*comm)) : nullptr; \
    int error = real_##name(comm);                                         \
    if (at && error == MPI_SUCCESS) tell_making(call, *at);                \
    drop(at);                                                              \
    return error;                                                          \
  }
REEL_FREES(Comm_free)
REEL_FREES(Comm_disconnect)

REEL_MPI(Intercomm_create)(MPI_Comm local, int leader, MPI_Comm peer, int remote_leader, int tag, MPI_Comm* made) {
  Inside call;
  if (call.on()) tell_missing(Missing::intercommunicator);
  return real_Intercomm_create(local, leader, peer, remote_leader, tag, made);
}
REEL_MPI(Intercomm_merge)(MPI_Comm comm, int high, MPI_Comm* made) {
  Inside call;
  int error = real_Intercomm_merge(comm, high, made);
  if (!call.on() || error != MPI_SUCCESS) return error;
  was_made(*made);
  tell_making(call, *communicator_of(*made));
  return error;
}
REEL_MPI(Comm_spawn)
(const char* command, char** arguments, int count, MPI_Info info, int root, MPI_Comm comm, MPI_Comm* made,
 int* errors) {
  Inside call;
  if (call.on()) tell_missing(Missing::spawn);
  return real_Comm_spawn(command, arguments, count, info, root, comm, made, errors);
}
REEL_MPI(Comm_spawn_multiple)
(int count, char** commands, char*** arguments, const int* counts, const MPI_Info* infos, int root, MPI_Comm comm,
 MPI_Comm* made, int* errors) {
  Inside call;
  if (call.on()) tell_missing(Missing::spawn);
  return real_Comm_spawn_multiple(count, commands, arguments, counts, infos, root, comm, made, errors);
}

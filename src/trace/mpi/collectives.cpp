// SPDX-License-Identifier: Apache-2.0
//
// Collectives, those that block and those that only begin. What a rank gave is told from the arguments that count for
// it; the others may be anything.
#include "trace/mpi/shim.h"

using namespace reel::trace;       // NOLINT: the whole file is about them
using namespace reel::trace::mpi;  // NOLINT

namespace reel::trace::mpi {

void tell_collective(DoorEvent& event, const Communicator& at, Collective kind, uint32_t root) {
  event.arg = at.number;
  event.offset = static_cast<uint64_t>(at.size);
  event.mode = static_cast<uint32_t>(kind);
  event.flags = root;
}

}  // namespace reel::trace::mpi

namespace {

uint32_t root_of(const Communicator& at, int root) {
  return root < 0 ? kNoRoot : at.world_of(root);
}

template <class Given>
void collective(Inside& call, MPI_Comm comm, Collective kind, int root, Given given, int error) {
  if (!call.on() || error != MPI_SUCCESS) return;
  const Communicator& at = *communicator_of(comm);
  DoorEvent& event = call.add(Op::mpi_collective);
  tell_collective(event, at, kind, root_of(at, root));
  event.length = at.is_known() ? given(at) : 0;
  event.result = static_cast<int64_t>(event.length);
}

template <class Given>
void begun(Inside& call, MPI_Comm comm, Collective kind, int root, Given given, MPI_Request* place, int error) {
  if (!call.on() || error != MPI_SUCCESS) return;
  Communicator* at = communicator_of(comm);
  Request request;
  request.kind = Request::collective;
  request.number = next_request();
  request.communicator = keep(at);
  DoorEvent& event = call.add(Op::mpi_icollective);
  tell_collective(event, *at, kind, root_of(*at, root));
  event.length = at->is_known() ? given(*at) : 0;
  event.arg2 = request.number;
  add_request(as_number(*place), place, request);
}

// Of arrays with a part for each rank.
uint64_t all_bytes(const int* counts, int ranks, MPI_Datatype type) {
  MPI_Count count = 0;
  for (int i = 0; i < ranks; ++i) count += counts[i];
  return bytes_of(count, type);
}
uint64_t all_bytes(const int* counts, int ranks, const MPI_Datatype* types) {
  uint64_t bytes = 0;
  for (int i = 0; i < ranks; ++i) bytes += bytes_of(counts[i], types[i]);
  return bytes;
}

constexpr int kNobody = -1;  // no root

}  // namespace

// One collective in both ways. `given`: an expression for the bytes this rank gave; `at` is the communicator.
#define REEL_LIST(...) __VA_ARGS__
#define REEL_COLLECTIVE(name, iname, kind, root, given, parameters, arguments)              \
  REEL_MPI(name)(parameters, MPI_Comm comm) {                                               \
    Inside call;                                                                            \
    int error = real_##name(arguments, comm);                                               \
    auto gave = [&]([[maybe_unused]] const Communicator& at) -> uint64_t { return given; }; \
    collective(call, comm, Collective::kind, root, gave, error);                            \
    return error;                                                                           \
  }                                                                                         \
  REEL_MPI(iname)(parameters, MPI_Comm comm, MPI_Request * request) {                       \
    Inside call;                                                                            \
    int error = real_##iname(arguments, comm, request);                                     \
    auto gave = [&]([[maybe_unused]] const Communicator& at) -> uint64_t { return given; }; \
    begun(call, comm, Collective::kind, root, gave, request, error);                        \
    return error;                                                                           \
  }

REEL_MPI(Barrier)(MPI_Comm comm) {
  Inside call;
  int error = real_Barrier(comm);
  collective(
      call, comm, Collective::barrier, kNobody, [](const Communicator&) { return uint64_t{0}; }, error);
  return error;
}
REEL_MPI(Ibarrier)(MPI_Comm comm, MPI_Request* request) {
  Inside call;
  int error = real_Ibarrier(comm, request);
  begun(
      call, comm, Collective::barrier, kNobody, [](const Communicator&) { return uint64_t{0}; }, request, error);
  return error;
}

REEL_COLLECTIVE(Bcast, Ibcast, broadcast, root, at.rank == root ? bytes_of(count, type) : 0,
                REEL_LIST(void* buffer, int count, MPI_Datatype type, int root), REEL_LIST(buffer, count, type, root))

REEL_COLLECTIVE(Gather, Igather, gather, root,
                out == MPI_IN_PLACE ? bytes_of(in_count, in_type) : bytes_of(out_count, out_type),
                REEL_LIST(const void* out, int out_count, MPI_Datatype out_type, void* in, int in_count,
                          MPI_Datatype in_type, int root),
                REEL_LIST(out, out_count, out_type, in, in_count, in_type, root))
REEL_COLLECTIVE(Gatherv, Igatherv, gather, root,
                out == MPI_IN_PLACE ? bytes_of(in_counts[at.rank], in_type) : bytes_of(out_count, out_type),
                REEL_LIST(const void* out, int out_count, MPI_Datatype out_type, void* in, const int* in_counts,
                          const int* places, MPI_Datatype in_type, int root),
                REEL_LIST(out, out_count, out_type, in, in_counts, places, in_type, root))
REEL_COLLECTIVE(Scatter, Iscatter, scatter, root,
                at.rank == root ? bytes_of(static_cast<MPI_Count>(out_count) * at.size, out_type) : 0,
                REEL_LIST(const void* out, int out_count, MPI_Datatype out_type, void* in, int in_count,
                          MPI_Datatype in_type, int root),
                REEL_LIST(out, out_count, out_type, in, in_count, in_type, root))
REEL_COLLECTIVE(Scatterv, Iscatterv, scatter, root, at.rank == root ? all_bytes(out_counts, at.size, out_type) : 0,
                REEL_LIST(const void* out, const int* out_counts, const int* places, MPI_Datatype out_type, void* in,
                          int in_count, MPI_Datatype in_type, int root),
                REEL_LIST(out, out_counts, places, out_type, in, in_count, in_type, root))
REEL_COLLECTIVE(Allgather, Iallgather, allgather, kNobody,
                out == MPI_IN_PLACE ? bytes_of(in_count, in_type) : bytes_of(out_count, out_type),
                REEL_LIST(const void* out, int out_count, MPI_Datatype out_type, void* in, int in_count,
                          MPI_Datatype in_type),
                REEL_LIST(out, out_count, out_type, in, in_count, in_type))
REEL_COLLECTIVE(Allgatherv, Iallgatherv, allgather, kNobody,
                out == MPI_IN_PLACE ? bytes_of(in_counts[at.rank], in_type) : bytes_of(out_count, out_type),
                REEL_LIST(const void* out, int out_count, MPI_Datatype out_type, void* in, const int* in_counts,
                          const int* places, MPI_Datatype in_type),
                REEL_LIST(out, out_count, out_type, in, in_counts, places, in_type))
REEL_COLLECTIVE(Alltoall, Ialltoall, alltoall, kNobody,
                out == MPI_IN_PLACE ? bytes_of(static_cast<MPI_Count>(in_count) * at.size, in_type)
                                    : bytes_of(static_cast<MPI_Count>(out_count) * at.size, out_type),
                REEL_LIST(const void* out, int out_count, MPI_Datatype out_type, void* in, int in_count,
                          MPI_Datatype in_type),
                REEL_LIST(out, out_count, out_type, in, in_count, in_type))
REEL_COLLECTIVE(Alltoallv, Ialltoallv, alltoall, kNobody,
                out == MPI_IN_PLACE ? all_bytes(in_counts, at.size, in_type) : all_bytes(out_counts, at.size, out_type),
                REEL_LIST(const void* out, const int* out_counts, const int* out_places, MPI_Datatype out_type,
                          void* in, const int* in_counts, const int* in_places, MPI_Datatype in_type),
                REEL_LIST(out, out_counts, out_places, out_type, in, in_counts, in_places, in_type))
REEL_COLLECTIVE(Alltoallw, Ialltoallw, alltoall, kNobody,
                out == MPI_IN_PLACE ? all_bytes(in_counts, at.size, in_types)
                                    : all_bytes(out_counts, at.size, out_types),
                REEL_LIST(const void* out, const int* out_counts, const int* out_places, const MPI_Datatype* out_types,
                          void* in, const int* in_counts, const int* in_places, const MPI_Datatype* in_types),
                REEL_LIST(out, out_counts, out_places, out_types, in, in_counts, in_places, in_types))
REEL_COLLECTIVE(Reduce, Ireduce, reduce, root, bytes_of(count, type),
                REEL_LIST(const void* out, void* in, int count, MPI_Datatype type, MPI_Op op, int root),
                REEL_LIST(out, in, count, type, op, root))
REEL_COLLECTIVE(Allreduce, Iallreduce, allreduce, kNobody, bytes_of(count, type),
                REEL_LIST(const void* out, void* in, int count, MPI_Datatype type, MPI_Op op),
                REEL_LIST(out, in, count, type, op))
REEL_COLLECTIVE(Reduce_scatter, Ireduce_scatter, reduce_scatter, kNobody, all_bytes(counts, at.size, type),
                REEL_LIST(const void* out, void* in, const int* counts, MPI_Datatype type, MPI_Op op),
                REEL_LIST(out, in, counts, type, op))
REEL_COLLECTIVE(Reduce_scatter_block, Ireduce_scatter_block, reduce_scatter, kNobody,
                bytes_of(static_cast<MPI_Count>(count) * at.size, type),
                REEL_LIST(const void* out, void* in, int count, MPI_Datatype type, MPI_Op op),
                REEL_LIST(out, in, count, type, op))
REEL_COLLECTIVE(Scan, Iscan, scan, kNobody, bytes_of(count, type),
                REEL_LIST(const void* out, void* in, int count, MPI_Datatype type, MPI_Op op),
                REEL_LIST(out, in, count, type, op))
REEL_COLLECTIVE(Exscan, Iexscan, exscan, kNobody, bytes_of(count, type),
                REEL_LIST(const void* out, void* in, int count, MPI_Datatype type, MPI_Op op),
                REEL_LIST(out, in, count, type, op))

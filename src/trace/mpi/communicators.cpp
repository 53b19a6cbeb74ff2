// SPDX-License-Identifier: Apache-2.0
//
// Communicators: their number, the same in all their ranks, and who their ranks are in the world.
#include <stdlib.h>

#include "trace/mpi/shim.h"

REEL_REAL(Comm_get_attr);
REEL_REAL(Comm_set_attr);
REEL_REAL(Comm_create_keyval);
REEL_REAL(Comm_rank);
REEL_REAL(Comm_size);
REEL_REAL(Comm_group);
REEL_REAL(Comm_test_inter);
REEL_REAL(Group_translate_ranks);
REEL_REAL(Group_free);
REEL_REAL(Type_size_x);
REEL_REAL(Bcast);

namespace reel::trace::mpi {
namespace {

int key = MPI_KEYVAL_INVALID;
uint64_t next_number = 0;  // of those that this rank names
uint64_t changes = 0;      // communicators freed: what a thread remembers may be gone
int rank_in_world = 0, ranks_in_world = 0;
Communicator unknown = {0, 0, 0, nullptr, 0, 1};

// Most calls are about the communicator of the call before.
struct Remembered {
  MPI_Comm comm;
  uint64_t changes;
  Communicator* communicator;
};
__thread Remembered last __attribute__((tls_model("initial-exec")));

int freed(MPI_Comm, int, void* value, void*) {
  __atomic_add_fetch(&changes, 1, __ATOMIC_RELEASE);
  drop(static_cast<Communicator*>(value));
  return MPI_SUCCESS;
}
int not_copied(MPI_Comm, int, void*, void*, void*, int* flag) {
  *flag = 0;
  return MPI_SUCCESS;
}

// Null when they are the same as the world's, or when there is no memory (then nobody can tell).
int* ranks_in_the_world(MPI_Comm comm, int size) {
  auto* ranks = static_cast<int*>(calloc(static_cast<size_t>(size) * 2, sizeof(int)));
  if (!ranks) return nullptr;
  for (int i = 0; i < size; ++i) ranks[i] = i;
  MPI_Group group, world;
  real_Comm_group(comm, &group);
  real_Comm_group(handles().world, &world);
  real_Group_translate_ranks(group, size, ranks, world, ranks + size);
  real_Group_free(&group);
  real_Group_free(&world);
  for (int i = 0; i < size; ++i) ranks[i] = ranks[size + i];
  return ranks;
}

}  // namespace

Communicator* keep(Communicator* communicator) {
  __atomic_add_fetch(&communicator->references, 1, __ATOMIC_RELAXED);
  return communicator;
}

void drop(Communicator* communicator) {
  if (!communicator || __atomic_sub_fetch(&communicator->references, 1, __ATOMIC_ACQ_REL) != 0) return;
  free(communicator->world_ranks);
  free(communicator);
}

void attach(MPI_Comm comm, uint64_t number) {
  auto* made = static_cast<Communicator*>(calloc(1, sizeof(Communicator)));
  if (!made) return;
  made->number = number;
  made->references = 1;
  real_Comm_rank(comm, &made->rank);
  real_Comm_size(comm, &made->size);
  if (comm != handles().world) made->world_ranks = ranks_in_the_world(comm, made->size);
  real_Comm_set_attr(comm, key, made);
}

void begin_world() {
  real_Comm_rank(handles().world, &rank_in_world);
  real_Comm_size(handles().world, &ranks_in_world);
  next_number = (static_cast<uint64_t>(rank_in_world) + 1) << 32;
  real_Comm_create_keyval(not_copied, freed, &key, nullptr);
  attach(handles().world, 1);
  attach(handles().self, next_number);
}

Communicator* communicator_of(MPI_Comm comm) {
  uint64_t now = __atomic_load_n(&changes, __ATOMIC_ACQUIRE);
  if (last.communicator && last.comm == comm && last.changes == now) return last.communicator;
  void* value = nullptr;
  int found = 0;
  if (key == MPI_KEYVAL_INVALID || real_Comm_get_attr(comm, key, &value, &found) != MPI_SUCCESS || !found) {
    tell_missing(Missing::unknown_communicator);
    return &unknown;
  }
  last = {comm, now, static_cast<Communicator*>(value)};
  return last.communicator;
}

void was_made(MPI_Comm comm) {
  int inter = 0;
  if (comm == handles().no_comm || real_Comm_test_inter(comm, &inter) != MPI_SUCCESS) return;
  if (inter != 0) return tell_missing(Missing::intercommunicator);
  int rank = 0;
  real_Comm_rank(comm, &rank);
  uint64_t number = rank == 0 ? __atomic_add_fetch(&next_number, 1, __ATOMIC_RELAXED) : 0;
  if (real_Bcast(&number, 1, handles().integer, 0, comm) == MPI_SUCCESS) attach(comm, number);
}

// A message would wait for ranks that are not there yet: so the number follows from what all of them know. The highest
// bit keeps it apart from the others; that two of these meet takes more communicators than a run can have.
uint64_t number_of_next(Communicator& from) {
  uint64_t x = from.number * 0x9e3779b97f4a7c15ull + __atomic_add_fetch(&from.made, 1, __ATOMIC_RELAXED);
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return (x ^ x >> 31) | 1ull << 63;
}

int world_rank() {
  return rank_in_world;
}
int world_size() {
  return ranks_in_world;
}

uint64_t bytes_of(MPI_Count count, MPI_Datatype type) {
  MPI_Count size = 0;
  if (count <= 0 || real_Type_size_x(type, &size) != MPI_SUCCESS || size <= 0) return 0;
  return static_cast<uint64_t>(count) * static_cast<uint64_t>(size);
}

}  // namespace reel::trace::mpi

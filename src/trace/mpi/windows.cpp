// SPDX-License-Identifier: Apache-2.0
//
// One-sided communication: transfers are memory's and not told; who waits for whom is. Making, fencing and freeing a
// window is a collective. An epoch between some of the ranks is messages without bytes: MPI_Win_post sends one to each
// origin and MPI_Win_start receives it, MPI_Win_complete sends one to each target and MPI_Win_wait receives it.
#include <pthread.h>
#include <stdlib.h>

#include "trace/mpi/shim.h"

using namespace reel::trace;       // NOLINT: the whole file is about them
using namespace reel::trace::mpi;  // NOLINT

REEL_REAL(Comm_group);
REEL_REAL(Group_free);
REEL_REAL(Group_size);
REEL_REAL(Group_translate_ranks);

namespace {

void together(Inside& call, const Communicator* at) {
  if (call.on() && at) tell_collective(call.add(Op::mpi_collective), *at, Collective::window, kNoRoot);
}

void made(Inside& call, int error, MPI_Comm comm, const MPI_Win* window) {
  if (!call.on() || error != MPI_SUCCESS) return;
  add_thing(as_number(*window), comm);
  together(call, communicator_of(comm));
}

// The ranks of an epoch: a message to or from each, without bytes.
struct Epoch {
  Half* halves;
  uint32_t count;
  Epoch* next;
  uint64_t window;
};

Epoch* members_of(MPI_Group group, uint32_t tag, MPI_Win window) {
  int count = 0;
  if (real_Group_size(group, &count) != MPI_SUCCESS || count <= 0) return nullptr;
  auto size = static_cast<size_t>(count);
  auto* epoch = static_cast<Epoch*>(calloc(1, sizeof(Epoch) + size * (sizeof(Half) + 2 * sizeof(int))));
  if (!epoch) return nullptr;
  epoch->halves = reinterpret_cast<Half*>(epoch + 1);
  epoch->count = static_cast<uint32_t>(count);
  epoch->window = as_number(window);
  int* ranks = reinterpret_cast<int*>(epoch->halves + size);
  for (int i = 0; i < count; ++i) ranks[i] = i;
  MPI_Group world;
  real_Comm_group(handles().world, &world);
  real_Group_translate_ranks(group, count, ranks, world, ranks + size);
  real_Group_free(&world);
  for (size_t i = 0; i < size; ++i) epoch->halves[i] = {static_cast<uint32_t>(ranks[size + i]), tag, 0};
  return epoch;
}

// Epochs under way: of those who started one as its origins, of those who posted one as its targets. Epochs of one
// window follow each other, and MPI wants no two threads in one at a time; the lists are all threads'.
Epoch *started = nullptr, *posted = nullptr;
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void begin(Epoch*& list, Epoch* epoch) {
  if (!epoch) return;
  pthread_mutex_lock(&mutex);
  epoch->next = list;
  list = epoch;
  pthread_mutex_unlock(&mutex);
}

Epoch* end(Epoch*& list, MPI_Win window) {
  Epoch* found = nullptr;
  pthread_mutex_lock(&mutex);
  for (Epoch** at = &list; *at; at = &(*at)->next) {
    if ((*at)->window != as_number(window)) continue;
    found = *at;
    *at = found->next;
    break;
  }
  pthread_mutex_unlock(&mutex);
  return found;
}

void send_all(Inside& call, MPI_Win window, const Epoch* epoch, uint32_t tag) {
  Communicator* at = epoch ? communicator_of_thing(as_number(window)) : nullptr;
  if (at) call.expect(epoch->count);
  for (uint32_t i = 0; at && i < epoch->count; ++i)
    tell_posted(call.add(Op::mpi_isend), *at, {epoch->halves[i].peer, tag, 0});
  drop(at);
}

void receive_all(Inside& call, MPI_Win window, const Epoch* epoch) {
  Communicator* at = epoch ? communicator_of_thing(as_number(window)) : nullptr;
  if (at) tell_exchange(call, *at, {nullptr, 0, epoch->halves, epoch->halves, epoch->count});
  drop(at);
}

// The origins' messages came.
void waited(Inside& call, MPI_Win window) {
  Epoch* epoch = end(posted, window);
  receive_all(call, window, epoch);
  free(epoch);
}

}  // namespace

REEL_MPI(Win_create)(void* base, MPI_Aint size, int unit, MPI_Info info, MPI_Comm comm, MPI_Win* window) {
  Inside call;
  int error = real_Win_create(base, size, unit, info, comm, window);
  made(call, error, comm, window);
  return error;
}
REEL_MPI(Win_allocate)(MPI_Aint size, int unit, MPI_Info info, MPI_Comm comm, void* base, MPI_Win* window) {
  Inside call;
  int error = real_Win_allocate(size, unit, info, comm, base, window);
  made(call, error, comm, window);
  return error;
}
REEL_MPI(Win_allocate_shared)(MPI_Aint size, int unit, MPI_Info info, MPI_Comm comm, void* base, MPI_Win* window) {
  Inside call;
  int error = real_Win_allocate_shared(size, unit, info, comm, base, window);
  made(call, error, comm, window);
  return error;
}
REEL_MPI(Win_create_dynamic)(MPI_Info info, MPI_Comm comm, MPI_Win* window) {
  Inside call;
  int error = real_Win_create_dynamic(info, comm, window);
  made(call, error, comm, window);
  return error;
}
REEL_MPI(Win_free)(MPI_Win* window) {
  Inside call;
  uint64_t handle = as_number(*window);
  int error = real_Win_free(window);
  if (!call.on() || error != MPI_SUCCESS) return error;
  Communicator* at = communicator_of_thing(handle);
  together(call, at);
  forget_thing(handle);
  drop(at);
  return error;
}
REEL_MPI(Win_fence)(int promises, MPI_Win window) {
  Inside call;
  int error = real_Win_fence(promises, window);
  if (!call.on() || error != MPI_SUCCESS) return error;
  Communicator* at = communicator_of_thing(as_number(window));
  together(call, at);
  drop(at);
  return error;
}

REEL_MPI(Win_post)(MPI_Group origins, int promises, MPI_Win window) {
  Inside call;
  int error = real_Win_post(origins, promises, window);
  if (!call.on() || error != MPI_SUCCESS) return error;
  Epoch* epoch = members_of(origins, kCompleteTag, window);
  send_all(call, window, epoch, kPostTag);
  begin(posted, epoch);
  return error;
}
REEL_MPI(Win_start)(MPI_Group targets, int promises, MPI_Win window) {
  Inside call;
  int error = real_Win_start(targets, promises, window);
  if (!call.on() || error != MPI_SUCCESS) return error;
  Epoch* epoch = members_of(targets, kPostTag, window);
  receive_all(call, window, epoch);
  begin(started, epoch);
  return error;
}
REEL_MPI(Win_complete)(MPI_Win window) {
  Inside call;
  int error = real_Win_complete(window);
  if (!call.on() || error != MPI_SUCCESS) return error;
  Epoch* epoch = end(started, window);
  send_all(call, window, epoch, kCompleteTag);
  free(epoch);
  return error;
}
REEL_MPI(Win_wait)(MPI_Win window) {
  Inside call;
  int error = real_Win_wait(window);
  if (call.on() && error == MPI_SUCCESS) waited(call, window);
  return error;
}
REEL_MPI(Win_test)(MPI_Win window, int* flag) {
  Inside call;
  call.was_test();
  int error = real_Win_test(window, flag);
  if (call.on() && error == MPI_SUCCESS && *flag != 0) waited(call, window);
  return error;
}

REEL_MPI(Win_lock)(int kind, int rank, int promises, MPI_Win window) {
  Inside call;
  if (call.on()) tell_missing(Missing::locked_window);
  return real_Win_lock(kind, rank, promises, window);
}
REEL_MPI(Win_lock_all)(int promises, MPI_Win window) {
  Inside call;
  if (call.on()) tell_missing(Missing::locked_window);
  return real_Win_lock_all(promises, window);
}

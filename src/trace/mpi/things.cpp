// SPDX-License-Identifier: Apache-2.0
//
// Files and windows that ranks made together: few, in a list.
#include <pthread.h>
#include <stdlib.h>

#include "trace/mpi/shim.h"

namespace reel::trace::mpi {
namespace {

struct Thing {
  uint64_t handle;
  Communicator* at;
  Thing* next;
};
Thing* things = nullptr;
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

}  // namespace

void add_thing(uint64_t handle, MPI_Comm comm) {
  auto* added = static_cast<Thing*>(malloc(sizeof(Thing)));
  if (!added) return;
  Communicator* at = keep(communicator_of(comm));
  pthread_mutex_lock(&mutex);
  *added = {handle, at, things};
  things = added;
  pthread_mutex_unlock(&mutex);
}

Communicator* communicator_of_thing(uint64_t handle) {
  Communicator* found = nullptr;
  pthread_mutex_lock(&mutex);
  for (Thing* at = things; at && !found; at = at->next)
    if (at->handle == handle) found = keep(at->at);
  pthread_mutex_unlock(&mutex);
  return found;
}

void forget_thing(uint64_t handle) {
  pthread_mutex_lock(&mutex);
  for (Thing** at = &things; *at; at = &(*at)->next) {
    if ((*at)->handle != handle) continue;
    Thing* gone = *at;
    *at = gone->next;
    drop(gone->at);
    free(gone);
    break;
  }
  pthread_mutex_unlock(&mutex);
}

}  // namespace reel::trace::mpi

// SPDX-License-Identifier: Apache-2.0
//
// Requests under way: a table of our own, open addressing by handle and place, behind one lock that is held for a few
// steps only.
#include <sched.h>
#include <stdlib.h>

#include "trace/mpi/shim.h"

namespace reel::trace::mpi {
namespace {

struct Entry {
  uint64_t handle;
  const void* place;
  uint64_t order;  // of coming; 0: free, and nothing was ever behind it
  bool removed;
  Request request;
};

Entry* table = nullptr;
uint64_t room = 0, used = 0, kept = 0, orders = 0;  // room: a power of two; used: with removed ones; kept: without
uint64_t numbers = 0;

int locked = 0;
class Lock {
 public:
  Lock() {
    while (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE) != 0) sched_yield();
  }
  ~Lock() { __atomic_store_n(&locked, 0, __ATOMIC_RELEASE); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
};

uint64_t first_of(uint64_t handle, const void* place) {
  uint64_t x = (handle ^ reinterpret_cast<uint64_t>(place) * 31) * 0x9e3779b97f4a7c15ull;
  return x >> 20 & (room - 1);
}

void put(const Entry& entry) {
  uint64_t at = first_of(entry.handle, entry.place);
  while (table[at].order != 0) at = (at + 1) & (room - 1);
  table[at] = entry;
  ++used;
}

bool make_room() {
  if (room != 0 && (used + 1) * 2 <= room) return true;
  uint64_t before = room;
  Entry* old = table;
  uint64_t larger = (kept + 1) * 4 > room ? (room == 0 ? 64 : room * 2) : room;
  auto* made = static_cast<Entry*>(calloc(larger, sizeof(Entry)));
  if (!made) return false;
  table = made;
  room = larger;
  used = 0;
  for (uint64_t i = 0; i < before; ++i)
    if (old[i].order != 0 && !old[i].removed) put(old[i]);
  free(old);
  return true;
}

// The one in this variable, else the oldest of this handle: programs move their requests about.
Entry* find(uint64_t handle, const void* place) {
  if (room == 0) return nullptr;
  for (uint64_t at = first_of(handle, place); table[at].order != 0; at = (at + 1) & (room - 1))
    if (table[at].handle == handle && table[at].place == place && !table[at].removed) return &table[at];
  Entry* oldest = nullptr;
  for (uint64_t i = 0; i < room; ++i) {
    Entry& entry = table[i];
    if (entry.order == 0 || entry.removed || entry.handle != handle) continue;
    if (!oldest || entry.order < oldest->order) oldest = &entry;
  }
  return oldest;
}

void remove(Entry& entry) {
  entry.removed = true;
  --kept;
}

}  // namespace

uint64_t next_request() {
  return __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED);
}

void add_request(uint64_t handle, const void* place, const Request& request) {
  Lock lock;
  if (!make_room()) return;
  put({handle, place, ++orders, false, request});
  ++kept;
}

bool take_request(uint64_t handle, const void* place, Request& request) {
  Lock lock;
  Entry* entry = find(handle, place);
  if (!entry) return false;
  request = entry->request;
  if (request.persistent) {
    if (request.communicator) keep(request.communicator);
    entry->request.number = 0;
    entry->request.cancelled = false;
  } else {
    remove(*entry);
  }
  return true;
}

void forget_request(uint64_t handle, const void* place) {
  Lock lock;
  Entry* entry = find(handle, place);
  if (!entry) return;
  drop(entry->request.communicator);
  remove(*entry);
}

void cancel_request(uint64_t handle, const void* place) {
  Lock lock;
  if (Entry* entry = find(handle, place)) entry->request.cancelled = true;
}

bool start_request(uint64_t handle, const void* place, Request& request) {
  Lock lock;
  Entry* entry = find(handle, place);
  if (!entry || !entry->request.persistent) return false;
  if (!entry->request.for_nobody) entry->request.number = next_request();
  request = entry->request;
  return true;
}

}  // namespace reel::trace::mpi

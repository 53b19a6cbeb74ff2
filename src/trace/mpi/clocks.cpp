// SPDX-License-Identifier: Apache-2.0
//
// Clocks of several machines. Where a rank's clock may differ from rank 0's (another machine, or another time
// namespace), messages to and fro tell how far it is ahead, when MPI begins and when it ends: facts of the trace, for
// `reel merge`.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "trace/mpi/shim.h"

REEL_REAL(Allreduce);
REEL_REAL(Send);
REEL_REAL(Recv);
REEL_REAL(Comm_dup);

namespace reel::trace::mpi {
namespace {

constexpr int kRounds = 40;

bool apart = false;      // some rank has another clock
MPI_Comm own;            // for our messages alone
char machine[200] = "";  // boot id, and the time namespace's offset when there is one

uint64_t monotonic() {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

// Without its white space.
void read_word(const char* path, const char* after, char* to, size_t room) {
  char text[512];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  text[size > 0 ? size : 0] = '\0';
  const char* from = strstr(text, after);
  size_t count = 0;
  for (from = from ? from + strlen(after) : ""; *from != '\0' && *from != '\n' && count + 1 < room; ++from)
    if (*from != ' ' && *from != '\t') to[count++] = *from;
  to[count] = '\0';
}

void find_machine() {
  char boot[64], offset[64];
  read_word("/proc/sys/kernel/random/boot_id", "", boot, sizeof boot);
  read_word("/proc/self/timens_offsets", "monotonic", offset, sizeof offset);
  snprintf(machine, sizeof machine, "%s/%s", boot, offset);
}

uint64_t machine_hash() {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char* c = machine; *c != '\0'; ++c) hash = (hash ^ static_cast<unsigned char>(*c)) * 0x100000001b3ull;
  return hash;
}

void answer(int rank) {
  for (int i = 0; i < kRounds; ++i) {
    uint64_t ignored;
    MPI_Status status;
    real_Recv(&ignored, 1, handles().integer, rank, 0, own, &status);
    uint64_t now = monotonic();
    real_Send(&now, 1, handles().integer, rank, 0, own);
  }
}

// The quickest round tells most: rank 0 read its clock between the two readings here.
struct Sample {
  uint64_t here, there, error;  // of both clocks at one moment, nanoseconds, give or take the error
};
Sample ask() {
  Inside call;
  Sample best{};
  uint64_t shortest = ~0ull;
  for (int i = 0; i < kRounds; ++i) {
    uint64_t before = monotonic(), theirs = 0;
    MPI_Status status;
    real_Send(&before, 1, handles().integer, 0, 0, own);
    real_Recv(&theirs, 1, handles().integer, 0, 0, own, &status);
    uint64_t took = monotonic() - before;
    if (took >= shortest) continue;
    shortest = took;
    best = {before + took / 2, theirs, (took + 1) / 2};
  }
  return best;
}

void tell_sample(int which, const Sample& sample) {
  char text[200];
  snprintf(text, sizeof text, "mpi.clock.%d.%d=%llu %llu %llu", world_rank(), which,
           static_cast<unsigned long long>(sample.here), static_cast<unsigned long long>(sample.there),
           static_cast<unsigned long long>(sample.error));
  tell_fact(text);
}

void compare_machines() {
  find_machine();
  uint64_t mine[2] = {machine_hash(), ~machine_hash()}, most[2] = {0, 0};
  if (real_Allreduce(mine, most, 2, handles().integer, handles().maximum, handles().world) != MPI_SUCCESS) return;
  apart = most[0] != ~most[1];
  if (apart) real_Comm_dup(handles().world, &own);
}

}  // namespace

void sample_clocks(int which) {
  {
    Inside call;
    if (!call.on()) return;
    if (which == 0) compare_machines();
    if (apart && world_rank() == 0)
      for (int rank = 1; rank < world_size(); ++rank) answer(rank);
  }
  if (which == 0) {
    char text[300];
    snprintf(text, sizeof text, "mpi.machine.%d=%s", world_rank(), machine);
    tell_fact(text);
  }
  if (apart && world_rank() != 0) tell_sample(which, ask());
}

}  // namespace reel::trace::mpi

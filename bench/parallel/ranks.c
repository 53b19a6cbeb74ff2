// SPDX-License-Identifier: Apache-2.0
//
// Parallel workloads over MPI: pseudo, fitness, quake, halo, tasks, collective. The first three have the patterns of
// the applications that //TRACE (Mesnier et al., FAST '07) was measured with. See common.h.
#include <mpi.h>

#include "common.h"

static int rank, ranks;

// Rank 0 makes the file; the others open it when it is there. Of rank 0's I/O: open, close.
static int shared_file(const char* name) {
  if (rank == 0) close(open_in(name, -1, O_RDWR | O_CREAT | O_EXCL));
  MPI_Barrier(MPI_COMM_WORLD);
  return open_in(name, -1, O_RDWR);
}

static void print_sum(const char* name, uint64_t sum) {
  uint64_t all = 0;
  MPI_Reduce(&sum, &all, 1, MPI_UINT64_T, MPI_BXOR, 0, MPI_COMM_WORLD);
  if (rank == 0) printf("%s %016llx\n", name, (unsigned long long)all);
}

// Strided writes of all ranks to one file, a sync, and each reads its own back. --barrier: after each write;
// --compute US: between the reads.
static void pseudo(int count, char** arguments) {
  int barrier = number_flag(count, arguments, "--barrier", 0) != 0;
  long us = number_flag(count, arguments, "--compute", 0);
  int fd = shared_file("shared");
  uint64_t sum = 0;
  for (int i = 0; i < iterations; ++i) {
    fill((uint64_t)rank, (uint64_t)i);
    write_at(fd, ((uint64_t)i * (uint64_t)ranks + (uint64_t)rank) * size);
    if (barrier) MPI_Barrier(MPI_COMM_WORLD);
  }
  if (fsync(fd) != 0) die("fsync");
  for (int i = 0; i < iterations; ++i) {
    if (barrier) MPI_Barrier(MPI_COMM_WORLD);
    read_at(fd, ((uint64_t)i * (uint64_t)ranks + (uint64_t)rank) * size);
    sum += sum_of_block();
    compute(us);
  }
  close(fd);
  print_sum("pseudo", sum);
}

// One rank after the other reads its part.
static void fitness(int count, char** arguments) {
  long us = number_flag(count, arguments, "--compute", 0);
  if (rank == 0) {
    int fd = open_in("input", -1, O_RDWR | O_CREAT | O_EXCL);
    for (int i = 0; i < iterations * ranks; ++i) {
      fill(0, (uint64_t)i);
      write_at(fd, (uint64_t)i * size);
    }
    close(fd);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  int token = 0;
  if (rank > 0) MPI_Recv(&token, 1, MPI_INT, rank - 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  int fd = open_in("input", -1, O_RDONLY);
  uint64_t sum = 0;
  for (int i = 0; i < iterations; ++i) {
    read_at(fd, ((uint64_t)rank * (uint64_t)iterations + (uint64_t)i) * size);
    sum += sum_of_block();
    compute(us);
  }
  close(fd);
  if (rank + 1 < ranks) MPI_Send(&token, 1, MPI_INT, rank + 1, 1, MPI_COMM_WORLD);
  print_sum("fitness", sum);
}

// Each rank builds a tree on disk by reading and writing blocks here and there; then steps of computing, of which
// rank 0 gathers and writes what came out.
static void quake(int count, char** arguments) {
  long us = number_flag(count, arguments, "--compute", 0);
  int fd = open_in("octree", rank, O_RDWR | O_CREAT | O_EXCL);
  uint64_t x = (uint64_t)rank + 1, sum = 0;
  fill((uint64_t)rank, 0);
  for (int i = 0; i < iterations; ++i) write_at(fd, (uint64_t)i * size);
  for (int i = 0; i < 2 * iterations; ++i) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    uint64_t at = (x >> 33) % (uint64_t)iterations * size;
    read_at(fd, at);
    block[0] = (char)(block[0] + 1);
    write_at(fd, at);
  }
  int out = rank == 0 ? open_in("checkpoint", -1, O_RDWR | O_CREAT | O_EXCL) : -1;
  char* all = malloc(size * (size_t)ranks);
  for (int i = 0; i < iterations; ++i) {
    read_at(fd, (uint64_t)i * size);
    sum += sum_of_block();
    compute(us);
    MPI_Gather(block, (int)size, MPI_BYTE, all, (int)size, MPI_BYTE, 0, MPI_COMM_WORLD);
    if (rank != 0) continue;
    size_t bytes = size * (size_t)ranks;
    if (pwrite(out, all, bytes, (off_t)((uint64_t)i * bytes)) != (ssize_t)bytes) die("write");
  }
  close(fd);
  if (rank == 0) close(out);
  free(all);
  print_sum("quake", sum);
}

// A ring of ranks that exchange their edges and write a checkpoint each step.
static void halo(int count, char** arguments) {
  long us = number_flag(count, arguments, "--compute", 0);
  int fd = open_in("checkpoint", rank, O_RDWR | O_CREAT | O_EXCL);
  int left = (rank + ranks - 1) % ranks, right = (rank + 1) % ranks;
  uint64_t value = (uint64_t)rank + 1;
  for (int i = 0; i < iterations; ++i) {
    uint64_t from_left = 0, from_right = 0;
    MPI_Request requests[4];
    MPI_Irecv(&from_left, 1, MPI_UINT64_T, left, 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(&from_right, 1, MPI_UINT64_T, right, 2, MPI_COMM_WORLD, &requests[1]);
    MPI_Isend(&value, 1, MPI_UINT64_T, right, 1, MPI_COMM_WORLD, &requests[2]);
    MPI_Isend(&value, 1, MPI_UINT64_T, left, 2, MPI_COMM_WORLD, &requests[3]);
    MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
    value = value * 31 + from_left * 7 + from_right;
    compute(us);
    fill((uint64_t)rank, value);
    write_at(fd, (uint64_t)i * size);
  }
  close(fd);
  print_sum("halo", value);
}

// Rank 0 reads tasks and hands them to whoever is free (--given FILE: to whom the file says); workers write results and
// say so. Who was given what comes last: the file "assignment" has a worker on each line, for each task and then for
// each end.
static void tasks(int count, char** arguments) {
  long us = number_flag(count, arguments, "--compute", 100);
  if (rank != 0) {
    int fd = open_in("result", rank, O_RDWR | O_CREAT | O_EXCL);
    MPI_Send(&rank, 1, MPI_INT, 0, 1, MPI_COMM_WORLD);
    for (;;) {
      int task;
      MPI_Recv(&task, 1, MPI_INT, 0, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      if (task < 0) break;
      compute(us * (1 + task % 7));
      fill(0, (uint64_t)task);
      write_at(fd, (uint64_t)task * size);
      MPI_Send(&task, 1, MPI_INT, 0, 1, MPI_COMM_WORLD);
    }
    close(fd);
    return;
  }
  int in = open_in("tasks", -1, O_RDWR | O_CREAT | O_EXCL);
  fill(1, 1);
  for (int i = 0; i < iterations; ++i) write_at(in, (uint64_t)i * size);
  int* given = given_turns(count, arguments, iterations + ranks - 1);
  char* assignment = malloc((size_t)(iterations + ranks) * 12 + 1);
  size_t used = 0;
  uint64_t sum = 0;
  for (int i = 0, working = ranks - 1; working > 0; ++i) {
    int done, task = i < iterations ? i : -1;
    MPI_Status status;
    MPI_Recv(&done, 1, MPI_INT, given ? given[i] : MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, &status);
    if (task >= 0) {
      read_at(in, (uint64_t)i * size);
      sum += sum_of_block();
    } else {
      --working;
    }
    used += (size_t)sprintf(assignment + used, "%d\n", status.MPI_SOURCE);
    MPI_Send(&task, 1, MPI_INT, status.MPI_SOURCE, 2, MPI_COMM_WORLD);
  }
  close(in);
  int out = open_in("assignment", -1, O_RDWR | O_CREAT | O_EXCL);
  if (write(out, assignment, used) != (ssize_t)used) die("write");
  close(out);
  free(assignment);
  free(given);
  printf("tasks %016llx\n", (unsigned long long)sum);
}

// MPI-IO: all ranks write one file together, and read each other's part.
static void collective(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s/shared", dir);
  MPI_File file;
  if (MPI_File_open(MPI_COMM_WORLD, path, MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL, &file) != MPI_SUCCESS)
    die(path);
  uint64_t sum = 0;
  for (int i = 0; i < iterations; ++i) {
    fill((uint64_t)rank, (uint64_t)i);
    MPI_Offset at = ((MPI_Offset)i * ranks + rank) * (MPI_Offset)size;
    MPI_File_write_at_all(file, at, block, (int)size, MPI_BYTE, MPI_STATUS_IGNORE);
  }
  MPI_File_sync(file);
  MPI_Barrier(MPI_COMM_WORLD);
  for (int i = 0; i < iterations; ++i) {
    MPI_Offset at = ((MPI_Offset)i * ranks + (rank + 1) % ranks) * (MPI_Offset)size;
    MPI_File_read_at_all(file, at, block, (int)size, MPI_BYTE, MPI_STATUS_IGNORE);
    sum += sum_of_block();
  }
  MPI_File_close(&file);
  print_sum("collective", sum);
}

int main(int count, char** arguments) {
  common_arguments(count, arguments);
  MPI_Init(&count, &arguments);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const char* name = arguments[1];
  if (strcmp(name, "pseudo") == 0) {
    pseudo(count, arguments);
  } else if (strcmp(name, "fitness") == 0) {
    fitness(count, arguments);
  } else if (strcmp(name, "quake") == 0) {
    quake(count, arguments);
  } else if (strcmp(name, "halo") == 0) {
    halo(count, arguments);
  } else if (strcmp(name, "tasks") == 0) {
    tasks(count, arguments);
  } else if (strcmp(name, "collective") == 0) {
    collective();
  } else {
    fprintf(stderr, "no workload %s: pseudo fitness quake halo tasks collective\n", name);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  MPI_Finalize();
  free(block);
  return 0;
}

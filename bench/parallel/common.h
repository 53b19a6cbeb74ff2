// SPDX-License-Identifier: Apache-2.0
//
// What the parallel workloads share. Each takes DIR SIZE ITERATIONS (and flags), works in DIR, which exists and is
// empty, and prints one line that is the same in each run. Who depends on whom: tests/parallel/graphs.py. A "rank" is
// a process of it; its "I/O" are its calls on files in DIR that did not fail.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char* dir;
static size_t size;  // bytes of a block
static int iterations;
static char* block;     // of `size` bytes
static int open_flags;  // --sync 1: each write reaches the storage before it returns

static void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static long number_flag(int count, char** arguments, const char* name, long otherwise) {
  for (int i = 5; i < count; ++i)
    if (strcmp(arguments[i], name) == 0) return i + 1 < count ? atol(arguments[i + 1]) : 1;
  return otherwise;
}

// --given FILE: a number on each line, whose turn it was then, of an earlier run. NULL: without the flag.
static int* given_turns(int count, char** arguments, int turns) {
  const char* path = NULL;
  for (int i = 5; i + 1 < count; ++i)
    if (strcmp(arguments[i], "--given") == 0) path = arguments[i + 1];
  if (!path) return NULL;
  int* given = malloc((size_t)turns * sizeof *given);
  FILE* file = fopen(path, "r");
  if (!file) die(path);
  for (int i = 0; i < turns; ++i)
    if (fscanf(file, "%d", &given[i]) != 1) die(path);
  fclose(file);
  return given;
}

static void common_arguments(int count, char** arguments) {
  if (count < 5) {
    fprintf(stderr, "usage: %s WORKLOAD DIR SIZE ITERATIONS [FLAGS]\n", arguments[0]);
    exit(2);
  }
  dir = arguments[2];
  size = strtoull(arguments[3], NULL, 10);
  iterations = atoi(arguments[4]);
  block = malloc(size);
  if (!block) die("memory");
  if (number_flag(count, arguments, "--sync", 0) != 0) open_flags = O_DSYNC;
}

static int open_in(const char* name, int number, int flags) {
  char path[4096];
  if (number < 0)
    snprintf(path, sizeof path, "%s/%s", dir, name);
  else
    snprintf(path, sizeof path, "%s/%s.%d", dir, name, number);
  int fd = open(path, flags | open_flags, 0644);
  if (fd < 0) die(path);
  return fd;
}

// The same bytes for the same numbers.
static void fill(uint64_t rank, uint64_t step) {
  uint64_t x = rank * 0x9e3779b97f4a7c15ull + step * 0xbf58476d1ce4e5b9ull + 1;
  for (size_t i = 0; i < size; ++i) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    block[i] = (char)(x >> 56);
  }
}

static inline uint64_t sum_of_block(void) {
  uint64_t sum = 0;
  for (size_t i = 0; i < size; ++i) sum = sum * 31 + (unsigned char)block[i];
  return sum;
}

static void write_at(int fd, uint64_t offset) {
  if (pwrite(fd, block, size, (off_t)offset) != (ssize_t)size) die("write");
}
static void read_at(int fd, uint64_t offset) {
  if (pread(fd, block, size, (off_t)offset) != (ssize_t)size) die("read");
}

// So much CPU time.
static void compute(long microseconds) {
  if (microseconds <= 0) return;
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  int64_t until = t.tv_sec * 1000000000ll + t.tv_nsec + microseconds * 1000ll;
  volatile uint64_t x = 1;
  do {
    for (int i = 0; i < 500; ++i) x = x * 31 + 7;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  } while (t.tv_sec * 1000000000ll + t.tv_nsec < until);
}

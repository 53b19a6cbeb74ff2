// SPDX-License-Identifier: Apache-2.0
//
// The calls that a trace can hold, by number: docs/trace-format.md says what their arguments mean.
// Numbers are on disk and never change. Only an enumeration: the preload shim includes this file.
#pragma once

#include <cstdint>

namespace reel::trace {

enum class Op : uint16_t {
  none = 0,
  // descriptors
  open = 1,
  close = 2,
  dup = 3,
  dup2 = 4,
  fcntl = 5,
  pipe = 6,
  socket = 7,
  socketpair = 8,
  accept = 9,
  connect = 10,
  other_fd = 11,
  close_range = 12,
  bind = 13,
  // data
  read = 20,
  pread = 21,
  readv = 22,
  preadv = 23,
  write = 24,
  pwrite = 25,
  writev = 26,
  pwritev = 27,
  lseek = 28,
  copy_range = 29,
  sendfile = 30,
  splice = 31,
  readahead = 32,
  fadvise = 33,
  // durability
  fsync = 40,
  fdatasync = 41,
  sync_range = 42,
  syncfs = 43,
  sync = 44,
  msync = 45,
  // questions
  stat = 50,
  access = 51,
  readlink = 52,
  statfs = 53,
  getdents = 54,
  getxattr = 55,
  listxattr = 56,
  // names and attributes
  mkdir = 60,
  rmdir = 61,
  unlink = 62,
  rename = 63,
  link = 64,
  symlink = 65,
  mknod = 66,
  truncate = 67,
  fallocate = 68,
  chmod = 69,
  chown = 70,
  utimens = 71,
  setxattr = 72,
  removexattr = 73,
  clone_range = 74,
  ioctl = 75,
  // memory
  mmap = 80,
  munmap = 81,
  mremap = 82,
  // asynchronous
  aio_read = 90,
  aio_write = 91,
  aio_fsync = 92,
  io_submit = 93,
  io_getevents = 94,
  io_setup = 95,
  io_destroy = 96,
  uring_setup = 100,
  uring_enter = 101,
  uring_read = 102,
  uring_write = 103,
  uring_fsync = 104,
  uring_other = 105,
  // processes
  fork = 110,
  vfork = 111,
  clone_thread = 112,
  exec = 113,
  exit = 114,
  exit_thread = 115,
  wait = 116,
  // what later calls of the process depend on
  chdir = 117,
  chroot = 118,
  umask = 119,
  setid = 120,
  // waiting
  flock = 121,
  poll = 122,
  send = 123,
  recv = 124,
  compute = 125,
  range_lock = 126,  // fcntl's and lockf's
  // waiting for others in memory
  futex_wake = 127,
  futex_wait = 128,
  mutex_lock = 129,  // these of what processes share
  mutex_unlock = 130,
  sem_wait = 131,
  sem_post = 132,
  barrier_wait = 133,
  // messages of MPI
  mpi_init = 141,
  mpi_send = 142,
  mpi_recv = 143,
  mpi_isend = 144,
  mpi_irecv = 145,
  mpi_wait = 146,
  mpi_done = 147,
  mpi_probe = 162,
  mpi_collective = 163,
  mpi_icollective = 164,
  mpi_arrive = 165,
  // not the program's doing
  held = 166,
};

// Event::mode of mpi_collective, mpi_icollective and mpi_arrive.
enum class Collective : uint8_t {
  barrier = 1,
  broadcast = 2,
  scatter = 3,
  gather = 4,
  reduce = 5,
  allreduce = 6,
  allgather = 7,
  alltoall = 8,
  reduce_scatter = 9,
  scan = 10,
  exscan = 11,
  communicator = 12,  // one is made or freed
  file_open = 13,     // MPI-IO's, with calls on files in it
  file_close = 14,
  file_transfer = 15,
  window = 16,  // of one-sided communication: made, fenced, freed
  init = 17,
  finalize = 18,
};

// Flag of a compute: the thread did nothing but give way to others, again and again.
inline constexpr uint64_t kGaveWay = 1;

// How a mutex_lock holds the lock, and a mutex_unlock held it (arg2). In vain, alone: who was woken for a condition
// made no call, signalled nobody, and waits for one again.
inline constexpr uint64_t kHeldAlone = 0;
inline constexpr uint64_t kHeldToRead = 1;  // beside others
inline constexpr uint64_t kHeldInVain = 2;

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Parallel workloads without MPI: pipeline, queue, polling, spin, phases, gates, turns, relay, board. The ranks are
// children of one process, in the order in which it makes them; it does no I/O itself. Flags: --ranks N says how many
// (4); --shm 1: what gates, turns, relay and board share is in files of /dev/shm that each rank opens and maps by
// itself, semaphores by their names; --shm 2: in memory of System V that each rank attaches. See common.h.
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common.h"

static int rank, ranks;
static long us;

static void path_of(char* path, size_t room, const char* name, int number) {
  if (number < 0)
    snprintf(path, room, "%s/%s", dir, name);
  else
    snprintf(path, room, "%s/%s.%d", dir, name, number);
}

// Pipes between neighbours, rank r writes pipes[r]. What passes through must fit into a pipe, else who reads holds up
// who writes: SIZE * ITERATIONS of at most 64 KiB.
static int (*pipes)[2];

static void whole(ssize_t (*call)(int, void*, size_t), int fd) {
  for (size_t done = 0; done < size;) {
    ssize_t moved = call(fd, block + done, size - done);
    if (moved <= 0) die("pipe");
    done += (size_t)moved;
  }
}
static ssize_t write_to(int fd, void* from, size_t bytes) {
  return write(fd, from, bytes);
}

// Each stage takes a block, changes it, writes it to its own file and hands it on. The first makes them.
static void pipeline(void) {
  int fd = open_in("stage", rank, O_RDWR | O_CREAT | O_EXCL);
  for (int i = 0; i < iterations; ++i) {
    if (rank == 0)
      fill(0, (uint64_t)i);
    else
      whole(read, pipes[rank - 1][0]);
    compute(us);
    block[0] = (char)(block[0] + rank);
    write_at(fd, (uint64_t)i * size);
    if (rank + 1 < ranks) whole(write_to, pipes[rank][1]);
  }
  close(fd);
}

// Rank 0 writes items and gives each its name when it is whole; rank 1 asks until it is there, and removes it.
static void polling(void) {
  char path[4096], whole_path[4096];
  for (int i = 0; i < iterations; ++i) {
    path_of(path, sizeof path, "new", i);
    path_of(whole_path, sizeof whole_path, "item", i);
    if (rank == 0) {
      compute(us);
      int fd = open_in("new", i, O_WRONLY | O_CREAT | O_EXCL);
      fill(0, (uint64_t)i);
      write_at(fd, 0);
      close(fd);
      if (rename(path, whole_path) != 0) die("rename");
    } else {
      struct stat s;
      while (stat(whole_path, &s) != 0) usleep(100);
      int fd = open_in("item", i, O_RDONLY);
      read_at(fd, 0);
      close(fd);
      if (unlink(whole_path) != 0) die("unlink");
    }
  }
}

// A barrier in shared memory: no call shows it.
struct SpinBarrier {
  atomic_int arrived, turn;
};
static struct SpinBarrier* barrier;

static void spin_barrier(void) {
  int turn = atomic_load(&barrier->turn);
  if (atomic_fetch_add(&barrier->arrived, 1) + 1 == ranks) {
    atomic_store(&barrier->arrived, 0);
    atomic_fetch_add(&barrier->turn, 1);
    return;
  }
  for (int i = 0; atomic_load(&barrier->turn) == turn; ++i)
    if (i > 1000) sched_yield();
}

// A queue file behind a lock file: who could make it may append; he removes it again. The queue has who it was; with
// --given FILE, such a queue, nobody looks for the lock before his turn in it.
static int* given;

static bool may_look(void) {
  return !given || given[atomic_load(&barrier->turn)] == rank;
}

static void queue(void) {
  char lock[4096], line[16];
  path_of(lock, sizeof lock, "lock", -1);
  for (int i = 0; i < iterations; ++i) {
    int held = -1;
    while (held < 0) {
      if (may_look() && (held = open(lock, O_WRONLY | O_CREAT | O_EXCL, 0644)) < 0 && errno != EEXIST) die(lock);
      if (held < 0) usleep(200);
    }
    int fd = open_in("queue", -1, O_WRONLY | O_CREAT | O_APPEND);
    int length = snprintf(line, sizeof line, "%d\n", rank);
    if (write(fd, line, (size_t)length) != length) die("write");
    close(fd);
    close(held);
    if (unlink(lock) != 0) die("unlink");
    atomic_fetch_add(&barrier->turn, 1);
    compute(us);
  }
}

static void spin(void) {
  int fd = open_in("part", rank, O_RDWR | O_CREAT | O_EXCL);
  for (int i = 0; i < iterations; ++i) {
    compute(us * (1 + (rank + i) % ranks));
    fill((uint64_t)rank, (uint64_t)i);
    write_at(fd, (uint64_t)i * size);
    spin_barrier();
  }
  close(fd);
}

// Two loops with that barrier: one call a turn, then two.
static void phases(void) {
  int fd = open_in("first", rank, O_RDWR | O_CREAT | O_EXCL);
  for (int i = 0; i < iterations; ++i) {
    compute(us * (1 + (rank + i) % ranks));
    fill((uint64_t)rank, (uint64_t)i);
    write_at(fd, (uint64_t)i * size);
    spin_barrier();
  }
  int next = open_in("second", rank, O_RDWR | O_CREAT | O_EXCL);
  for (int i = 0; i < iterations; ++i) {
    compute(us * (1 + (rank + i) % ranks));
    write_at(next, (uint64_t)i * size);
    read_at(fd, (uint64_t)i * size);
    spin_barrier();
  }
  close(next);
  close(fd);
}

// What the ranks share.
static struct {
  pthread_barrier_t gate;
  sem_t turn[64];
  pthread_mutex_t lock;
  pthread_rwlock_t board;
  pthread_cond_t passed;
  int whose;
} * shared;
static sem_t* turn[64];
static char shm_name[64];
static int shm_id = -1;

static const char* name_of(int i) {
  static char name[80];
  snprintf(name, sizeof name, "%s.%d", shm_name, i);
  return name;
}

static sem_t* named(int i) {
  sem_t* semaphore = sem_open(name_of(i), O_CREAT, 0600, 0);
  if (semaphore == SEM_FAILED) die(name_of(i));
  return semaphore;
}

static void map_shared(int flags) {
  int fd = shm_name[0] ? shm_open(shm_name, flags, 0600) : -1;
  if (shm_name[0] && (fd < 0 || ftruncate(fd, sizeof *shared) != 0)) die(shm_name);
  // At another address in each rank: at the bottom of a room of its own size.
  void* room = mmap(NULL, (size_t)(rank + 1) << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) die("mmap");
  void* inherited = shared;
  if (shm_id >= 0)
    shared = shmat(shm_id, room, SHM_REMAP);
  else
    shared = mmap(room, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0),
                  fd, 0);
  if (shared == MAP_FAILED) die("shared memory");
  if (shm_id >= 0 && inherited && shmdt(inherited) != 0) die("shmdt");
  if (fd >= 0) close(fd);
  for (int i = 0; i < ranks; ++i) turn[i] = shm_name[0] ? named(i) : &shared->turn[i];
}

static void share(void) {
  map_shared(O_RDWR | O_CREAT | O_EXCL);
  pthread_barrierattr_t of_barrier;
  pthread_barrierattr_init(&of_barrier);
  pthread_barrierattr_setpshared(&of_barrier, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&shared->gate, &of_barrier, (unsigned)ranks);
  for (int i = 0; i < 64; ++i) sem_init(&shared->turn[i], 1, 0);
  pthread_mutexattr_t of_mutex;
  pthread_mutexattr_init(&of_mutex);
  pthread_mutexattr_setpshared(&of_mutex, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&shared->lock, &of_mutex);
  pthread_rwlockattr_t of_board;
  pthread_rwlockattr_init(&of_board);
  pthread_rwlockattr_setpshared(&of_board, PTHREAD_PROCESS_SHARED);
  pthread_rwlock_init(&shared->board, &of_board);
  pthread_condattr_t of_condition;
  pthread_condattr_init(&of_condition);
  pthread_condattr_setpshared(&of_condition, PTHREAD_PROCESS_SHARED);
  pthread_cond_init(&shared->passed, &of_condition);
}

// As spin, with libc's barrier: who waits sleeps.
static void gates(void) {
  int fd = open_in("part", rank, O_RDWR | O_CREAT | O_EXCL);
  for (int i = 0; i < iterations; ++i) {
    compute(us * (1 + (rank + i) % ranks));
    fill((uint64_t)rank, (uint64_t)i);
    write_at(fd, (uint64_t)i * size);
    pthread_barrier_wait(&shared->gate);
  }
  close(fd);
}

// One after the other, in a ring of semaphores.
static void turns(void) {
  int fd = open_in("part", rank, O_RDWR | O_CREAT | O_EXCL);
  for (int i = 0; i < iterations; ++i) {
    if (rank != 0 || i != 0) sem_wait(turn[rank]);
    compute(us);
    fill((uint64_t)rank, (uint64_t)i);
    write_at(fd, (uint64_t)i * size);
    sem_post(turn[(rank + 1) % ranks]);
  }
  close(fd);
}

// The same with a condition, once all are there.
static void relay(void) {
  int fd = open_in("part", rank, O_RDWR | O_CREAT | O_EXCL);
  pthread_barrier_wait(&shared->gate);
  for (int i = 0; i < iterations; ++i) {
    pthread_mutex_lock(&shared->lock);
    while (shared->whose != rank) pthread_cond_wait(&shared->passed, &shared->lock);
    compute(us);
    fill((uint64_t)rank, (uint64_t)i);
    write_at(fd, (uint64_t)i * size);
    shared->whose = (rank + 1) % ranks;
    pthread_cond_broadcast(&shared->passed);
    pthread_mutex_unlock(&shared->lock);
  }
  close(fd);
}

// In turns one changes the board while the others wait to read it, and then all of them do at once.
static void board(void) {
  int fd = open_in("part", rank, O_RDWR | O_CREAT | O_EXCL);
  for (int i = 0; i < iterations; ++i) {
    int writer = i % ranks, next = (i + 1) % ranks;
    if (rank == writer) {
      for (int reader = 0; i > 0 && reader < ranks - 2; ++reader) sem_wait(turn[rank]);
      pthread_rwlock_wrlock(&shared->board);
    }
    pthread_barrier_wait(&shared->gate);
    if (rank != writer) pthread_rwlock_rdlock(&shared->board);
    if (rank != writer && rank != next) sem_post(turn[next]);
    compute(us * (1 + (rank + i) % ranks));
    fill((uint64_t)rank, (uint64_t)i);
    write_at(fd, (uint64_t)i * size);
    pthread_rwlock_unlock(&shared->board);
  }
  close(fd);
}

int main(int count, char** arguments) {
  common_arguments(count, arguments);
  const char* name = arguments[1];
  void (*run)(void) = strcmp(name, "pipeline") == 0  ? pipeline
                      : strcmp(name, "queue") == 0   ? queue
                      : strcmp(name, "polling") == 0 ? polling
                      : strcmp(name, "spin") == 0    ? spin
                      : strcmp(name, "phases") == 0  ? phases
                      : strcmp(name, "gates") == 0   ? gates
                      : strcmp(name, "turns") == 0   ? turns
                      : strcmp(name, "relay") == 0   ? relay
                      : strcmp(name, "board") == 0   ? board
                                                     : NULL;
  if (!run) {
    fprintf(stderr, "no workload %s: pipeline queue polling spin phases gates turns relay board\n", name);
    return 2;
  }
  us = number_flag(count, arguments, "--compute", 0);
  ranks = run == polling ? 2 : (int)number_flag(count, arguments, "--ranks", 4);
  barrier = mmap(NULL, sizeof *barrier, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (barrier == MAP_FAILED) die("mmap");
  long shm = number_flag(count, arguments, "--shm", 0);
  if (shm == 1) snprintf(shm_name, sizeof shm_name, "/reel-parallel.%d", (int)getpid());
  if (shm == 2 && (shm_id = shmget(IPC_PRIVATE, sizeof *shared, 0600)) < 0) die("shmget");
  share();
  pipes = calloc((size_t)ranks, sizeof *pipes);
  for (int i = 0; i + 1 < ranks && run == pipeline; ++i)
    if (pipe(pipes[i]) != 0) die("pipe");
  if (run == queue) given = given_turns(count, arguments, ranks * iterations);
  for (rank = 0; rank < ranks; ++rank) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid != 0) continue;
    if (shm_name[0] || shm_id >= 0) map_shared(O_RDWR);
    run();
    exit(0);
  }
  int failed = 0, status = 0;
  while (wait(&status) > 0) failed |= status != 0;
  if (shm_name[0]) shm_unlink(shm_name);
  if (shm_id >= 0) shmctl(shm_id, IPC_RMID, NULL);
  for (int i = 0; shm_name[0] && i < ranks; ++i) sem_unlink(name_of(i));
  printf("%s %s\n", name, failed ? "failed" : "done");
  free(pipes);
  free(block);
  return failed;
}

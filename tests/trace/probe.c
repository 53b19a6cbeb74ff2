// SPDX-License-Identifier: Apache-2.0
//
// A program whose every call is known: PROBE SCENARIO, in a directory of its own. The conformance
// tests record it and compare. Built twice, dynamic and static.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;
static char* self;
static void drop(long value) {
  (void)value;
}

static int basic(void) {
  char buffer[64];
  int fd = open("f", O_CREAT | O_EXCL | O_RDWR, 0640);
  drop(write(fd, "hello", 5));
  drop(pwrite(fd, "abc", 3, 100));
  drop(lseek(fd, 0, SEEK_SET));
  drop(read(fd, buffer, 4));
  drop(pread(fd, buffer, 10, 100));
  struct iovec parts[2] = {{"12", 2}, {"345", 3}};
  drop(writev(fd, parts, 2));
  fsync(fd);
  drop(ftruncate(fd, 50));
  close(fd);
  struct stat s;
  stat("f", &s);
  rename("f", "g");
  drop(link("g", "h"));
  drop(symlink("g", "s"));
  drop(readlink("s", buffer, sizeof buffer));
  unlink("h");
  mkdir("d", 0750);
  int dir = open("d", O_RDONLY | O_DIRECTORY);
  close(openat(dir, "in", O_CREAT | O_WRONLY, 0600));
  unlinkat(dir, "in", 0);
  close(dir);
  rmdir("d");
  unlink("s");
  chmod("g", 0600);
  unlink("g");
  drop(open("missing", O_RDONLY));
  return 0;
}

static int dups(void) {
  int fd = open("f", O_CREAT | O_WRONLY, 0600);
  int other = dup(fd);
  drop(write(other, "one", 3));
  drop(dup2(fd, 20));
  close(fd);
  drop(write(20, "two", 3));
  drop(write(fd, "bad", 3));
  int high = fcntl(20, F_DUPFD, 30);
  drop(write(high, "three", 5));
  close(high);
  close(other);
  close(20);
  return 0;
}

static void* writer(void* name) {
  int fd = open(name, O_CREAT | O_WRONLY, 0600);
  for (int i = 0; i < 200; ++i) drop(pwrite(fd, "0123456789", 10, i * 10));
  close(fd);
  return NULL;
}

static int threads(void) {
  pthread_t all[4];
  char* names[] = {"t0", "t1", "t2", "t3"};
  for (int i = 0; i < 4; ++i) pthread_create(&all[i], NULL, writer, names[i]);
  for (int i = 0; i < 4; ++i) pthread_join(all[i], NULL);
  return 0;
}

static int forks(void) {
  int fd = open("f", O_CREAT | O_WRONLY, 0600);
  pid_t child = fork();
  if (child == 0) {
    drop(write(fd, "child", 5));
    _exit(7);
  }
  int status;
  waitpid(child, &status, 0);
  drop(write(fd, "parent", 6));
  close(fd);
  return 0;
}

static int child(void) {
  int fd = open("c", O_CREAT | O_WRONLY | O_APPEND, 0600);
  drop(write(fd, "x", 1));
  close(fd);
  return 0;
}

static int vforks(void) {
  char* arguments[] = {self, "child", NULL};
  pid_t pid = vfork();
  if (pid == 0) {
    execve(self, arguments, environ);
    _exit(127);
  }
  int status;
  waitpid(pid, &status, 0);
  char* nothing[] = {NULL};  // the recorder must find its way without our environment
  posix_spawn(&pid, self, NULL, NULL, arguments, nothing);
  waitpid(pid, &status, 0);
  return 0;
}

static int writes_7(void) {
  drop(write(7, "seven", 5));
  drop(write(9, "closed", 6));
  return 0;
}

// What a posix_spawn does in the child before its program.
static int spawns(void) {
  mkdir("d", 0700);
  int kept = open("kept", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  int above = fcntl(kept, F_DUPFD, 9);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 40, "f", O_CREAT | O_WRONLY, 0600);
  posix_spawn_file_actions_adddup2(&actions, 40, 7);
  posix_spawn_file_actions_addclose(&actions, 40);
  posix_spawn_file_actions_addclose(&actions, 0);
  posix_spawn_file_actions_addopen(&actions, 50, "kept", O_RDONLY, 0);  // is 0 before it is 50
  posix_spawn_file_actions_addclose(&actions, 41);                      // is not open
  posix_spawn_file_actions_addchdir_np(&actions, "d");
  posix_spawn_file_actions_addopen(&actions, 0, "in", O_CREAT | O_WRONLY, 0600);
  posix_spawn_file_actions_adddup2(&actions, kept, kept);
  posix_spawn_file_actions_addclosefrom_np(&actions, 9);
  char* arguments[] = {self, "writes-7", NULL};
  pid_t pid = 0;
  int error = posix_spawn(&pid, self, &actions, NULL, arguments, environ);
  int status = -1;
  waitpid(pid, &status, 0);
  if (error != 0 || status != 0) return 1;
  // The child's program is not found; nothing is left of it.
  error = posix_spawnp(&pid, "no-such-program-anywhere", &actions, NULL, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  drop(write(above, "still", 5));
  return error == 2 ? 0 : 2;
}

static int stdio(void) {
  char big[5000], line[100];
  memset(big, 'x', sizeof big);
  FILE* file = fopen("f", "w");
  fprintf(file, "%d\n", 12345);
  fwrite(big, 1, sizeof big, file);
  putc('\n', file);
  fclose(file);
  file = fopen("f", "r");
  drop(fgets(line, sizeof line, file) != NULL);
  fclose(file);
  return 0;
}

static int flushed_at_exit(void) {
  FILE* file = fopen("f", "w");
  fputs("late", file);
  return 3;
}

static int maps(void) {
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  drop(ftruncate(fd, 8192));
  char* map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  map[5000] = 1;
  msync(map + 4096, 4096, MS_SYNC);
  munmap(map, 8192);
  return 0;
}

static int killed(void) {
  int fd = open("f", O_CREAT | O_WRONLY, 0600);
  for (int i = 0; i < 10; ++i) drop(write(fd, "z", 1));
  kill(getpid(), SIGKILL);
  return 0;
}

static int quits(void) {
  FILE* file = fopen("f", "w");
  fputs("never written", file);
  _exit(9);
}

static int drops_rights(void) {
  if (setgid(65534) != 0 || setuid(65534) != 0) return 1;
  int fd = open("f", O_CREAT | O_WRONLY, 0600);
  drop(write(fd, "u", 1));
  close(fd);
  return 0;
}

static int closes_all(void) {
  for (int fd = 0; fd < 64; ++fd) close(fd);
  int fd = open("f", O_CREAT | O_WRONLY, 0600);  // is 0
  drop(write(fd, "zero", 4));
  close_range(0, 10, 0);
  drop(write(fd, "no", 2));
  return 0;
}

static volatile int handler_fd;
static void on_alarm(int signal) {
  (void)signal;
  drop(write(handler_fd, "h", 1));
}

// A handler that writes while the program writes: every write of both is one.
static int signals(void) {
  handler_fd = open("h", O_CREAT | O_WRONLY, 0600);
  int fd = open("f", O_CREAT | O_WRONLY, 0600);
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  pid_t parent = getpid(), other = fork();
  if (other == 0) {
    for (int i = 0; i < 300; ++i) kill(parent, SIGUSR1);
    _exit(0);
  }
  for (int i = 0; i < 3000; ++i) drop(write(fd, "m", 1));
  int status;
  while (waitpid(other, &status, 0) < 0) {
  }
  close(fd);
  close(handler_fd);
  return 0;
}

// More calls than a ring has room for.
static int many(void) {
  int fd = open("f", O_CREAT | O_WRONLY, 0600);
  for (int i = 0; i < 50000; ++i) drop(pwrite(fd, "0123456789abcdef", 16, (long)i * 16));
  close(fd);
  return 0;
}

// io_uring by hand: writes 10 bytes at 100 of a file, then reads them. Exit code 77: there is none here.
static int uring(void) {
  struct io_uring_params p = {0};
  int ring = (int)syscall(SYS_io_uring_setup, 4, &p);
  if (ring < 0) return 77;
  size_t sq_size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
  size_t cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
  int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
  char* sq = mmap(NULL, sq_size, prot, flags, ring, IORING_OFF_SQ_RING);
  char* cq = mmap(NULL, cq_size, prot, flags, ring, IORING_OFF_CQ_RING);
  struct io_uring_sqe* sqes = mmap(NULL, p.sq_entries * sizeof *sqes, prot, flags, ring, IORING_OFF_SQES);
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  char bytes[10] = "0123456789";
  for (unsigned i = 0; i < 2; ++i) {
    memset(&sqes[i], 0, sizeof sqes[i]);
    sqes[i].opcode = i == 0 ? IORING_OP_WRITE : IORING_OP_READ;
    sqes[i].fd = fd;
    sqes[i].off = 100;
    sqes[i].addr = (unsigned long)bytes;
    sqes[i].len = sizeof bytes;
    sqes[i].user_data = i + 7;
    ((unsigned*)(sq + p.sq_off.array))[i] = i;
    __atomic_store_n((unsigned*)(sq + p.sq_off.tail), i + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) return 78;
    struct io_uring_cqe* done = (struct io_uring_cqe*)(cq + p.cq_off.cqes) + i;
    if (done->user_data != i + 7 || done->res != 10) return 79;
    __atomic_store_n((unsigned*)(cq + p.cq_off.head), i + 1, __ATOMIC_RELEASE);
  }
  close(fd);
  return 0;
}

static int locks(void) {
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  flock(fd, LOCK_EX);
  flock(fd, LOCK_UN);
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 5, .l_len = 7};
  fcntl(fd, F_SETLK, &range);
  range.l_type = F_UNLCK;
  fcntl(fd, F_SETLKW, &range);
  drop(lockf(fd, F_LOCK, 3));
  close(fd);
  return 0;
}

// 40 parts, of which the kernel takes all.
static int vectors(void) {
  struct iovec parts[40];
  for (int i = 0; i < 40; ++i) parts[i] = (struct iovec){"0123456789", (size_t)(i % 10) + 1};
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  drop(pwritev(fd, parts, 40, 9));
  drop(writev(fd, parts, 17));
  close(fd);
  return 0;
}

// Two requests at once, one of them of parts, and a read.
static int aio(void) {
  aio_context_t context = 0;
  if (syscall(SYS_io_setup, 8, &context) != 0) return 77;
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  char bytes[16];
  struct iovec parts[2] = {{"abc", 3}, {"defg", 4}};
  struct iocb one = {.aio_lio_opcode = IOCB_CMD_PWRITE,
                     .aio_fildes = (unsigned)fd,
                     .aio_data = 1,
                     .aio_buf = (unsigned long)"0123456789",
                     .aio_nbytes = 10,
                     .aio_offset = 100};
  struct iocb two = {.aio_lio_opcode = IOCB_CMD_PWRITEV,
                     .aio_fildes = (unsigned)fd,
                     .aio_data = 2,
                     .aio_buf = (unsigned long)parts,
                     .aio_nbytes = 2,
                     .aio_offset = 200};
  struct iocb three = {.aio_lio_opcode = IOCB_CMD_PREAD,
                       .aio_fildes = (unsigned)fd,
                       .aio_data = 3,
                       .aio_buf = (unsigned long)bytes,
                       .aio_nbytes = 16,
                       .aio_offset = 100};
  struct iocb* all[3] = {&one, &two, &three};
  struct io_event events[4];
  if (syscall(SYS_io_submit, context, 2, all) != 2) return 78;
  if (syscall(SYS_io_getevents, context, 2, 4, events, NULL) != 2) return 79;
  if (syscall(SYS_io_submit, context, 1, all + 2) != 1) return 80;
  if (syscall(SYS_io_getevents, context, 1, 4, events, NULL) != 1) return 81;
  syscall(SYS_io_destroy, context);
  close(fd);
  return 0;
}

static void* opener(void* name) {
  for (int i = 0; i < 300; ++i) {
    int fd = open(name, O_CREAT | O_WRONLY | O_APPEND, 0600);
    drop(write(fd, "x", 1));
    close(fd);
  }
  return NULL;
}

// Threads that give each other's descriptor numbers away: each write is to its own thread's file.
static int races(void) {
  pthread_t all[4];
  char* names[] = {"t0", "t1", "t2", "t3"};
  for (int i = 0; i < 4; ++i) pthread_create(&all[i], NULL, opener, names[i]);
  for (int i = 0; i < 4; ++i) pthread_join(all[i], NULL);
  return 0;
}

// A program by its bare name, found along PATH; and one that is nowhere.
static int searches(void) {
  execlp("no-such-program-anywhere", "no", NULL);
  execlp("true", "true", NULL);
  return 1;
}

static void burn(long ms) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  long until = t.tv_sec * 1000000000 + t.tv_nsec + ms * 1000000;
  do clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  while (t.tv_sec * 1000000000 + t.tv_nsec < until);
}

// Waits as a thread waits for another one: by a futex, which is no call about files.
static void rest(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  static int never;
  syscall(SYS_futex, &never, 128 /* FUTEX_WAIT_PRIVATE */, 0, &t, NULL, 0);
}

static void* burner(void* stop) {
  while (!*(volatile int*)stop) {
  }
  return NULL;
}

// What lies between calls: 30 ms of computing, 40 ms of waiting, 20 ms of each; another thread computes all the time.
static int gaps(void) {
  int stop = 0;
  pthread_t other;
  pthread_create(&other, NULL, burner, &stop);
  int fd = open("f", O_CREAT | O_WRONLY, 0600);
  drop(pwrite(fd, "x", 1, 0));
  burn(30);
  drop(pwrite(fd, "x", 1, 1));
  rest(40);
  drop(pwrite(fd, "x", 1, 2));
  burn(20);
  rest(20);
  drop(pwrite(fd, "x", 1, 3));
  cpu_set_t one;  // both on one processor
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  sched_setaffinity(0, sizeof one, &one);
  pthread_setaffinity_np(other, sizeof one, &one);
  rest(1);
  drop(pwrite(fd, "x", 1, 4));
  burn(40);
  drop(pwrite(fd, "x", 1, 5));
  size_t much = 64u << 20;
  void* block = calloc(1, much);  // a mapping: a call, for some recorders
  rest(40);
  drop(pwrite(fd, block, much, 6));
  stop = 1;
  pthread_join(other, NULL);
  close(fd);
  return 0;
}

static volatile int flag;

static void* burn_and_flag(void* unused) {
  burn(30);
  flag = 1;
  return unused;
}

// Waits for the other by giving way, then computes; and computes in pieces, giving way between them.
static int yields(void) {
  pthread_t other;
  int fd = open("f", O_CREAT | O_WRONLY, 0600);
  pthread_create(&other, NULL, burn_and_flag, NULL);
  drop(pwrite(fd, "x", 1, 0));
  burn(5);
  while (!flag) sched_yield();
  burn(20);
  drop(pwrite(fd, "x", 1, 1));
  for (int i = 0; i < 20; ++i) {
    burn(1);
    sched_yield();
  }
  drop(pwrite(fd, "x", 1, 2));
  pthread_join(other, NULL);
  close(fd);
  return 0;
}

static void name_socket(const char* name, size_t size) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, name, size);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  drop(bind(fd, (struct sockaddr*)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)));
  close(fd);
}

// Paths that cannot be read.
static int wild(void) {
  char* arguments[] = {"wild", NULL};
  const char* nowhere = (const char*)8;
  pid_t child;
  if (execve(nowhere, arguments, arguments + 1) != -1 || errno != EFAULT) return 1;
  if (posix_spawn(&child, nowhere, NULL, NULL, arguments, arguments + 1) != EFAULT) return 2;
  if (open(nowhere, O_RDONLY) != -1 || errno != EFAULT) return 3;
  return 0;
}

// Names of sockets: in the directory, there already, without a NUL; and those that are no files.
static int sockets(void) {
  name_socket("s", sizeof "s");
  name_socket("s", sizeof "s");
  char all[sizeof((struct sockaddr_un*)0)->sun_path];
  memset(all, 'n', sizeof all);
  name_socket(all, sizeof all);
  name_socket("name", 2);
  name_socket("\0abstract", sizeof "\0abstract");
  name_socket("", 0);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  drop(bind(fd, (struct sockaddr*)&address, sizeof address));
  close(fd);
  drop(bind(fd, (struct sockaddr*)&address, sizeof address));
  chmod("s", 0700);
  unlink("s");
  return 0;
}

// More threads than processors, none of which ever waits.
static void* crowds(void* unused) {
  (void)unused;
  int fd = open("f", O_CREAT | O_WRONLY, 0600);
  for (int i = 0; i < 60; ++i) {
    drop(pwrite(fd, "x", 1, i));
    for (volatile unsigned k = 0; k < 400000; ++k) {
    }
  }
  drop(pwrite(fd, "x", 1, 60));
  close(fd);
  return NULL;
}
static int crowd(void) {
  pthread_t threads[3];
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  sched_setaffinity(0, sizeof one, &one);
  for (int i = 0; i < 3; ++i) pthread_create(&threads[i], NULL, crowds, NULL);
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
  return 0;
}

// Calls by number, as libraries make those that libc is too old for; and a file without a name.
static int numbers(void) {
  char buffer[8];
  struct open_how how = {.flags = O_CREAT | O_EXCL | O_RDWR, .mode = 0640};
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof how);
  int to = (int)syscall(SYS_openat, AT_FDCWD, "t", O_CREAT | O_RDWR, 0600);
  drop(syscall(SYS_write, fd, "hello, number", 13));
  loff_t at = 7;
  drop(syscall(SYS_copy_file_range, fd, &at, to, NULL, 6, 0));
  if (syscall(SYS_copy_file_range, fd, (void*)8, to, NULL, 6, 0) != -1 || errno != EFAULT) return 1;
  drop(syscall(SYS_pread64, to, buffer, 6, 0));
  if (memcmp(buffer, "number", 6) != 0) return 2;
  struct statx asked;
  drop(syscall(SYS_statx, AT_FDCWD, "t", 0, STATX_SIZE, &asked));
  if (asked.stx_size != 6) return 3;
  drop(syscall(SYS_renameat2, AT_FDCWD, "t", AT_FDCWD, "u", 0));
  drop(syscall(SYS_utimensat, fd, NULL, NULL, 0));  // by descriptor
  drop(syscall(SYS_close, to));
  drop(syscall(SYS_close, fd));
  if (syscall(SYS_unlink, "t") != -1 || errno != ENOENT) return 4;
  FILE* nameless = tmpfile();
  if (!nameless || fputs("gone", nameless) < 0 || fclose(nameless) != 0) return 5;
  return 0;
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    int (*run)(void);
  } all[] = {{"basic", basic},       {"dups", dups},
             {"threads", threads},   {"forks", forks},
             {"child", child},       {"vforks", vforks},
             {"spawns", spawns},     {"writes-7", writes_7},
             {"stdio", stdio},       {"atexit", flushed_at_exit},
             {"maps", maps},         {"killed", killed},
             {"quits", quits},       {"rights", drops_rights},
             {"closed", closes_all}, {"signals", signals},
             {"many", many},         {"uring", uring},
             {"gaps", gaps},         {"locks", locks},
             {"vectors", vectors},   {"aio", aio},
             {"searches", searches}, {"races", races},
             {"sockets", sockets}, {"wild", wild},
             {"yields", yields}, {"numbers", numbers},
             {"crowd", crowd}};
  self = argv[0];
  for (size_t i = 0; argc > 1 && i < sizeof all / sizeof all[0]; ++i)
    if (strcmp(argv[1], all[i].name) == 0) return all[i].run();
  return 99;
}

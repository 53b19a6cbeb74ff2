// SPDX-License-Identifier: Apache-2.0
//
// Calls that a recorder can get wrong: ODD SCENARIO. It prints results and errnos, which must be the same when it is
// recorded.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
static char* self;

static void tell(const char* what, long result) {
  printf("%s %ld %s\n", what, result, result < 0 ? strerror(errno) : "");
  fflush(stdout);
}

static void end_of(const char* what, pid_t pid) {
  int status = 0;
  pid_t got;
  while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR) {
  }
  printf("%s: %s, status %x\n", what, got == pid ? "ended" : "lost", (unsigned)status);
  fflush(stdout);
}

static void put(const char* path, const char* text) {
  int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0640);
  tell("write", write(fd, text, strlen(text)));
  close(fd);
}

static void on_signal(int signal) { (void)signal; }

static int signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGALRM, &action, NULL);
  int ends[2];
  tell("pipe", pipe(ends));
  struct itimerval timer = {.it_value = {.tv_usec = 30000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  char byte;
  tell("interrupted read", read(ends[0], &byte, 1));
  setitimer(ITIMER_REAL, &timer, NULL);
  struct timespec long_time = {5, 0};
  tell("interrupted sleep", nanosleep(&long_time, NULL));
  signal(SIGPIPE, SIG_IGN);
  close(ends[0]);
  tell("broken pipe", write(ends[1], "x", 1));
  return 0;
}

static int errors(void) {
  char buffer[8];
  tell("open", open("missing", O_RDONLY));
  tell("open of a directory", open(".", O_WRONLY));
  tell("open of nothing", open(NULL, O_RDONLY));
  tell("bad descriptor", read(77, buffer, 8));
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  tell("bad pointer", write(fd, (void*)8, 8));
  tell("bad vector", syscall(SYS_writev, fd, 8, 2));
  tell("negative offset", pread(fd, buffer, 8, -3));
  tell("lseek", lseek(fd, -1, SEEK_SET));
  tell("readlink", readlink("f", buffer, 8));
  tell("mkdir", mkdir("f", 0700));
  tell("rmdir", rmdir("f"));
  tell("rename", rename("missing", "other"));
  tell("stat", stat("f/below", &(struct stat){0}));
  char path[6000];
  memset(path, 'x', sizeof path - 1);
  path[sizeof path - 1] = 0;
  tell("long name", open(path, O_RDONLY));
  tell("unlink", unlink("f"));
  tell("dup2", dup2(fd, -1));
  tell("close", close(fd));
  tell("close again", close(fd));
  return 0;
}

static int vforks(void) {
  volatile int error = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    execlp("no-such-program-anywhere", "no", NULL);
    error = errno;
    _exit(9);
  }
  end_of("vfork", pid);
  printf("its errno %d\n", error);
  pid = vfork();
  if (pid == 0) {
    execl(self, self, "child", NULL);
    _exit(127);
  }
  end_of("vfork and exec", pid);
  return 0;
}

static int spawns(void) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "spawned", O_CREAT | O_WRONLY, 0600);
  char* arguments[] = {self, "child", NULL};
  pid_t pid = 0;
  tell("spawn", posix_spawn(&pid, self, &actions, NULL, arguments, environ));
  posix_spawn_file_actions_destroy(&actions);
  end_of("spawned", pid);
  tell("spawn of nothing", posix_spawnp(&pid, "no-such-program-anywhere", NULL, NULL, arguments, environ));
  return 0;
}

// Threads and signal handlers with little more stack than libc itself asks for.
static void* on_little(void* unused) {
  (void)unused;
  char* arguments[] = {self, "child", NULL};
  pid_t pid = 0;
  int error = posix_spawn(&pid, self, NULL, NULL, arguments, environ);
  end_of("spawned", pid);
  tell("spawn", error);
  pid = vfork();
  if (pid == 0) {
    execve(self, arguments, environ);
    _exit(127);
  }
  end_of("vforked", pid);
  return NULL;
}
static void dies(int signal) {
  (void)signal;
  char* arguments[] = {self, "child", NULL};
  for (int i = 0; i < 20000; ++i) {
    if (write(-1, "rings go round", 14) != -1) _exit(1);
  }
  pid_t pid = fork();
  if (pid == 0) {
    execve(self, arguments, environ);
    _exit(127);
  }
  waitpid(pid, NULL, 0);
}
static int stacks(void) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 24 << 10);
  if (pthread_create(&thread, &attributes, on_little, NULL) != 0) return 1;
  pthread_join(thread, NULL);
  size_t page = 4096, size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 4096;
  size = (size + page - 1) / page * page;
  char* memory = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(memory, page, PROT_NONE);
  stack_t stack = {.ss_sp = memory + page, .ss_size = size};
  tell("sigaltstack", sigaltstack(&stack, NULL));
  struct sigaction action = {.sa_handler = dies, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  tell("raised", 0);
  return 0;
}

static int child(void) {
  put("by-child", "child\n");
  return 5;
}

static int execs(void) {
  char* arguments[] = {self, "child", NULL};
  int fd = open(self, O_PATH | O_CLOEXEC);
  pid_t pid = fork();
  if (pid == 0) {
    execveat(fd, "", arguments, environ, AT_EMPTY_PATH);
    _exit(127);
  }
  end_of("execveat", pid);
  pid = fork();
  if (pid == 0) {
    fexecve(fd, arguments, environ);
    _exit(126);
  }
  end_of("fexecve", pid);
  char* none[] = {NULL};
  pid = fork();
  if (pid == 0) {
    execve(self, arguments, none);
    _exit(126);
  }
  end_of("with no environment", pid);
  tell("exec of a directory", execl("/", "x", NULL));
  return 0;
}

static int cloned(void* unused) {
  (void)unused;
  put("by-clone", "clone\n");
  return 4;
}

// Children made behind libc's fork.
static int clones(void) {
  put("f", "before\n");
  struct clone_args how = {.exit_signal = SIGCHLD};
  long pid = syscall(SYS_clone3, &how, sizeof how);
  if (pid == 0) {
    put("f", "clone3\n");
    _exit(3);
  }
  end_of("clone3", (pid_t)pid);
  pid = syscall(SYS_fork);
  if (pid == 0) {
    put("f", "fork\n");
    _exit(6);
  }
  end_of("fork by number", (pid_t)pid);
  static char stack[65536] __attribute__((aligned(16)));
  pid = clone(cloned, stack + sizeof stack, SIGCHLD, NULL);
  end_of("clone", (pid_t)pid);
#ifdef __x86_64__
  long number = SYS_fork;
  __asm__ volatile("syscall" : "=a"(pid) : "a"(number) : "rcx", "r11", "memory");
  if (pid == 0) {
    put("f", "fork without libc\n");
    _exit(7);
  }
  end_of("fork without libc", (pid_t)pid);
#endif
  put("f", "after\n");
  return 0;
}

static int uring(void) {
  struct io_uring_params p = {0};
  int ring = (int)syscall(SYS_io_uring_setup, 4, &p);
  if (ring < 0) return 77;
  int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
  char* sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, prot, flags, ring, IORING_OFF_SQ_RING);
  char* cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), prot, flags, ring, IORING_OFF_CQ_RING);
  struct io_uring_sqe* sqe = mmap(NULL, p.sq_entries * sizeof *sqe, prot, flags, ring, IORING_OFF_SQES);
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  sqe->opcode = IORING_OP_WRITE;
  sqe->fd = fd;
  sqe->addr = (unsigned long)"0123456789";
  sqe->len = 10;
  sqe->user_data = 7;
  *(unsigned*)(sq + p.sq_off.array) = 0;
  __atomic_store_n((unsigned*)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
  tell("enter", syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
  struct io_uring_cqe* done = (struct io_uring_cqe*)(cq + p.cq_off.cqes);
  printf("mark %llu result %d\n", (unsigned long long)done->user_data, done->res);
  return 0;
}

// aio by the kernel's calls: two writes, one of them of two parts, and a read.
static int aio(void) {
  aio_context_t context = 0;
  tell("setup", syscall(SYS_io_setup, 8, &context));
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  char bytes[16];
  struct iocb write_one = {.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (unsigned)fd, .aio_data = 1,
                           .aio_buf = (unsigned long)"0123456789", .aio_nbytes = 10, .aio_offset = 100};
  struct { const char* base; size_t size; } parts[2] = {{"abc", 3}, {"defg", 4}};
  struct iocb write_two = {.aio_lio_opcode = IOCB_CMD_PWRITEV, .aio_fildes = (unsigned)fd, .aio_data = 2,
                           .aio_buf = (unsigned long)parts, .aio_nbytes = 2, .aio_offset = 200};
  struct iocb read_one = {.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (unsigned)fd, .aio_data = 3,
                          .aio_buf = (unsigned long)bytes, .aio_nbytes = 16, .aio_offset = 100};
  struct iocb* all[3] = {&write_one, &write_two, &read_one};
  struct io_event events[3];
  for (int i = 0; i < 3; ++i) {
    tell("submit", syscall(SYS_io_submit, context, 1, &all[i]));
    tell("getevents", syscall(SYS_io_getevents, context, 1, 3, events, NULL));
    printf("mark %llu result %lld\n", (unsigned long long)events[0].data, (long long)events[0].res);
  }
  write_one.aio_fildes = 99;
  tell("submit of a bad one", syscall(SYS_io_submit, context, 1, all));
  tell("destroy", syscall(SYS_io_destroy, context));
  return 0;
}

static void* in_thread(void* name) {
  for (int i = 0; i < 50; ++i) {
    int fd = open(name, O_CREAT | O_WRONLY | O_APPEND, 0600);
    if (write(fd, "0123456789", 10) != 10) return name;
    close(fd);
  }
  return NULL;
}

static int threads(void) {
  pthread_t all[4];
  char* names[] = {"t0", "t1", "t2", "t3"};
  for (int i = 0; i < 4; ++i) pthread_create(&all[i], NULL, in_thread, names[i]);
  for (int i = 0; i < 4; ++i) {
    void* wrong;
    pthread_join(all[i], &wrong);
    printf("thread %d %s\n", i, wrong ? "failed" : "ended");
  }
  return 0;
}

static int user(void) {
  printf("uid %d euid %d\n", (int)getuid(), (int)geteuid());
  put("by-user", "user\n");
  return 0;
}

// 20,000 writes to places that nobody can guess; then "half" says who we are, and when "go" is there as many again;
// then "end" says how many failed.
static int halves(void) {
  int fd = open("f", O_CREAT | O_RDWR, 0600), failed = 0;
  unsigned long place = 1;
  for (int i = 0; i < 40000; ++i) {
    place = place * 6364136223846793005ul + 1442695040888963407ul;
    if (pwrite(fd, "0123456789abcdef", 1 + place % 16, (long)(place >> 36)) != (long)(1 + place % 16)) ++failed;
    if (i != 19999) continue;
    char text[32];
    snprintf(text, sizeof text, "%d", (int)getpid());
    put("half.new", text);
    if (rename("half.new", "half") != 0) return 1;
    while (access("go", F_OK) != 0) usleep(1000);
  }
  char text[32];
  snprintf(text, sizeof text, "%d", failed);
  put("end.new", text);
  if (rename("end.new", "end") != 0) return 1;
  return 3;
}

static int killed(void) {
  put("f", "written\n");
  kill(getpid(), SIGKILL);
  return 0;
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    int (*run)(void);
  } all[] = {{"signals", signals}, {"errors", errors}, {"vforks", vforks},   {"spawns", spawns}, {"child", child}, {"execs", execs},
             {"clones", clones},   {"uring", uring},   {"aio", aio},         {"threads", threads}, {"user", user}, {"killed", killed}, {"halves", halves},
             {"stacks", stacks}};
  self = argv[0];
  for (size_t i = 0; argc > 1 && i < sizeof all / sizeof all[0]; ++i)
    if (strcmp(argv[1], all[i].name) == 0) return all[i].run();
  return 99;
}

// SPDX-License-Identifier: Apache-2.0
//
// Calls whose lines in strace's output are odd ones: names with every kind of byte, files without a name, data that
// looks like strace's own words, interrupted calls, structures.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static void drop(long value) {
  (void)value;
}
static void on_signal(int number) {
  (void)number;
}

static void names(void) {
  const char* odd[] = {"with space", "quote\"back\\slash", "line\nbreak", "\xff\x01", "\xc3\xa4",
                       "a<b>c",      "p (deleted)",        "x = 3 <0.1>"};
  for (unsigned i = 0; i < sizeof odd / sizeof *odd; ++i) {
    int fd = open(odd[i], O_CREAT | O_EXCL | O_WRONLY, 0644);
    drop(write(fd, "<unfinished ...>", 16));
    drop(write(fd, ") = 5 <0.000001>\n--- SIGHUP", 27));
    close(fd);
    unlink(odd[i]);
  }
  int fd = open("gone", O_CREAT | O_RDWR, 0600);
  unlink("gone");
  drop(write(fd, "nameless", 8));
  close(fd);
  fd = open(".", O_TMPFILE | O_RDWR, 0600);
  drop(write(fd, "never named", 11));
  close(fd);
}

static void structures(void) {
  struct open_how how = {.flags = O_CREAT | O_RDWR, .mode = 0640, .resolve = RESOLVE_BENEATH};
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof how);
  struct iovec parts[3] = {{"12", 2}, {"345", 3}, {"", 0}};
  drop(pwritev(fd, parts, 3, 7));
  drop(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8192));
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 2};
  fcntl(fd, F_SETLKW, &lock);
  lock.l_type = F_UNLCK;
  fcntl(fd, F_SETLK, &lock);
  flock(fd, LOCK_EX | LOCK_NB);
  flock(fd, LOCK_UN);
  int to = open("g", O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  off_t from = 2;
  drop(sendfile(to, fd, &from, 4));
  loff_t in = 0, out = 100;
  fcntl(to, F_SETFL, 0);
  drop(copy_file_range(fd, &in, to, &out, 5, 0));
  struct timespec times[2] = {{0, UTIME_OMIT}, {1700000000, 123456789}};
  utimensat(AT_FDCWD, "f", times, 0);
  futimens(fd, NULL);
  fsetxattr(fd, "user.a", "value", 5, XATTR_CREATE);
  char buffer[64];
  drop(getxattr("f", "user.a", buffer, sizeof buffer));
  drop(getxattr("f", "user.none", buffer, sizeof buffer));
  struct statx x;
  statx(AT_FDCWD, "f", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x);
  drop(openat(fd, "below a file", O_RDONLY));
  drop(read(77, buffer, 4));
  drop(open((const char*)1, O_RDONLY));
  close(to);
  close(fd);
}

static void* waiter(void* ends) {
  char byte;
  drop(read(((int*)ends)[0], &byte, 1));
  return NULL;
}

static void interrupted(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  int ends[2], dir = open(".", O_RDONLY | O_DIRECTORY);
  drop(pipe2(ends, O_CLOEXEC));
  pid_t self = getpid(), child = fork();
  if (child == 0) {
    struct timespec nap = {0, 50000000};
    nanosleep(&nap, NULL);
    kill(self, SIGUSR1);
    nanosleep(&nap, NULL);
    drop(write(ends[1], "!", 1));
    fchdir(dir);
    drop(open("relative", O_CREAT | O_WRONLY, 0600));
  abort_child:
    kill(getpid(), SIGTERM);
    goto abort_child;
  }
  char byte;
  drop(read(ends[0], &byte, 1));
  int status;
  waitpid(child, &status, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, waiter, ends);
  drop(write(ends[1], "?", 1));
  pthread_join(thread, NULL);
  char buffer[512];
  drop(syscall(SYS_getdents64, dir, buffer, sizeof buffer));
  mkdir("d", 0700);
  chdir("d");
  drop(open("in d", O_CREAT | O_WRONLY, 0600));
}

int main(void) {
  names();
  structures();
  interrupted();
  return 0;
}

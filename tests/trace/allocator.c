// SPDX-License-Identifier: Apache-2.0
//
// A library with an allocator that asks the kernel something, also by number, before it can give any memory, as jemalloc
// does; it begins before the recorder does. Whoever allocates in there finds no allocator.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char arena[32 << 20] __attribute__((aligned(16)));
static size_t used;
static enum { kNew, kStarting, kReady } state;

static void start(void) {
  if (state == kReady) return;
  if (state == kStarting) _exit(write(2, "asked for memory while it starts\n", 33) < 0 ? 98 : 99);
  state = kStarting;
  char byte, link[64];
  if (readlink("/etc/malloc.conf", link, sizeof link) < 0 && errno != ENOENT) _exit(96);
  long fd = syscall(SYS_open, "/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0 || syscall(SYS_read, fd, &byte, 1) != 1 || syscall(SYS_close, fd) != 0) _exit(97);
  state = kReady;
}

static void* take(size_t size, size_t alignment) {
  start();
  size_t at = (used + 16 + alignment - 1) / alignment * alignment;
  if (at + size > sizeof arena) {
    errno = ENOMEM;
    return NULL;
  }
  used = at + size;
  memcpy(arena + at - 8, &size, sizeof size);
  return arena + at;
}

void* malloc(size_t size) { return take(size, 16); }
void free(void* block) { (void)block; }
void* calloc(size_t count, size_t size) { return take(count * size, 16); }
void* memalign(size_t alignment, size_t size) { return take(size, alignment < 16 ? 16 : alignment); }
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** to, size_t alignment, size_t size) {
  *to = memalign(alignment, size);
  return *to ? 0 : ENOMEM;
}
void* realloc(void* block, size_t size) {
  size_t had = 0;
  if (block) memcpy(&had, (char*)block - 8, sizeof had);
  void* more = take(size, 16);
  if (more && block) memcpy(more, block, had < size ? had : size);
  return more;
}

__attribute__((constructor)) static void at_once(void) { start(); }

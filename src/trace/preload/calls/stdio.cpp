// SPDX-License-Identifier: Apache-2.0
//
// stdio. libc's own reads and writes do not go through symbols that can be stood before, but through
// the tables of functions that every FILE has. Those entries that make system calls are replaced by
// ours, which do the same and record it; so whatever fills or drains a buffer is seen as the call that
// it is, exit's last flush too. Opening is not in the tables: fopen and its kin are wrapped.
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace/preload/shim.h"

using namespace reel::trace;  // NOLINT: the whole file is about them

namespace reel::trace::shim {
namespace {

using ReadFn = ssize_t (*)(FILE*, void*, ssize_t);
using WriteFn = ssize_t (*)(FILE*, const void*, ssize_t);
using SeekFn = off64_t (*)(FILE*, off64_t, int);
using CloseFn = int (*)(FILE*);
using StatFn = int (*)(FILE*, void*);

ReadFn real_read;
WriteFn real_write;
SeekFn real_seek;
CloseFn real_close;
StatFn real_stat;

ssize_t stdio_read(FILE* file, void* buffer, ssize_t size) {
  tell_unseen(file->_fileno);
  Call call(Op::read);
  call.fd = file->_fileno;
  call.length = static_cast<uint64_t>(size);
  return call.result(real_read(file, buffer, size));
}

// libc writes until all is written; when that took several calls they are recorded as one.
ssize_t stdio_write(FILE* file, const void* buffer, ssize_t size) {
  Call call(Op::write);
  call.fd = file->_fileno;
  call.length = static_cast<uint64_t>(size);
  int before = errno;
  errno = 0;
  ssize_t written = real_write(file, buffer, size);
  int error = errno;
  if (error == 0) errno = before;
  call.done(written > 0 || error == 0 ? written : -error);
  return written;
}

off64_t stdio_seek(FILE* file, off64_t offset, int whence) {
  Call call(Op::lseek);
  call.fd = file->_fileno;
  call.args(static_cast<uint64_t>(offset), 0);
  call.flags = static_cast<uint32_t>(whence);
  return call.result(real_seek(file, offset, whence));
}

int stdio_close(FILE* file) {
  Call call(Op::close);
  call.fd = file->_fileno;
  return call.result(real_close(file));
}

int stdio_stat(FILE* file, void* answer) {
  tell_unseen(file->_fileno);
  Call call(Op::stat);
  call.fd = file->_fileno;
  return call.result(real_stat(file, answer));
}

constexpr uintptr_t kPage = 4096;

struct Replacement {
  void* original;
  void* ours;
};

struct Pages {
  uintptr_t inside;      // an address of the library that is meant
  uintptr_t begin, end;  // its part that is read-only since it was relocated
};

int find_pages(struct dl_phdr_info* library, size_t, void* data) {
  auto* pages = static_cast<Pages*>(data);
  for (int i = 0; i < library->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = library->dlpi_phdr[i];
    if (header.p_type != PT_GNU_RELRO) continue;
    uintptr_t begin = library->dlpi_addr + header.p_vaddr;
    if (pages->inside < begin || pages->inside >= begin + header.p_memsz) continue;
    pages->begin = begin & ~(kPage - 1);
    pages->end = (begin + header.p_memsz) & ~(kPage - 1);  // what is only begun is not read-only
    return 1;
  }
  return 0;
}

// An entry is known by the function that it has.
void replace_entries(uintptr_t begin, uintptr_t end, const Replacement* replacements, size_t count) {
  for (uintptr_t at = begin; at < end; at += sizeof(void*)) {
    auto* entry = reinterpret_cast<void**>(at);
    for (size_t i = 0; i < count; ++i)
      if (*entry == replacements[i].original) *entry = replacements[i].ours;
  }
}

}  // namespace

void patch_stdio() {
  void* table = dlsym(RTLD_NEXT, "_IO_file_jumps");
  if (!table) return;
  real_read = reinterpret_cast<ReadFn>(dlsym(RTLD_NEXT, "_IO_file_read"));
  real_write = reinterpret_cast<WriteFn>(dlsym(RTLD_NEXT, "_IO_file_write"));
  real_seek = reinterpret_cast<SeekFn>(dlsym(RTLD_NEXT, "_IO_file_seek"));
  real_close = reinterpret_cast<CloseFn>(dlsym(RTLD_NEXT, "_IO_file_close"));
  real_stat = reinterpret_cast<StatFn>(dlsym(RTLD_NEXT, "_IO_file_stat"));
  if (!real_read || !real_write || !real_seek || !real_close || !real_stat) return;
  const Replacement replacements[] = {{reinterpret_cast<void*>(real_read), reinterpret_cast<void*>(stdio_read)},
                                      {reinterpret_cast<void*>(real_write), reinterpret_cast<void*>(stdio_write)},
                                      {reinterpret_cast<void*>(real_seek), reinterpret_cast<void*>(stdio_seek)},
                                      {reinterpret_cast<void*>(real_close), reinterpret_cast<void*>(stdio_close)},
                                      {reinterpret_cast<void*>(real_stat), reinterpret_cast<void*>(stdio_stat)}};
  Pages pages = {reinterpret_cast<uintptr_t>(table), 0, 0};
  if (dl_iterate_phdr(find_pages, &pages) == 0) return;
  // The tables are one section of some 3 KiB; ours are the pages it can touch.
  uintptr_t page = pages.inside & ~(kPage - 1);
  if (pages.begin < page - kPage) pages.begin = page - kPage;
  if (pages.end > page + 2 * kPage) pages.end = page + 2 * kPage;
  size_t size = pages.end - pages.begin;
  if (kernel(SYS_mprotect, static_cast<long>(pages.begin), static_cast<long>(size), PROT_READ | PROT_WRITE) != 0)
    return;
  replace_entries(pages.begin, pages.end, replacements, sizeof replacements / sizeof replacements[0]);
  kernel(SYS_mprotect, static_cast<long>(pages.begin), static_cast<long>(size), PROT_READ);
}

namespace {

uint32_t flags_of(const char* mode) {
  uint32_t flags = 0;
  if (mode[0] == 'w') flags = O_WRONLY | O_CREAT | O_TRUNC;
  if (mode[0] == 'a') flags = O_WRONLY | O_CREAT | O_APPEND;
  for (const char* c = mode + 1; *c != '\0' && *c != ','; ++c) {
    if (*c == '+') flags = (flags & ~static_cast<uint32_t>(O_ACCMODE)) | O_RDWR;
    if (*c == 'x') flags |= O_EXCL;
    if (*c == 'e') flags |= O_CLOEXEC;
  }
  return flags;
}

class FileOpening {
 public:
  FileOpening(const char* path, uint32_t flags, uint32_t mode) : call_(Op::open) {
    if (!call_.on()) return;
    call_.fd = AT_FDCWD;
    call_.path(path);
    call_.flags = flags;
    call_.mode = mode;
    if ((flags & O_CREAT) == 0) return;
    look(AT_FDCWD, path, 0, before_);
    call_.before = &before_;
    call_.begin_now();
  }
  FILE* done(FILE* file) {
    if (!call_.on()) return file;
    uint64_t exit = now();
    int error = errno;
    if (file) {
      call_.fd2 = file->_fileno;
      look(call_.fd2, "", AT_EMPTY_PATH, object_);
      call_.object = &object_;
    }
    errno = error;
    call_.finish(file ? call_.fd2 : -error, exit);
    return file;
  }

 private:
  Call call_;
  wire::Object before_, object_;
};

}  // namespace
}  // namespace reel::trace::shim

using namespace reel::trace::shim;  // NOLINT

#define REEL_FOPEN(name)                                       \
  REEL_EXPORT FILE* name(const char* path, const char* mode) { \
    REEL_REAL(FILE* (*)(const char*, const char*), name);      \
    FileOpening opening(path, flags_of(mode), 0666);           \
    return opening.done(real(path, mode));                     \
  }
REEL_FOPEN(fopen)
REEL_FOPEN(fopen64)
#define REEL_FREOPEN(name)                                                 \
  REEL_EXPORT FILE* name(const char* path, const char* mode, FILE* file) { \
    REEL_REAL(FILE* (*)(const char*, const char*, FILE*), name);           \
    if (!path) return real(path, mode, file);                              \
    FileOpening opening(path, flags_of(mode), 0666);                       \
    return opening.done(real(path, mode, file));                           \
  }
REEL_FREOPEN(freopen)
REEL_FREOPEN(freopen64)
#define REEL_TMPFILE(name)                                            \
  REEL_EXPORT FILE* name(void) {                                      \
    REEL_REAL(FILE* (*)(), name);                                     \
    FileOpening opening(P_tmpdir, O_RDWR | O_TMPFILE | O_EXCL, 0600); \
    return opening.done(real());                                      \
  }
REEL_TMPFILE(tmpfile)
REEL_TMPFILE(tmpfile64)

// SPDX-License-Identifier: Apache-2.0
//
// The calls that move, sync and map bytes.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "trace/preload/shim.h"

using namespace reel::trace;        // NOLINT: the whole file is about them
using namespace reel::trace::shim;  // NOLINT

namespace {

uint64_t total(const struct iovec* parts, int count) {
  uint64_t bytes = 0;
  for (int i = 0; i < count && i < 1024; ++i) bytes += parts[i].iov_len;
  return bytes;
}

// A vector's length may be asked only when the kernel could read it.
ssize_t vector_done(Call& call, int fd, const struct iovec* parts, int count, off_t offset, int flags, ssize_t result) {
  if (!call.on()) return result;
  call.fd = fd;
  call.offset = static_cast<uint64_t>(offset);
  call.flags = static_cast<uint32_t>(flags);
  call.args(static_cast<uint32_t>(count), 0);
  if (result >= 0) call.length = total(parts, count);
  return call.result(result);
}

}  // namespace

#define REEL_PLAIN(name, pointer)                                        \
  REEL_EXPORT ssize_t name(int fd, pointer buffer, size_t size) {        \
    REEL_REAL(ssize_t (*)(int, pointer, size_t), name);                  \
    Transfer transfer;                                                   \
    return transfer.done(Op::name, fd, 0, size, real(fd, buffer, size)); \
  }
REEL_PLAIN(read, void*)
REEL_PLAIN(write, const void*)

#define REEL_AT(name, op, pointer)                                                                     \
  REEL_EXPORT ssize_t name(int fd, pointer buffer, size_t size, off_t offset) {                        \
    REEL_REAL(ssize_t (*)(int, pointer, size_t, off_t), name);                                         \
    Transfer transfer;                                                                                 \
    return transfer.done(op, fd, static_cast<uint64_t>(offset), size, real(fd, buffer, size, offset)); \
  }
REEL_AT(pread, Op::pread, void*)
REEL_AT(pread64, Op::pread, void*)
REEL_AT(pwrite, Op::pwrite, const void*)
REEL_AT(pwrite64, Op::pwrite, const void*)

REEL_EXPORT ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room) {
  REEL_REAL(ssize_t(*)(int, void*, size_t, size_t), __read_chk);
  Transfer transfer;
  return transfer.done(Op::read, fd, 0, size, real(fd, buffer, size, room));
}
#define REEL_PREAD_CHK(name)                                                                                        \
  REEL_EXPORT ssize_t name(int fd, void* buffer, size_t size, off_t offset, size_t room) {                          \
    REEL_REAL(ssize_t (*)(int, void*, size_t, off_t, size_t), name);                                                \
    Transfer transfer;                                                                                              \
    return transfer.done(Op::pread, fd, static_cast<uint64_t>(offset), size, real(fd, buffer, size, offset, room)); \
  }
REEL_PREAD_CHK(__pread_chk)
REEL_PREAD_CHK(__pread64_chk)

#define REEL_VECTOR(name)                                                     \
  REEL_EXPORT ssize_t name(int fd, const struct iovec* parts, int count) {    \
    REEL_REAL(ssize_t (*)(int, const struct iovec*, int), name);              \
    Call call(Op::name);                                                      \
    return vector_done(call, fd, parts, count, 0, 0, real(fd, parts, count)); \
  }
REEL_VECTOR(readv)
REEL_VECTOR(writev)
#define REEL_VECTOR_AT(name, op)                                                           \
  REEL_EXPORT ssize_t name(int fd, const struct iovec* parts, int count, off_t offset) {   \
    REEL_REAL(ssize_t (*)(int, const struct iovec*, int, off_t), name);                    \
    Call call(op);                                                                         \
    return vector_done(call, fd, parts, count, offset, 0, real(fd, parts, count, offset)); \
  }
REEL_VECTOR_AT(preadv, Op::preadv)
REEL_VECTOR_AT(preadv64, Op::preadv)
REEL_VECTOR_AT(pwritev, Op::pwritev)
REEL_VECTOR_AT(pwritev64, Op::pwritev)
// With offset -1 they are readv and writev.
#define REEL_VECTOR_AT2(name, op, plain)                                                            \
  REEL_EXPORT ssize_t name(int fd, const struct iovec* parts, int count, off_t offset, int flags) { \
    REEL_REAL(ssize_t (*)(int, const struct iovec*, int, off_t, int), name);                        \
    Call call(offset == -1 ? plain : op);                                                           \
    return vector_done(call, fd, parts, count, offset == -1 ? 0 : offset, flags,                    \
                       real(fd, parts, count, offset, flags));                                      \
  }
REEL_VECTOR_AT2(preadv2, Op::preadv, Op::readv)
REEL_VECTOR_AT2(preadv64v2, Op::preadv, Op::readv)
REEL_VECTOR_AT2(pwritev2, Op::pwritev, Op::writev)
REEL_VECTOR_AT2(pwritev64v2, Op::pwritev, Op::writev)

#define REEL_LSEEK(name)                                              \
  REEL_EXPORT off_t name(int fd, off_t offset, int whence) noexcept { \
    REEL_REAL(off_t (*)(int, off_t, int), name);                      \
    Call call(Op::lseek);                                             \
    call.fd = fd;                                                     \
    call.args(static_cast<uint64_t>(offset), 0);                      \
    call.flags = static_cast<uint32_t>(whence);                       \
    return call.result(real(fd, offset, whence));                     \
  }
REEL_LSEEK(lseek)
REEL_LSEEK(lseek64)

#define REEL_SYNC(name)            \
  REEL_EXPORT int name(int fd) {   \
    REEL_REAL(int (*)(int), name); \
    Call call(Op::name);           \
    call.fd = fd;                  \
    return call.result(real(fd));  \
  }
REEL_SYNC(fsync)
REEL_SYNC(fdatasync)
REEL_EXPORT int syncfs(int fd) noexcept {
  REEL_REAL(int (*)(int), syncfs);
  Call call(Op::syncfs);
  call.fd = fd;
  return call.result(real(fd));
}
REEL_EXPORT void sync(void) noexcept {
  REEL_REAL(void (*)(), sync);
  Call call(Op::sync);
  real();
  call.done(0);
}
REEL_EXPORT int sync_file_range(int fd, off_t offset, off_t length, unsigned flags) {
  REEL_REAL(int (*)(int, off_t, off_t, unsigned), sync_file_range);
  Call call(Op::sync_range);
  call.fd = fd;
  call.offset = static_cast<uint64_t>(offset);
  call.length = static_cast<uint64_t>(length);
  call.flags = flags;
  return call.result(real(fd, offset, length, flags));
}

REEL_EXPORT ssize_t readahead(int fd, off_t offset, size_t length) noexcept {
  REEL_REAL(ssize_t(*)(int, off_t, size_t), readahead);
  Call call(Op::readahead);
  call.fd = fd;
  call.offset = static_cast<uint64_t>(offset);
  call.length = length;
  return call.result(real(fd, offset, length));
}
// These return the error and leave errno alone.
#define REEL_FADVISE(name)                                                        \
  REEL_EXPORT int name(int fd, off_t offset, off_t length, int advice) noexcept { \
    REEL_REAL(int (*)(int, off_t, off_t, int), name);                             \
    Call call(Op::fadvise);                                                       \
    call.fd = fd;                                                                 \
    call.offset = static_cast<uint64_t>(offset);                                  \
    call.length = static_cast<uint64_t>(length);                                  \
    call.args(static_cast<uint32_t>(advice), 0);                                  \
    int error = real(fd, offset, length, advice);                                 \
    call.done(-error);                                                            \
    return error;                                                                 \
  }
REEL_FADVISE(posix_fadvise)
REEL_FADVISE(posix_fadvise64)
#define REEL_POSIX_FALLOCATE(name)                           \
  REEL_EXPORT int name(int fd, off_t offset, off_t length) { \
    REEL_REAL(int (*)(int, off_t, off_t), name);             \
    Call call(Op::fallocate);                                \
    call.fd = fd;                                            \
    call.offset = static_cast<uint64_t>(offset);             \
    call.length = static_cast<uint64_t>(length);             \
    int error = real(fd, offset, length);                    \
    call.done(-error);                                       \
    return error;                                            \
  }
REEL_POSIX_FALLOCATE(posix_fallocate)
REEL_POSIX_FALLOCATE(posix_fallocate64)
#define REEL_FALLOCATE(name)                                           \
  REEL_EXPORT int name(int fd, int mode, off_t offset, off_t length) { \
    REEL_REAL(int (*)(int, int, off_t, off_t), name);                  \
    Call call(Op::fallocate);                                          \
    call.fd = fd;                                                      \
    call.offset = static_cast<uint64_t>(offset);                       \
    call.length = static_cast<uint64_t>(length);                       \
    call.mode = static_cast<uint32_t>(mode);                           \
    return call.result(real(fd, mode, offset, length));                \
  }
REEL_FALLOCATE(fallocate)
REEL_FALLOCATE(fallocate64)

namespace {

// Offsets that the caller gave are told as they were before the call: what they are now, less what was moved. When it
// failed they may lie where nothing can be read.
class Copying {
 public:
  Copying(Op op, int from, const off_t* from_at, int to, const off_t* to_at, size_t length)
      : call_(op), from_at_(from_at), to_at_(to_at) {
    call_.fd = from;
    call_.fd2 = to;
    call_.length = length;
    if (from_at) call_.flags |= 1;
    if (to_at) call_.flags |= 2;
  }
  ssize_t result(ssize_t value) {
    if (value >= 0 && from_at_) call_.offset = static_cast<uint64_t>(*from_at_ - value);
    call_.args(0, value >= 0 && to_at_ ? static_cast<uint64_t>(*to_at_ - value) : 0);
    return call_.result(value);
  }

 private:
  Call call_;
  const off_t* from_at_;
  const off_t* to_at_;
};

}  // namespace

REEL_EXPORT ssize_t copy_file_range(int from, off_t* from_at, int to, off_t* to_at, size_t length, unsigned flags) {
  REEL_REAL(ssize_t(*)(int, off_t*, int, off_t*, size_t, unsigned), copy_file_range);
  Copying copying(Op::copy_range, from, from_at, to, to_at, length);
  return copying.result(real(from, from_at, to, to_at, length, flags));
}
#define REEL_SENDFILE(name)                                                            \
  REEL_EXPORT ssize_t name(int to, int from, off_t* from_at, size_t length) noexcept { \
    REEL_REAL(ssize_t (*)(int, int, off_t*, size_t), name);                            \
    Copying copying(Op::sendfile, from, from_at, to, nullptr, length);                 \
    return copying.result(real(to, from, from_at, length));                            \
  }
REEL_SENDFILE(sendfile)
REEL_SENDFILE(sendfile64)
REEL_EXPORT ssize_t splice(int from, off_t* from_at, int to, off_t* to_at, size_t length, unsigned flags) {
  REEL_REAL(ssize_t(*)(int, off_t*, int, off_t*, size_t, unsigned), splice);
  Copying copying(Op::splice, from, from_at, to, to_at, length);
  return copying.result(real(from, from_at, to, to_at, length, flags));
}

namespace {

using MmapFn = void* (*)(void*, size_t, int, int, int, off_t);

void* do_mmap(MmapFn real, void* at, size_t length, int protection, int flags, int fd, off_t offset) {
  if (fd < 0 || (flags & MAP_ANONYMOUS) != 0) return real(at, length, protection, flags, fd, offset);
  Call call(Op::mmap);
  void* map = real(at, length, protection, flags, fd, offset);
  call.fd = fd;
  call.offset = static_cast<uint64_t>(offset);
  call.length = length;
  call.mode = static_cast<uint32_t>(protection);
  call.flags = static_cast<uint32_t>(flags);
  call.done(map == MAP_FAILED ? -errno : reinterpret_cast<long>(map));
  return map;
}

}  // namespace

REEL_EXPORT void* mmap(void* at, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
  REEL_REAL(MmapFn, mmap);
  return do_mmap(real, at, length, protection, flags, fd, offset);
}
REEL_EXPORT void* mmap64(void* at, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
  REEL_REAL(MmapFn, mmap64);
  return do_mmap(real, at, length, protection, flags, fd, offset);
}
REEL_EXPORT int munmap(void* at, size_t length) noexcept {
  REEL_REAL(int (*)(void*, size_t), munmap);
  Call call(Op::munmap);
  call.length = length;
  call.args(reinterpret_cast<uint64_t>(at), 0);
  return call.result(real(at, length));
}
REEL_EXPORT int msync(void* at, size_t length, int flags) {
  REEL_REAL(int (*)(void*, size_t, int), msync);
  Call call(Op::msync);
  call.length = length;
  call.args(reinterpret_cast<uint64_t>(at), 0);
  call.flags = static_cast<uint32_t>(flags);
  return call.result(real(at, length, flags));
}

namespace {

void tell_attached(const void* at, uint64_t bytes, int segment) {
  Call call(Op::none);
  call.set_op(wire::kOpAttached);
  call.length = bytes;
  call.args(reinterpret_cast<uint64_t>(at), static_cast<uint64_t>(segment));
  call.done(0);
}

}  // namespace

REEL_EXPORT void* shmat(int segment, const void* wanted, int flags) noexcept {
  REEL_REAL(void* (*)(int, const void*, int), shmat);
  void* at = real(segment, wanted, flags);
  struct shmid_ds about;
  if (at != reinterpret_cast<void*>(-1) && kernel(SYS_shmctl, segment, IPC_STAT, reinterpret_cast<long>(&about)) >= 0)
    tell_attached(at, about.shm_segsz, segment);
  return at;
}
REEL_EXPORT int shmdt(const void* at) noexcept {
  REEL_REAL(int (*)(const void*), shmdt);
  int result = real(at);
  if (result == 0) tell_attached(at, 0, 0);
  return result;
}

#define REEL_MESSAGE(name, op, parameters, arguments) \
  REEL_EXPORT ssize_t name parameters {               \
    REEL_REAL(ssize_t(*) parameters, name);           \
    Call call(op);                                    \
    call.fd = fd;                                     \
    call.length = size;                               \
    return call.result(real arguments);               \
  }
REEL_MESSAGE(send, Op::send, (int fd, const void* buffer, size_t size, int flags), (fd, buffer, size, flags))
REEL_MESSAGE(recv, Op::recv, (int fd, void* buffer, size_t size, int flags), (fd, buffer, size, flags))
REEL_MESSAGE(sendto, Op::send,
             (int fd, const void* buffer, size_t size, int flags, const struct sockaddr* to, socklen_t room),
             (fd, buffer, size, flags, to, room))
REEL_MESSAGE(recvfrom, Op::recv, (int fd, void* buffer, size_t size, int flags, struct sockaddr* from, socklen_t* room),
             (fd, buffer, size, flags, from, room))

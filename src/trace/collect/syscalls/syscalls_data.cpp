// SPDX-License-Identifier: Apache-2.0
//
// System calls that move, sync and map bytes.
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/codec.h"
#include "trace/collect/syscalls/conversion.h"

namespace reel::trace {

bool Conversion::data() {
  switch (call_.shape->number) {
    case SYS_read:
    case SYS_write:
    case SYS_getdents:
    case SYS_getdents64:
    case SYS_sendto:
    case SYS_recvfrom:
      e_.length = a_[2];
      break;
    case SYS_pread64:
    case SYS_pwrite64:
      e_.length = a_[2];
      e_.offset = a_[3];
      break;
    case SYS_readv:
    case SYS_writev:
    case SYS_preadv:
    case SYS_pwritev:
    case SYS_preadv2:
    case SYS_pwritev2:
      vector();
      break;
    case SYS_lseek:
      raw_.arg = a_[1];
      e_.flags = word(a_[2]);
      break;
    case SYS_mmap:
      if (int_of(a_[4]) < 0 || (a_[3] & MAP_ANONYMOUS) != 0) return false;
      e_.fd = int_of(a_[4]);
      e_.length = a_[1];
      e_.mode = word(a_[2]);
      e_.flags = word(a_[3]);
      e_.offset = a_[5];
      break;
    case SYS_munmap:
    case SYS_msync:
      e_.fd = -1;
      raw_.arg = a_[0];
      e_.length = a_[1];
      if (call_.shape->number == SYS_msync) e_.flags = word(a_[2]);
      break;
    case SYS_sync:
      e_.fd = -1;
      break;
    case SYS_sync_file_range:
    case SYS_readahead:
    case SYS_fadvise64:
      e_.offset = a_[1];
      e_.length = a_[2];
      if (call_.shape->number == SYS_sync_file_range) e_.flags = word(a_[3]);
      if (call_.shape->number == SYS_fadvise64) raw_.arg = word(a_[3]);
      break;
    case SYS_fallocate:
      e_.mode = word(a_[1]);
      e_.offset = a_[2];
      e_.length = a_[3];
      break;
    case SYS_flock:
      raw_.arg = word(a_[1]);
      break;
    default:
      moves();
      break;
  }
  return true;
}

// From descriptor to descriptor.
void Conversion::moves() {
  switch (call_.shape->number) {
    case SYS_sendfile:
      e_.fd = int_of(a_[1]);
      e_.fd2 = int_of(a_[0]);
      e_.length = a_[3];
      if (a_[2] != 0) source_offset();
      break;
    case SYS_copy_file_range:
    case SYS_splice:
      e_.fd2 = int_of(a_[2]);
      e_.length = a_[4];
      if (a_[1] != 0) source_offset();
      if (a_[3] != 0) {
        e_.flags |= 2;
        raw_.arg2 = load_le<uint64_t>(call_.blob);
      }
      break;
    case SYS_ioctl:
      ioctl_call();
      break;
    default:
      break;
  }
}

void Conversion::source_offset() {
  e_.flags |= 1;
  e_.offset = call_.blob2;
}

void Conversion::vector() {
  int number = call_.shape->number;
  e_.length = call_.vector_bytes;
  raw_.arg = word(a_[2]);
  bool at = number != SYS_readv && number != SYS_writev;
  if (at) e_.offset = a_[3];
  if (number == SYS_preadv2 || number == SYS_pwritev2) e_.flags = word(a_[5]);
  if (at && static_cast<int64_t>(a_[3]) == -1) {
    set(number == SYS_preadv2 ? Op::readv : Op::writev);
    e_.offset = 0;
  }
}

void Conversion::ioctl_call() {
  uint64_t request = word(a_[1]);
  if (request == FICLONE || request == FICLONERANGE) {
    set(Op::clone_range);
    e_.fd2 = int_of(a_[0]);
    e_.fd = int_of(a_[2]);
    if (request == FICLONE || !call_.has_blob) return;
    e_.fd = load_le<int32_t>(call_.blob);
    e_.offset = load_le<uint64_t>(call_.blob + 8);
    e_.length = load_le<uint64_t>(call_.blob + 16);
    raw_.arg2 = load_le<uint64_t>(call_.blob + 24);
    return;
  }
  raw_.arg = request;
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Names, record types and families of the calls of a trace.
#include "trace/ops.h"

#include <algorithm>
#include <iterator>

#include "reel/trace.h"

namespace reel::trace {
namespace {

struct OpInfo {
  Op op;
  const char* name;
  RecordType type;
  Family family;
};

constexpr OpInfo kOps[] = {
    {Op::open, "open", RecordType::open, Family::open},
    {Op::close, "close", RecordType::close, Family::descriptor},
    {Op::dup, "dup", RecordType::descriptor, Family::descriptor},
    {Op::dup2, "dup2", RecordType::descriptor, Family::descriptor},
    {Op::fcntl, "fcntl", RecordType::descriptor, Family::descriptor},
    {Op::pipe, "pipe", RecordType::descriptor, Family::descriptor},
    {Op::socket, "socket", RecordType::descriptor, Family::descriptor},
    {Op::socketpair, "socketpair", RecordType::descriptor, Family::descriptor},
    {Op::accept, "accept", RecordType::descriptor, Family::descriptor},
    {Op::connect, "connect", RecordType::descriptor, Family::descriptor},
    {Op::other_fd, "other_fd", RecordType::descriptor, Family::descriptor},
    {Op::close_range, "close_range", RecordType::close, Family::descriptor},
    {Op::bind, "bind", RecordType::mknod, Family::make},
    {Op::read, "read", RecordType::read, Family::transfer},
    {Op::pread, "pread", RecordType::read, Family::transfer},
    {Op::readv, "readv", RecordType::read, Family::transfer},
    {Op::preadv, "preadv", RecordType::read, Family::transfer},
    {Op::write, "write", RecordType::write, Family::transfer},
    {Op::pwrite, "pwrite", RecordType::write, Family::transfer},
    {Op::writev, "writev", RecordType::write, Family::transfer},
    {Op::pwritev, "pwritev", RecordType::write, Family::transfer},
    {Op::lseek, "lseek", RecordType::seek, Family::transfer},
    {Op::copy_range, "copy_range", RecordType::copy, Family::copy},
    {Op::sendfile, "sendfile", RecordType::copy, Family::copy},
    {Op::splice, "splice", RecordType::copy, Family::copy},
    {Op::readahead, "readahead", RecordType::seek, Family::other},
    {Op::fadvise, "fadvise", RecordType::seek, Family::other},
    {Op::fsync, "fsync", RecordType::fsync, Family::other},
    {Op::fdatasync, "fdatasync", RecordType::fsync, Family::other},
    {Op::sync_range, "sync_range", RecordType::fsync, Family::other},
    {Op::syncfs, "syncfs", RecordType::fsync, Family::other},
    {Op::sync, "sync", RecordType::fsync, Family::other},
    {Op::msync, "msync", RecordType::fsync, Family::mapping},
    {Op::stat, "stat", RecordType::stat, Family::question},
    {Op::access, "access", RecordType::stat, Family::question},
    {Op::readlink, "readlink", RecordType::stat, Family::question},
    {Op::statfs, "statfs", RecordType::stat, Family::question},
    {Op::getdents, "getdents", RecordType::readdir, Family::other},
    {Op::getxattr, "getxattr", RecordType::gxatr, Family::question},
    {Op::listxattr, "listxattr", RecordType::gxatr, Family::question},
    {Op::mkdir, "mkdir", RecordType::mkdir, Family::make},
    {Op::rmdir, "rmdir", RecordType::rmdir, Family::remove},
    {Op::unlink, "unlink", RecordType::unlnk, Family::remove},
    {Op::rename, "rename", RecordType::renme, Family::move},
    {Op::link, "link", RecordType::hlink, Family::move},
    {Op::symlink, "symlink", RecordType::slink, Family::make},
    {Op::mknod, "mknod", RecordType::mknod, Family::make},
    {Op::truncate, "truncate", RecordType::trunc, Family::truncate},
    {Op::fallocate, "fallocate", RecordType::trunc, Family::other},
    {Op::chmod, "chmod", RecordType::sattr, Family::question},
    {Op::chown, "chown", RecordType::sattr, Family::question},
    {Op::utimens, "utimens", RecordType::sattr, Family::question},
    {Op::setxattr, "setxattr", RecordType::xattr, Family::question},
    {Op::removexattr, "removexattr", RecordType::xattr, Family::question},
    {Op::clone_range, "clone_range", RecordType::copy, Family::copy},
    {Op::ioctl, "ioctl", RecordType::descriptor, Family::other},
    {Op::mmap, "mmap", RecordType::mmap, Family::mapping},
    {Op::munmap, "munmap", RecordType::mmap, Family::mapping},
    {Op::mremap, "mremap", RecordType::mmap, Family::mapping},
    {Op::aio_read, "aio_read", RecordType::read, Family::transfer},
    {Op::aio_write, "aio_write", RecordType::write, Family::transfer},
    {Op::aio_fsync, "aio_fsync", RecordType::fsync, Family::other},
    {Op::io_submit, "io_submit", RecordType::descriptor, Family::other},
    {Op::io_getevents, "io_getevents", RecordType::wait, Family::other},
    {Op::io_setup, "io_setup", RecordType::descriptor, Family::other},
    {Op::io_destroy, "io_destroy", RecordType::descriptor, Family::other},
    {Op::uring_setup, "uring_setup", RecordType::descriptor, Family::descriptor},
    {Op::uring_enter, "uring_enter", RecordType::wait, Family::other},
    {Op::uring_read, "uring_read", RecordType::read, Family::transfer},
    {Op::uring_write, "uring_write", RecordType::write, Family::transfer},
    {Op::uring_fsync, "uring_fsync", RecordType::fsync, Family::other},
    {Op::uring_other, "uring_other", RecordType::descriptor, Family::other},
    {Op::fork, "fork", RecordType::fork, Family::process},
    {Op::vfork, "vfork", RecordType::fork, Family::process},
    {Op::clone_thread, "clone_thread", RecordType::fork, Family::process},
    {Op::exec, "exec", RecordType::exec, Family::process},
    {Op::exit, "exit", RecordType::exit, Family::process},
    {Op::exit_thread, "exit_thread", RecordType::exit, Family::process},
    {Op::wait, "wait", RecordType::wait, Family::process},
    {Op::chdir, "chdir", RecordType::context, Family::question},
    {Op::chroot, "chroot", RecordType::context, Family::other},
    {Op::umask, "umask", RecordType::context, Family::other},
    {Op::setid, "setid", RecordType::context, Family::process},
    {Op::flock, "flock", RecordType::lock, Family::lock},
    {Op::poll, "poll", RecordType::wait, Family::other},
    {Op::send, "send", RecordType::send, Family::other},
    {Op::recv, "recv", RecordType::recv, Family::other},
    {Op::compute, "compute", RecordType::compute, Family::other},
    {Op::range_lock, "range_lock", RecordType::lock, Family::lock},
    {Op::futex_wake, "futex_wake", RecordType::signal, Family::memory},
    {Op::futex_wait, "futex_wait", RecordType::wait, Family::memory},
    {Op::mutex_lock, "mutex_lock", RecordType::wait, Family::memory},
    {Op::mutex_unlock, "mutex_unlock", RecordType::signal, Family::memory},
    {Op::sem_wait, "sem_wait", RecordType::wait, Family::memory},
    {Op::sem_post, "sem_post", RecordType::signal, Family::memory},
    {Op::barrier_wait, "barrier_wait", RecordType::barrier, Family::memory},
    {Op::mpi_init, "mpi_init", RecordType::barrier, Family::message},
    {Op::mpi_send, "mpi_send", RecordType::send, Family::message},
    {Op::mpi_recv, "mpi_recv", RecordType::recv, Family::message},
    {Op::mpi_isend, "mpi_isend", RecordType::send, Family::message},
    {Op::mpi_irecv, "mpi_irecv", RecordType::recv, Family::message},
    {Op::mpi_wait, "mpi_wait", RecordType::wait, Family::message},
    {Op::mpi_done, "mpi_done", RecordType::wait, Family::message},
    {Op::mpi_probe, "mpi_probe", RecordType::wait, Family::message},
    {Op::mpi_collective, "mpi_collective", RecordType::barrier, Family::message},
    {Op::mpi_icollective, "mpi_icollective", RecordType::barrier, Family::message},
    {Op::mpi_arrive, "mpi_arrive", RecordType::barrier, Family::message},
    {Op::held, "held", RecordType::wait, Family::other},
};

const OpInfo* info_of(Op op) {
  const OpInfo* end = std::end(kOps);
  const OpInfo* at =
      std::lower_bound(std::begin(kOps), end, op, [](const OpInfo& info, Op wanted) { return info.op < wanted; });
  return at != end && at->op == op ? at : nullptr;
}

}  // namespace

const char* op_name(Op op) {
  const OpInfo* info = info_of(op);
  return info ? info->name : nullptr;
}

Op op_of_name(std::string_view name) {
  for (const OpInfo& info : kOps)
    if (name == info.name) return info.op;
  return Op::none;
}

Family family_of(Op op) {
  const OpInfo* info = info_of(op);
  return info ? info->family : Family::other;
}

bool gives_way(Op op) {
  return op == Op::futex_wake || op == Op::mutex_unlock || op == Op::sem_post;
}

RecordType type_of(Op op) {
  const OpInfo* info = info_of(op);
  return info ? info->type : RecordType::mark;
}

bool moves_data(Op op) {
  RecordType type = type_of(op);
  return type == RecordType::read || type == RecordType::write || type == RecordType::copy;
}

uint64_t size_class(uint64_t bytes) {
  uint64_t size = 1;
  while (size < bytes && size < 1ull << 63) size *= 2;
  return size;
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Names and record types of the calls of a trace.
#include <algorithm>
#include <iterator>

#include "reel/trace.h"

namespace reel::trace {
namespace {

struct OpInfo {
  Op op;
  const char* name;
  RecordType type;
};

constexpr OpInfo kOps[] = {
    {Op::open, "open", RecordType::open},
    {Op::close, "close", RecordType::close},
    {Op::dup, "dup", RecordType::descriptor},
    {Op::dup2, "dup2", RecordType::descriptor},
    {Op::fcntl, "fcntl", RecordType::descriptor},
    {Op::pipe, "pipe", RecordType::descriptor},
    {Op::socket, "socket", RecordType::descriptor},
    {Op::socketpair, "socketpair", RecordType::descriptor},
    {Op::accept, "accept", RecordType::descriptor},
    {Op::connect, "connect", RecordType::descriptor},
    {Op::other_fd, "other_fd", RecordType::descriptor},
    {Op::close_range, "close_range", RecordType::close},
    {Op::read, "read", RecordType::read},
    {Op::pread, "pread", RecordType::read},
    {Op::readv, "readv", RecordType::read},
    {Op::preadv, "preadv", RecordType::read},
    {Op::write, "write", RecordType::write},
    {Op::pwrite, "pwrite", RecordType::write},
    {Op::writev, "writev", RecordType::write},
    {Op::pwritev, "pwritev", RecordType::write},
    {Op::lseek, "lseek", RecordType::seek},
    {Op::copy_range, "copy_range", RecordType::copy},
    {Op::sendfile, "sendfile", RecordType::copy},
    {Op::splice, "splice", RecordType::copy},
    {Op::readahead, "readahead", RecordType::seek},
    {Op::fadvise, "fadvise", RecordType::seek},
    {Op::fsync, "fsync", RecordType::fsync},
    {Op::fdatasync, "fdatasync", RecordType::fsync},
    {Op::sync_range, "sync_range", RecordType::fsync},
    {Op::syncfs, "syncfs", RecordType::fsync},
    {Op::sync, "sync", RecordType::fsync},
    {Op::msync, "msync", RecordType::fsync},
    {Op::stat, "stat", RecordType::stat},
    {Op::access, "access", RecordType::stat},
    {Op::readlink, "readlink", RecordType::stat},
    {Op::statfs, "statfs", RecordType::stat},
    {Op::getdents, "getdents", RecordType::readdir},
    {Op::getxattr, "getxattr", RecordType::gxatr},
    {Op::listxattr, "listxattr", RecordType::gxatr},
    {Op::mkdir, "mkdir", RecordType::mkdir},
    {Op::rmdir, "rmdir", RecordType::rmdir},
    {Op::unlink, "unlink", RecordType::unlnk},
    {Op::rename, "rename", RecordType::renme},
    {Op::link, "link", RecordType::hlink},
    {Op::symlink, "symlink", RecordType::slink},
    {Op::mknod, "mknod", RecordType::mknod},
    {Op::truncate, "truncate", RecordType::trunc},
    {Op::fallocate, "fallocate", RecordType::trunc},
    {Op::chmod, "chmod", RecordType::sattr},
    {Op::chown, "chown", RecordType::sattr},
    {Op::utimens, "utimens", RecordType::sattr},
    {Op::setxattr, "setxattr", RecordType::xattr},
    {Op::removexattr, "removexattr", RecordType::xattr},
    {Op::clone_range, "clone_range", RecordType::copy},
    {Op::ioctl, "ioctl", RecordType::descriptor},
    {Op::mmap, "mmap", RecordType::mmap},
    {Op::munmap, "munmap", RecordType::mmap},
    {Op::mremap, "mremap", RecordType::mmap},
    {Op::aio_read, "aio_read", RecordType::read},
    {Op::aio_write, "aio_write", RecordType::write},
    {Op::aio_fsync, "aio_fsync", RecordType::fsync},
    {Op::io_submit, "io_submit", RecordType::descriptor},
    {Op::io_getevents, "io_getevents", RecordType::wait},
    {Op::io_setup, "io_setup", RecordType::descriptor},
    {Op::io_destroy, "io_destroy", RecordType::descriptor},
    {Op::uring_setup, "uring_setup", RecordType::descriptor},
    {Op::uring_enter, "uring_enter", RecordType::wait},
    {Op::uring_read, "uring_read", RecordType::read},
    {Op::uring_write, "uring_write", RecordType::write},
    {Op::uring_fsync, "uring_fsync", RecordType::fsync},
    {Op::uring_other, "uring_other", RecordType::descriptor},
    {Op::fork, "fork", RecordType::fork},
    {Op::vfork, "vfork", RecordType::fork},
    {Op::clone_thread, "clone_thread", RecordType::fork},
    {Op::exec, "exec", RecordType::exec},
    {Op::exit, "exit", RecordType::exit},
    {Op::exit_thread, "exit_thread", RecordType::exit},
    {Op::wait, "wait", RecordType::wait},
    {Op::chdir, "chdir", RecordType::context},
    {Op::chroot, "chroot", RecordType::context},
    {Op::umask, "umask", RecordType::context},
    {Op::setid, "setid", RecordType::context},
    {Op::flock, "flock", RecordType::lock},
    {Op::poll, "poll", RecordType::wait},
    {Op::send, "send", RecordType::send},
    {Op::recv, "recv", RecordType::recv},
    {Op::compute, "compute", RecordType::compute},
    {Op::range_lock, "range_lock", RecordType::lock},
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

RecordType type_of(Op op) {
  const OpInfo* info = info_of(op);
  return info ? info->type : RecordType::mark;
}

}  // namespace reel::trace

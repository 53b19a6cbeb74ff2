// SPDX-License-Identifier: Apache-2.0
//
// File actions of posix_spawn, read from libc's list.
#include "trace/preload/calls/spawn.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

namespace reel::trace::shim {
namespace {

// As glibc has them behind posix_spawn_file_actions_t, since 2.29. No function of its tells them.
struct Action {
  enum Tag : int { close, dup2, open, chdir, fchdir, close_from, terminal };
  Tag tag;
  struct Open {
    int fd;
    const char* path;
    int flags;
    mode_t mode;
  };
  struct Dup2 {
    int from, to;
  };
  union {
    int fd;
    Dup2 pair;
    Open file;
    const char* path;
  };
};
static_assert(sizeof(Action) == 32);

const Action* list_of(const posix_spawn_file_actions_t* actions) {
  return reinterpret_cast<const Action*>(actions->__actions);
}

// False: it is none that is known.
bool convert(const Action& from, wire::SpawnAction& to, const char*& path) {
  auto is = [&to](Op op, int fd) {
    to.op = static_cast<uint32_t>(op);
    to.fd = fd;
  };
  switch (from.tag) {
    case Action::close:
      is(Op::close, from.fd);
      return true;
    case Action::dup2:
      is(Op::dup2, from.pair.from);
      to.fd2 = from.pair.to;
      return true;
    case Action::open:
      is(Op::open, from.file.fd);
      to.flags = static_cast<uint32_t>(from.file.flags);
      to.mode = from.file.mode;
      path = from.file.path;
      return true;
    case Action::chdir:
      is(Op::chdir, AT_FDCWD);
      path = from.path;
      return true;
    case Action::fchdir:
      is(Op::chdir, from.fd);
      return true;
    case Action::close_from:
      is(Op::close_range, from.fd);
      return true;
    case Action::terminal:  // no descriptor is changed by it
      is(Op::none, -1);
      return true;
  }
  return false;
}

// Numbers below 64, by bit, that the action gives back.
void note_closed(const Action& action, uint64_t& closed) {
  auto bit = [](int fd) { return fd >= 0 && fd < 64 ? 1ull << fd : 0; };
  if (action.tag == Action::close) closed |= bit(action.fd);
  if (action.tag == Action::dup2) closed &= ~bit(action.pair.to);
  if (action.tag == Action::close_from && action.fd < 64) closed |= ~0ull << action.fd;
}

// Paths are looked at while they mean here what they will mean in the child.
bool moves(const Action& action) {
  return action.tag == Action::chdir || action.tag == Action::fchdir;
}

// The child's open gets the lowest number that is free, and is moved from there.
uint64_t open_below(int fd) {
  uint64_t open = 0;
  for (int number = 0; number < fd && number < 64; ++number)
    if (kernel(SYS_fcntl, number, F_GETFD) >= 0) open |= 1ull << number;
  return open;
}

void tell(uint16_t op, const char* path, const char* data, uint32_t size) {
  Call call(Op::none, now(), Gap{});  // the gap before is the call's that is told about
  call.set_op(op);
  call.fd = AT_FDCWD;
  call.path(path);
  call.data(data, size);
  call.done(0);
}

}  // namespace

void Spawning::begin(char (&packed)[wire::kMaxArguments], uint32_t size) {
  tell(wire::kOpSpawnTry, path_, packed, size);
  if (actions_ && actions_->__used > 0) tell_actions(packed);
  call_.begin_now();
}

void Spawning::tell_actions(char (&packed)[wire::kMaxArguments]) {
  uint32_t size = 0;
  bool here = true;
  uint64_t closed = 0;
  for (int i = 0; i < actions_->__used; ++i) {
    const Action& action = list_of(actions_)[i];
    wire::SpawnAction told = {};
    const char* path = nullptr;
    bool known = convert(action, told, path);
    size_t length = path ? strnlen(path, wire::kMaxPath) : 0;
    told.path_bytes = static_cast<uint32_t>(length);
    if (!known || size + sizeof told + length > sizeof packed)
      return tell(wire::kOpLoss, "file actions of a posix_spawn are too many, or not known", nullptr, 0);
    if (action.tag == Action::open && here) look(AT_FDCWD, path, 0, told.before);
    if (action.tag == Action::open) told.below = open_below(action.file.fd) & ~closed;
    note_closed(action, closed);
    here = here && !moves(action);
    memcpy(packed + size, &told, sizeof told);
    size += sizeof told;
    if (path) memcpy(packed + size, path, length);
    size += told.path_bytes;
  }
  tell(wire::kOpSpawnActions, nullptr, packed, size);
}

void Spawning::done(int error, pid_t child) {
  if (!call_.on()) return;
  uint64_t exit = now();
  uint32_t opens = 0;
  bool here = true;
  for (int i = 0; error == 0 && actions_ && i < actions_->__used && opens < kMostOpens; ++i) {
    const Action& action = list_of(actions_)[i];
    here = here && !moves(action);
    if (action.tag != Action::open) continue;
    opened_[opens] = {};
    if (here) look(AT_FDCWD, action.file.path, 0, opened_[opens]);
    ++opens;
  }
  call_.data(reinterpret_cast<const char*>(opened_), opens * static_cast<uint32_t>(sizeof(wire::Object)));
  call_.finish(error == 0 ? child : -error, exit);
}

}  // namespace reel::trace::shim

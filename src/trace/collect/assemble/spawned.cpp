// SPDX-License-Identifier: Apache-2.0
//
// posix_spawn as the preload recorder tells it: what the child does before its program runs. The calls are made again
// from the file actions; when they were is not known, so they are where the posix_spawn begins.
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <vector>

#include "trace/collect/assemble/assembler.h"

namespace reel::trace {

// Who began a posix_spawn that may have made a child of `parent`'s process, which is heard of before the call's return.
uint32_t Assembler::spawner(uint32_t parent, uint64_t now) const {
  const std::shared_ptr<Process>& process = threads_[parent - 1].process;
  for (const ThreadState& at : threads_)
    if (at.process == process && at.spawn.tried && at.spawn.enter_ns <= now) return at.thread.number;
  return 0;
}

// `child` 0: there is none. `opened`: what the opens led to, when that is known.
Status Assembler::spawned(uint32_t maker, uint32_t child, std::string_view opened) {
  Spawn spawn = std::move(state(maker).spawn);
  state(maker).spawn = {};
  if (!spawn.tried || child == 0) return ok();
  wire::SpawnAction action;
  uint64_t at_ns = spawn.enter_ns;
  for (std::string_view rest = spawn.actions; rest.size() >= sizeof action;) {
    memcpy(&action, rest.data(), sizeof action);
    rest.remove_prefix(sizeof action);
    std::string_view path = rest.substr(0, action.path_bytes);
    rest.remove_prefix(path.size());
    wire::Object object = {};
    if (static_cast<Op>(action.op) == Op::open && opened.size() >= sizeof object) {
      memcpy(&object, opened.data(), sizeof object);
      opened.remove_prefix(sizeof object);
    }
    TRY(act(child, action, path, ++at_ns, object));
  }
  Raw exec;
  exec.event.op = wire::kOpExecTry;
  exec.event.fd = AT_FDCWD;
  exec.event.fd2 = -1;
  exec.event.enter_ns = exec.event.exit_ns = ++at_ns;
  exec.path = spawn.path;
  exec.data = spawn.arguments;
  return take(child, exec);
}

// One file action, as the calls that libc makes of it.
Status Assembler::act(uint32_t child, const wire::SpawnAction& action, std::string_view path, uint64_t at_ns,
                      const wire::Object& opened) {
  const FdTable& table = state(child).process->table;
  auto call = [&](Op op, int32_t fd, int32_t fd2, int64_t result) {
    Raw raw;
    raw.event.op = static_cast<uint16_t>(op);
    raw.event.enter_ns = raw.event.exit_ns = at_ns;
    raw.event.fd = fd;
    raw.event.fd2 = fd2;
    raw.event.result = result;
    return raw;
  };
  auto close = [&](int32_t fd) { return take(child, call(Op::close, fd, -1, table.find(fd) ? 0 : -EBADF)); };
  switch (static_cast<Op>(action.op)) {
    case Op::close:
      return close(action.fd);
    case Op::dup2: {
      if (action.fd != action.fd2) return take(child, call(Op::dup2, action.fd, action.fd2, action.fd2));
      const Slot* slot = table.find(action.fd);
      Raw kept = call(Op::fcntl, action.fd, -1, slot && slot->close_on_exec ? FD_CLOEXEC : 0);
      kept.arg = F_GETFD;
      TRY(take(child, kept));
      kept = call(Op::fcntl, action.fd, -1, 0);  // the program gets it
      kept.arg = F_SETFD;
      return take(child, kept);
    }
    case Op::chdir: {
      Raw moved = call(Op::chdir, action.fd, -1, 0);
      moved.path = path;
      return take(child, moved);
    }
    case Op::close_range:
      return take(child, call(Op::close_range, action.fd, INT32_MAX, 0));
    case Op::open: {
      TRY(close(action.fd));
      int32_t lowest = 0;
      while (table.find(lowest) || (lowest < 64 && (action.below >> lowest & 1) != 0)) ++lowest;
      Raw open = call(Op::open, AT_FDCWD, lowest, lowest);
      open.path = path;
      open.event.flags = action.flags;
      open.event.mode = action.mode;
      open.before = action.before;
      if (opened.links != 0) open.object = opened;
      TRY(take(child, open));
      if (lowest == action.fd) return ok();
      TRY(take(child, call(Op::dup2, lowest, action.fd, action.fd)));
      return close(lowest);
    }
    default:
      return ok();
  }
}

}  // namespace reel::trace

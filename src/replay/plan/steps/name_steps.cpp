// SPDX-License-Identifier: Apache-2.0
//
// See name_steps.h.
#include "replay/plan/steps/name_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "trace/posix_acl.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;

// Devices that are the same on every machine.
bool is_common_device(const std::string& path) {
  for (const char* name : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"})
    if (path == name) return true;
  return false;
}

}  // namespace

NodeId NameSteps::look(At& at, trace::StringId path, bool follow) {
  const std::string& text = walk_.trace.string(path);
  // An empty name; or the recorder did not know the directory that it was relative to.
  if (text.empty() || text.starts_with("/?fd")) {
    at.step.skip = Skip::nowhere;
    return 0;
  }
  std::vector<NodeId> through;
  NodeId node = names_.resolve(text, follow, &through, missing(at.event));
  for (NodeId way : through) {
    names_.use(way, at.me);
    if (!missing(at.event) && names_.kind(way) != FileKind::symlink) names_.exists(way, true);
  }
  if (node == 0)
    at.step.skip = Skip::nowhere;
  else if (at.event.result == -ENOENT)
    names_.found_no_file_above(node);
  return node;
}

// Where the player finds it. False: it is not to be played.
bool NameSteps::place(At& at, NodeId node, bool second) {
  if (node == 0) return false;
  if (names_.is_virtual(node)) {
    at.step.skip = Skip::machine;
    return false;
  }
  (second ? at.step.dir2 : at.step.dir) = names_.dir_of(node);
  (second ? at.step.name2 : at.step.name) = names_.name_of(node);
  return true;
}

// A descriptor's name below /proc stands for what it leads to.
bool NameSteps::by_proc(At& at, trace::StringId path) {
  const std::string& text = walk_.trace.string(path);
  const std::string own = "/proc/" + std::to_string(walk_.trace.threads[at.event.thread - 1].pid) + "/fd/";
  for (const std::string& prefix : {std::string("/proc/self/fd/"), std::string("/dev/fd/"), own}) {
    if (!text.starts_with(prefix) || text.size() == prefix.size() ||
        text.find_first_not_of("0123456789", prefix.size()) != std::string::npos)
      continue;
    auto number = static_cast<int32_t>(std::strtol(text.c_str() + prefix.size(), nullptr, 10));
    auto entry = at.process.table.find(number);
    if (entry == at.process.table.end()) return false;
    at.step.through_proc = true;
    descriptors_.use(at, {number, entry->second.generation}, at.step.slot);
    at.step.stream = false;
    return true;
  }
  return false;
}

void NameSteps::open(At& at) {
  const Event& event = at.event;
  const std::string& text = walk_.trace.string(event.path);
  at.step.mode = static_cast<uint32_t>(event.mode) & 07777;
  at.step.umask = at.process.umask;
  auto opened = std::make_shared<Description>();
  opened->object = event.object;
  opened->append = (event.flags & O_APPEND) != 0;
  if (is_common_device(text)) {
    at.step.name = names_.intern(text);
  } else {
    NodeId node = look(at, event.path, follows(event));
    if (node == 0) {
      opened->skip = at.step.skip;
    } else if (names_.is_virtual(node)) {
      opened->skip = at.step.skip = Skip::machine;
    } else if (event.failed()) {
      if (event.result == -EEXIST || event.result == -EISDIR) names_.exists(node, event.result == -EISDIR);
      place(at, node, false);
      names_.use(node, at.me);
    } else {
      open_node(at, node, *opened);
    }
  }
  if (event.failed()) return;
  trace::Descriptor fd = event.fd2.number >= 0 ? event.fd2 : trace::Descriptor{static_cast<int32_t>(event.result), 0};
  at.step.slot2 = descriptors_.give(at, fd, opened, (event.flags & O_CLOEXEC) != 0);
}

// What is there is found, or made.
void NameSteps::open_node(At& at, NodeId node, Description& opened) {
  const Event& event = at.event;
  bool temporary = (event.flags & O_TMPFILE) == O_TMPFILE;
  bool made =
      (event.flags & O_CREAT) != 0 && !temporary &&
      (event.arg2 == 1 || (event.flags & O_EXCL) != 0 || (names_.known(node) && names_.kind(node) == FileKind::absent));
  if (!made) names_.exists(node, (event.flags & O_DIRECTORY) != 0);
  opened.initial = names_.initial_of(node);
  if (made)
    names_.changed(node, at.me, FileKind::file);
  else
    names_.use(node, at.me);
  place(at, node, false);
  opened.node = node;
  opened.directory = names_.kind(node) == FileKind::directory && !temporary;
  if (names_.kind(node) == FileKind::fifo) {
    uint64_t access = event.flags & O_ACCMODE;
    opened.ends = flows_.open_fifo(node, access != O_WRONLY, access != O_RDONLY);
  }
  if (made) files_.set_size(event.object, 0);
  if (opened.ends.stream) return;
  if ((event.flags & O_TRUNC) != 0 && !made) files_.truncate(at, event.object, 0);
  files_.touch(at, event.object);
}

void NameSteps::make(At& at) {
  const Event& event = at.event;
  bool no_socket = event.result == -EINVAL || event.result == -EBADF || event.result == -ENOTSOCK;
  if (event.op == Op::bind && no_socket) {  // it has a name already, or is none: of the path this says nothing
    at.step.skip = Skip::socket;
    return;
  }
  NodeId node = look(at, event.path, false);
  if (node == 0) return;
  at.step.mode = static_cast<uint32_t>(event.mode) & (event.op == Op::mknod ? ~0u : 07777u);
  at.step.umask = at.process.umask;
  if (event.failed()) {
    if (event.result == -EEXIST || event.result == -EADDRINUSE) names_.exists(node, false);
    place(at, node, false);
    names_.use(node, at.me);
    return;
  }
  FileKind kind = FileKind::file;
  if (event.op == Op::mkdir) kind = FileKind::directory;
  if (event.op == Op::symlink) kind = FileKind::symlink;
  if (event.op == Op::mknod && S_ISFIFO(event.mode)) kind = FileKind::fifo;
  if (event.op == Op::bind) kind = FileKind::socket;
  names_.changed(node, at.me, kind, event.op == Op::symlink ? walk_.trace.string(event.path2) : std::string());
  place(at, node, false);
}

void NameSteps::remove(At& at) {
  const Event& event = at.event;
  NodeId node = look(at, event.path, false);
  if (node == 0) return;
  bool directory = event.op == Op::rmdir;
  if (!event.failed() || event.result == -ENOTEMPTY || event.result == -EISDIR)
    names_.exists(node, directory || event.result == -EISDIR);
  if (!place(at, node, false)) return;
  if (event.failed()) {
    names_.use(node, at.me);
    if (event.result == -ENOTEMPTY) names_.listed(node, at.me);
    return;
  }
  at.step.ends_instance = names_.instance_of(node);
  names_.changed(node, at.me, FileKind::absent);
}

void NameSteps::move(At& at) {
  const Event& event = at.event;
  bool moves = event.op == Op::rename;
  // A file without a name gets one: linkat by descriptor.
  bool by_descriptor = !moves && (event.path == 0 || by_proc(at, event.path));
  NodeId from = 0;
  if (by_descriptor) {
    if (event.path == 0 && !descriptors_.use(at, event.fd, at.step.slot)) return;
    if (at.step.skip != Skip::none) return;
  } else {
    from = look(at, event.path, !moves && (event.flags & AT_SYMLINK_FOLLOW) != 0);
  }
  NodeId to = look(at, event.path2, false);
  if (to == 0 || (from == 0 && !by_descriptor)) return;
  if (!event.failed() && from != 0) names_.exists(from, false);
  if ((from != 0 && !place(at, from, false)) || !place(at, to, true)) return;
  if (from != 0 && walk_.plan.dirs[at.step.dir].root != walk_.plan.dirs[at.step.dir2].root)
    at.step.skip = Skip::nowhere;
  bool exchange = moves && (event.flags & RENAME_EXCHANGE) != 0;
  bool nothing = moves && from != 0 && names_.same_file(from, to);
  if (event.failed() || nothing) {
    if (from != 0) names_.use(from, at.me);
    names_.use(to, at.me);
    if (event.result == -ENOTEMPTY || event.result == -EEXIST) names_.listed(to, at.me);
  } else if (moves) {
    at.step.ends_instance = exchange ? 0 : names_.instance_of(to);
    names_.renamed(from, to, at.me, exchange);
  } else {
    FileKind kind = from != 0 ? names_.kind(from) : FileKind::file;
    if (from != 0) names_.use(from, at.me);
    names_.changed(to, at.me, kind, from != 0 ? names_.link_text(from) : std::string());
    if (from != 0) names_.linked(from, to);
  }
}

// What neither makes nor removes a name: stat, access, attributes, chdir.
void NameSteps::question(At& at) {
  const Event& event = at.event;
  bool acl = event.op == Op::setxattr && walk_.trace.string(event.path2).starts_with(trace::kPosixAcl);
  if (acl && (event.mode & trace::kModeOfAcl) == 0) {  // what it permits is not known
    at.step.skip = Skip::unsupported;
    return;
  }
  if (event.path == 0 && event.result == -ENOENT) {  // of a descriptor nothing is missing: the name was empty
    at.step.skip = Skip::nowhere;
    return;
  }
  if (event.path == 0) {
    descriptors_.use(at, event.fd, at.step.slot);
    return;
  }
  if (event.op != Op::readlink && by_proc(at, event.path)) return;
  NodeId node = look(at, event.path, follows(event));
  if (node == 0) return;
  // No symlink, no such attribute: but something.
  bool other =
      (event.op == Op::readlink && event.result == -EINVAL) || (event.op == Op::getxattr && event.result == -ENODATA);
  if (!event.failed() || other) names_.exists(node, event.op == Op::chdir);
  if (event.result > 0 && event.op == Op::readlink) names_.is_link(node, static_cast<uint64_t>(event.result));
  names_.use(node, at.me);
  place(at, node, false);
}

void NameSteps::truncate(At& at) {
  const Event& event = at.event;
  if (event.path == 0) {
    descriptors_.use(at, event.fd, at.step.slot);
  } else if (!by_proc(at, event.path)) {
    NodeId node = look(at, event.path, true);
    if (node == 0) return;
    if (!event.failed()) names_.exists(node, false);
    names_.use(node, at.me);
    place(at, node, false);
  }
  if (event.failed()) return;
  files_.truncate(at, event.object, event.length);
  files_.touch(at, event.object);
}

}  // namespace reel::replay

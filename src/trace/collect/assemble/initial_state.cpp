// SPDX-License-Identifier: Apache-2.0
//
// The initial state of the names that a program uses.
#include "trace/collect/assemble/initial_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

namespace reel::trace {
namespace {

constexpr int kMostLinks = 40;  // the kernel's own limit

FileKind kind_of(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return FileKind::file;
    case S_IFDIR:
      return FileKind::directory;
    case S_IFLNK:
      return FileKind::symlink;
    case S_IFIFO:
      return FileKind::fifo;
    case S_IFSOCK:
      return FileKind::socket;
    case S_IFBLK:
      return FileKind::block;
    case S_IFCHR:
      return FileKind::character;
    default:
      return FileKind::absent;
  }
}

// The kernel's own trees are made by the machine that replays.
bool is_virtual(const std::string& path) {
  for (const char* root : {"/proc", "/sys", "/dev"}) {
    std::string_view view(root);
    if (path == view || (path.starts_with(view) && path[view.size()] == '/')) return true;
  }
  return false;
}

bool makes_name(const Raw& raw, const Event& event) {
  switch (event.op) {
    case Op::bind:
    case Op::mkdir:
    case Op::mknod:
    case Op::symlink:
      return !event.failed();
    case Op::open:
      return !event.failed() && (event.flags & O_CREAT) != 0 &&
             ((event.flags & O_EXCL) != 0 || (raw.before && raw.before->links == 0));
    default:
      return false;
  }
}

// Of a name that a failed call would have made, only some errors say whether something was there; of two names, which
// one was not.
bool says_nothing(const Raw& raw, const Event& event, bool second) {
  bool two_names = event.op == Op::rename || event.op == Op::link;
  switch (event.op) {
    case Op::rename:
    case Op::link:
      if (!second && (raw.before || event.result != -ENOENT)) return false;
      break;
    case Op::open:
      if (raw.before || (event.flags & O_CREAT) == 0) return false;
      break;
    case Op::bind:
    case Op::mkdir:
    case Op::mknod:
    case Op::symlink:
      break;
    default:
      return false;
  }
  switch (-event.result) {
    case EEXIST:
    case ENOTEMPTY:
    case EISDIR:
    case EADDRINUSE:
      return false;
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
      return two_names;
    default:
      return event.failed();
  }
}

bool follows_links(const Event& event) {
  switch (event.op) {
    case Op::bind:
    case Op::unlink:
    case Op::rmdir:
    case Op::rename:
    case Op::link:
    case Op::symlink:
    case Op::mkdir:
    case Op::mknod:
    case Op::readlink:
      return false;
    case Op::open:
      return (event.flags & O_NOFOLLOW) == 0;
    default:
      return (event.flags & AT_SYMLINK_NOFOLLOW) == 0;
  }
}

}  // namespace

// A name has one spelling, without "..", but where that leads out of what a symlink leads to. (join_path() left no
// ".".)
std::string InitialState::plain(std::string path) {
  for (size_t at = path.find("/.."); at != std::string::npos; at = path.find("/..", at)) {
    size_t end = at + 3;
    wire::Object above{};
    std::string text;
    bool is_name = end < path.size() && path[end] != '/';
    if (is_name || (at > 0 && surroundings_.look(path.substr(0, at), above, text) && S_ISLNK(above.mode))) {
      at = end;
      continue;
    }
    size_t begin = at == 0 ? 0 : path.rfind('/', at - 1);
    path.erase(begin, end - begin);
    at = begin;
  }
  return path.empty() ? "/" : path;
}

// Something that the program made, or below a directory that it made or moved.
bool InitialState::is_ours(const std::string& path) const {
  if (made_.empty()) return false;
  for (size_t slash = path.size(); slash != std::string::npos && slash > 0; slash = path.rfind('/', slash - 1))
    if (made_.contains(std::string_view(path).substr(0, slash))) return true;
  return false;
}

Status InitialState::used(const Raw& raw, const Event& event, const std::string& path, const std::string& path2) {
  bool second_is_name = event.op == Op::rename || event.op == Op::link;
  if (!path.empty()) TRY(first_use(plain(path), raw, event, false));
  if (second_is_name && !path2.empty()) TRY(first_use(plain(path2), raw, event, true));
  return ok();
}

void InitialState::changed(const Raw& raw, const Event& event, const std::string& path, const std::string& path2) {
  if (event.failed()) return;
  if (makes_name(raw, event)) made_.insert(plain(path));
  if (event.op == Op::rename || event.op == Op::link) made_.insert(plain(path2));
}

Status InitialState::first_use(const std::string& path, const Raw& raw, const Event& event, bool second) {
  if (is_virtual(path) || says_nothing(raw, event, second)) return ok();
  if (!seen_.insert(path).second || is_ours(path)) return ok();
  bool makes = second ? !event.failed() : makes_name(raw, event);
  bool was_there = raw.before && raw.before->links != 0 && !second;
  if (!was_there && (event.result == -ENOENT || event.result == -ENOTDIR || event.result == -ENAMETOOLONG))
    return write(path, nullptr, Known::before);
  if (makes) return write(path, nullptr, second ? Known::inferred : Known::before);

  wire::Object now{};
  std::string text;
  bool there = surroundings_.look(path, now, text);
  bool is_link = there && S_ISLNK(now.mode);
  if (is_link) {
    TRY(write_link(path, now, text));
    if (!follows_links(event)) return ok();
    // What it leads to is a name of its own, and may be another symlink.
    std::string target = path;
    for (int links = 0; is_link && links < kMostLinks; ++links) {
      target = text.starts_with('/') ? text : target.substr(0, target.rfind('/') + 1) + text;
      if (!seen_.insert(target).second || is_ours(target) || is_virtual(target)) return ok();
      is_link = surroundings_.look(target, now, text) && S_ISLNK(now.mode);
      if (is_link) TRY(write_link(target, now, text));
    }
    const wire::Object* object = raw.before ? &*raw.before : raw.object ? &*raw.object : nullptr;
    if (object) return write(target, object->links == 0 ? nullptr : object, Known::before);
    there = surroundings_.look(target, now, text);
    if (!there && !surroundings_.first_hand()) return ok();  // it is not known, which is not the same as absent
    return write(target, there ? &now : nullptr, Known::after);
  }
  if (!second && raw.before) return write(path, raw.before->links == 0 ? nullptr : &*raw.before, Known::before);
  bool untouched = event.op == Op::stat || (event.op == Op::open && (event.flags & (O_TRUNC | O_CREAT)) == 0);
  if (!second && raw.object) return write(path, &*raw.object, untouched ? Known::before : Known::after);
  if (there) return write(path, &now, Known::after);
  if (event.failed()) return ok();
  // It worked on something that is gone by now.
  wire::Object gone{};
  gone.mode = event.op == Op::rmdir || event.op == Op::chdir ? S_IFDIR | 0755u : S_IFREG | 0644u;
  gone.links = 1;
  return write(path, &gone, Known::inferred);
}

Status InitialState::write_link(const std::string& path, const wire::Object& link, const std::string& text) {
  FileState state;
  TRY_ASSIGN(state.path, writer_.string(StringKind::path, path));
  TRY_ASSIGN(state.link_text, writer_.string(StringKind::link_text, text));
  state.kind = FileKind::symlink;
  state.known = Known::after;
  state.object = objects_.fid_of(link, false);
  state.mode = 0777;
  state.uid = link.uid;
  state.gid = link.gid;
  state.size = link.size;
  return writer_.file(state);
}

Status InitialState::write(const std::string& path, const wire::Object* object, Known known) {
  FileState state;
  TRY_ASSIGN(state.path, writer_.string(StringKind::path, path));
  state.known = known;
  // An import has attributes only where a call told them.
  bool told = object && (object->mode & 07777) != 0;
  if (!surroundings_.first_hand() && known == Known::before) state.known = told ? Known::after : Known::inferred;
  if (!surroundings_.first_hand() && !told) state.known = Known::inferred;
  if (object) {
    state.kind = kind_of(object->mode);
    if (object->inode != 0) state.object = objects_.fid_of(*object, false);
    state.mode = object->mode & 07777;
    state.uid = object->uid;
    state.gid = object->gid;
    state.size = object->size;
    state.allocated = object->blocks * 512;
    state.nlink = object->links;
    state.rdev = object->rdev;
    if (state.kind == FileKind::file) state.content = surroundings_.content_of(path, *object);
  }
  return writer_.file(state);
}

}  // namespace reel::trace

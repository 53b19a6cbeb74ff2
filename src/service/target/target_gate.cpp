// SPDX-License-Identifier: Apache-2.0
#include "service/target/target_gate.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "base/kill_point.h"
#include "base/real_path.h"
#include "mirror/plan/target_dirs.h"

namespace reel::service {
namespace {

constexpr const char* kMarkerName = "id";
constexpr const char* kLostFound = "lost+found";  // what mkfs leaves in an empty ext4

bool is_within(const std::string& inner, const std::string& outer) {
  if (outer == "/") return true;
  return inner == outer || inner.starts_with(outer + "/");
}

// The real path of a target that need not exist yet; the directory it is to be made in must.
Result<std::string> path_of_target(const std::string& target) {
  Result<std::string> path = real_path(target);
  if (!path.is(Code::not_found)) return path;
  std::string text = target;
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  size_t slash = text.rfind('/');
  std::string name = slash == std::string::npos ? text : text.substr(slash + 1);
  std::string above = slash == std::string::npos ? "." : text.substr(0, slash + 1);
  Result<std::string> parent = real_path(above);
  if (!parent || name == "." || name == "..")
    return Error(Code::io, "target " + target + " cannot be made: " + above + " is not there");
  return (*parent == "/" ? "" : *parent) + "/" + name;
}

Error not_a_mirror(const std::string& target, const std::string& source, const std::string& state) {
  return {Code::conflict, "target " + target + " is not a mirror of " + source + " that the state " + state + " has"};
}

// The id in TARGET/.reel/id; empty when there is none.
Result<std::string> read_marker(int root) {
  Fd own(::openat(root, mirror::kPrivateName, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!own && errno == ENOENT) return std::string();
  if (!own) return Error::from_errno(errno, std::string(mirror::kPrivateName));
  Fd file(::openat(own.get(), kMarkerName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::string();
  if (!file) return Error::from_errno(errno, std::string(mirror::kPrivateName) + "/" + kMarkerName);
  char text[64];
  ssize_t size = ::read(file.get(), text, sizeof text);
  if (size < 0) return Error::from_errno(errno, "read the target's marker");
  std::string id(text, static_cast<size_t>(size));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

Status write_marker(int root, const std::string& id) {
  if (::mkdirat(root, mirror::kPrivateName, 0700) != 0 && errno != EEXIST)
    return Error::from_errno(errno, std::string("make ") + mirror::kPrivateName);
  Fd own(::openat(root, mirror::kPrivateName, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!own) return Error::from_errno(errno, mirror::kPrivateName);
  if (::mkdirat(own.get(), mirror::kParkName, 0700) != 0 && errno != EEXIST)
    return Error::from_errno(errno, "make the park");
  Fd file(::openat(own.get(), kMarkerName, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return Error::from_errno(errno, "write the target's marker");
  kill_point("gate.made");
  std::string text = id + "\n";
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || ::fsync(file.get()) != 0 ||
      ::fsync(own.get()) != 0 || ::fsync(root) != 0)
    return Error::from_errno(errno, "write the target's marker");
  return ok();
}

// Whether there is anything in the directory but what reel and mkfs put there.
Result<bool> is_empty(int root, bool look_only) {
  Fd copy(::openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* dir = copy ? ::fdopendir(::dup(copy.get())) : nullptr;
  if (!dir) return Error::from_errno(errno, "list the target");
  bool empty = true;
  while (struct dirent* entry = ::readdir(dir)) {
    const char* name = entry->d_name;
    if (!std::strcmp(name, ".") || !std::strcmp(name, "..") || !std::strcmp(name, mirror::kPrivateName)) continue;
    if (!std::strcmp(name, kLostFound) && (look_only || ::unlinkat(root, name, AT_REMOVEDIR) == 0)) continue;
    empty = false;
  }
  ::closedir(dir);
  return empty;
}

Status check_apart(const std::string& source, const std::string& target, const std::string& state) {
  auto nested = [](const std::string& what) { return Error(Code::invalid, what); };
  if (is_within(target, source) && is_within(source, target))
    return nested("source and target are the same: " + source);
  if (is_within(target, source)) return nested("target " + target + " lies inside the source " + source);
  if (is_within(source, target)) return nested("source " + source + " lies inside the target " + target);
  if (is_within(source, state)) return nested("source " + source + " lies inside the state " + state);
  if (is_within(target, state)) return nested("target " + target + " lies inside the state " + state);
  if (is_within(state, target)) return nested("state " + state + " lies inside the target " + target);
  struct stat a, b;
  if (::stat(source.c_str(), &a) == 0 && ::stat(target.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
      a.st_ino == b.st_ino)
    return nested("source and target are the same directory: " + source + " and " + target);
  return ok();
}

}  // namespace

Status check_places(const std::string& source, const std::string& target, const std::string& state_dir) {
  TRY_ASSIGN(std::string source_path, real_path(source));
  TRY_ASSIGN(std::string path, path_of_target(target));
  return check_apart(source_path, path, state_dir);
}

Result<PreparedTarget> prepare_target(State* state, const std::string& state_dir, const std::string& source,
                                      const std::string& target, const GateRules& rules) {
  TRY_ASSIGN(std::string source_path, real_path(source));
  TRY_ASSIGN(std::string path, path_of_target(target));
  TRY(check_apart(source_path, path, state_dir));
  TargetState known{"", path};
  if (state) {
    TRY_ASSIGN(known, state->find_target(path));
  }
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    if (!known.id.empty()) return Error(Code::not_found, "target " + target + " is not there (not mounted?)");
    if (rules.known_only) return not_a_mirror(path, source_path, state_dir);
    if (rules.look_only) return PreparedTarget{known, false, true};
    if (::mkdir(path.c_str(), 0700) != 0) return Error::from_errno(errno, "make the target " + target);
  }
  Fd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root && errno == ENOTDIR) return Error(Code::invalid, "target " + target + " is not a directory");
  if (!root) return Error::from_errno(errno, "target " + target);

  TRY_ASSIGN(std::string marker, read_marker(root.get()));
  if (!marker.empty() && marker == known.id) return PreparedTarget{known, false, false};
  bool begun = state && known.id.empty() && !marker.empty() && state->was_begun(marker);
  if (begun && !rules.look_only && !rules.known_only) {  // a start before this one died here
    TRY(state->finish_target({marker, path}));
    return PreparedTarget{{marker, path}, false, true};
  }
  if (rules.adopt == Adopt::no && marker.empty() && !known.id.empty())
    return Error(Code::not_found, "target " + path +
                                      " does not hold the mirror that was there (not mounted?); "
                                      "mount it, or give --adopt to begin anew with what is there now");
  if (rules.known_only) return not_a_mirror(path, source_path, state_dir);
  if (rules.adopt == Adopt::no && !marker.empty() && !begun)
    return Error(Code::conflict, "target " + path +
                                     " is the mirror of another source or state; give --adopt to take "
                                     "it over (what differs will be overwritten or removed)");
  TRY_ASSIGN(bool empty, is_empty(root.get(), rules.look_only));
  if (rules.adopt == Adopt::no && !empty)
    return Error(Code::conflict, "target " + path + " is not empty and not a mirror of " + source_path +
                                     "; give --adopt to make it one (what differs will be overwritten or removed)");
  if (rules.look_only) return PreparedTarget{{"", path}, !empty, true};
  TRY_ASSIGN(TargetState fresh, state->begin_target(path));
  if (!empty) TRY(state->mark_adopt(fresh));
  kill_point("gate.before");
  TRY(write_marker(root.get(), fresh.id));
  kill_point("gate.marked");
  TRY(state->finish_target(fresh));
  return PreparedTarget{fresh, !empty, true};
}

Result<std::unique_ptr<mirror::PosixTarget>> open_target(const TargetState& target,
                                                         const mirror::PosixTarget::Options& options) {
  Fd root(::open(target.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root) return Error(Code::not_found, "target " + target.path + " is not there: " + std::strerror(errno));
  TRY_ASSIGN(std::string marker, read_marker(root.get()));
  if (marker.empty()) return Error(Code::not_found, "target " + target.path + " is not there (not mounted?)");
  if (marker != target.id) return Error(Code::conflict, "at " + target.path + " lies another mirror");
  // The directory that was looked at, whatever lies at its path by now.
  return mirror::PosixTarget::open(std::move(root), options);
}

}  // namespace reel::service

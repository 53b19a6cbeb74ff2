// SPDX-License-Identifier: Apache-2.0
#include "service/state/state.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>

#include "base/handle.h"

namespace reel::service {
namespace {

constexpr size_t kIdDigits = 32;  // of a target's id

using Lines = std::map<std::string, std::string>;

// "key value" a line; values are raw bytes but newline, which is written as \n (and \ as \\).
std::string escape(const std::string& value) {
  std::string text;
  for (char c : value) {
    if (c == '\\')
      text += "\\\\";
    else if (c == '\n')
      text += "\\n";
    else
      text += c;
  }
  return text;
}
std::string unescape(const std::string& text) {
  std::string value;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size())
      value += text[i];
    else
      value += text[++i] == 'n' ? '\n' : text[i];
  }
  return value;
}

std::string format_lines(const Lines& lines) {
  std::string text;
  for (const auto& [key, value] : lines) text += key + " " + escape(value) + "\n";
  return text;
}
Lines parse_lines(const std::string& text) {
  Lines lines;
  size_t at = 0;
  while (at < text.size()) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    size_t blank = line.find(' ');
    if (blank != std::string::npos) lines[line.substr(0, blank)] = unescape(line.substr(blank + 1));
    at = end + 1;
  }
  return lines;
}

std::string random_id() {
  unsigned char bytes[kIdDigits / 2];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) std::abort();
  std::string id;
  char hex[3];
  for (unsigned char byte : bytes) {
    std::snprintf(hex, sizeof hex, "%02x", byte);
    id += hex;
  }
  return id;
}

#ifndef FS_IOC_GETFSUUID
struct FsUuid {
  unsigned char length;
  unsigned char bytes[16];
};
#define FS_IOC_GETFSUUID _IOR(0x15, 0, struct FsUuid)
#else
using FsUuid = struct fsuuid2;
#endif

Result<std::string> file_system_of(int fd) {
  struct statfs fs;
  if (::fstatfs(fd, &fs) != 0) return Error::from_errno(errno, "statfs");
  char text[80];
  std::snprintf(text, sizeof text, "%lx", static_cast<unsigned long>(fs.f_type));
  std::string name = text;
  // Its handles are numbers that the daemon gives out anew at each mount: a FID would come to mean
  // another object.
  constexpr unsigned long kFuse = 0x65735546;
  if (static_cast<unsigned long>(fs.f_type) == kFuse)
    return Error(Code::unsupported,
                 "a FUSE file system cannot be a source: its objects have no lasting identity. "
                 "Mirror the directory beneath it");
  FsUuid uuid{};
  if (::ioctl(fd, FS_IOC_GETFSUUID, &uuid) == 0) {
    const unsigned char* bytes = reinterpret_cast<const unsigned char*>(&uuid) + 1;
    for (int i = 0; i < 16; ++i) {
      std::snprintf(text, sizeof text, "%s%02x", i == 0 ? " " : "", bytes[i]);
      name += text;
    }
  }
  return name;
}

Error wrong_source(const std::string& dir, const std::string& was, const std::string& path) {
  return {Code::conflict,
          "state " + dir + " belongs to the source " + was + ", and what is now at " + path +
              " is not it (not mounted, or another file system?). Mount the source, or give another --state"};
}

// A new state is not begun among other people's files. What a start that was interrupted may have left
// is no obstacle.
Status check_unused(Env& env, const std::string& dir) {
  Result<std::vector<std::string>> names = env.list_dir(dir);
  if (names.is(Code::not_found)) return ok();
  TRY(names);
  for (const std::string& name : *names)
    if (name != "lock" && name != "targets" && name != "source.tmp")
      return Error(Code::conflict, "state " + dir +
                                       " is not a mirror's state: there is no file \"source\" in it, but \"" + name +
                                       "\"; give an empty directory or one that does not exist");
  return ok();
}

// A reel that was killed holds its lock until the kernel has closed all that it had open.
Result<std::unique_ptr<Lock>> lock_soon(Env& env, const std::string& path) {
  constexpr int kTries = 100;
  constexpr std::chrono::milliseconds kPause(10);
  for (int i = 1; i < kTries; ++i) {
    Result<std::unique_ptr<Lock>> lock = env.lock(path, false);
    if (!lock.is(Code::busy)) return lock;
    std::this_thread::sleep_for(kPause);
  }
  return env.lock(path, false);
}

}  // namespace

std::string default_state_base() {
  if (::geteuid() == 0) return "/var/lib/reel";
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state && *state) return std::string(state) + "/reel";
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "") + "/.local/state/reel";
}

std::string name_of_source(const std::string& path) {
  std::string name;
  for (char c : path) {
    bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_';
    if (plain)
      name += c;
    else if (!name.empty() && name.back() != '-')
      name += '-';
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name.empty() ? "root" : name;
}

Result<std::string> find_state(const std::string& state, const std::string& name) {
  if (!state.empty()) return state;
  std::string base = default_state_base();
  if (!name.empty()) return base + "/" + name;
  Result<std::vector<std::string>> names = Env::posix().list_dir(base);
  if (!names || names->empty())
    return Error(Code::not_found, "no state under " + base + "; give --state DIR or --name NAME");
  if (names->size() > 1) {
    std::string all;
    for (const std::string& each : *names) all += " " + each;
    return Error(Code::invalid, "several mirrors have their state under " + base + ":" + all + "; give --name");
  }
  return base + "/" + names->front();
}

Result<SourceIdentity> identify_source(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Error::from_errno(errno, "source " + path);
  SourceIdentity identity;
  Result<FidAndMount> root = fid_at(fd, "");
  Result<std::string> fs = file_system_of(fd);
  struct statx born {};
  int rc = ::statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &born);
  ::close(fd);
  if (!root)
    return std::move(root).error().with("source " + path +
                                        " (its file system must give file handles, as ext4, xfs, "
                                        "btrfs and tmpfs do)");
  TRY_ASSIGN(identity.file_system, std::move(fs));
  identity.root = root->fid;
  if (rc == 0 && (born.stx_mask & STATX_BTIME))
    identity.born = std::to_string(born.stx_btime.tv_sec) + "." + std::to_string(born.stx_btime.tv_nsec);
  return identity;
}

Result<std::unique_ptr<State>> State::open(const std::string& dir, const std::string& source_path,
                                           const SourceIdentity& identity, Open how) {
  Env& env = Env::posix();
  std::string file = dir + "/source";
  Result<std::string> text = read_file(env, file);
  bool is_new = text.is(Code::not_found);
  if (!text && !is_new) return std::move(text).error();
  if (is_new && how == Open::existing) return Error(Code::not_found, "there is no mirror's state in " + dir);
  if (is_new) {
    TRY(check_unused(env, dir));
    TRY(make_dirs(env, dir));
    ::chmod(dir.c_str(), 0700);  // names of all files of the source are in here
  } else {
    TRY(check(dir, *text, source_path, identity));
  }
  std::unique_ptr<State> state(new State(dir));
  Result<std::unique_ptr<Lock>> lock = lock_soon(env, dir + "/lock");
  if (lock.is(Code::busy)) return Error(Code::busy, "state " + dir + " is in use by another reel; stop that one first");
  TRY_ASSIGN(state->lock_, std::move(lock));
  if (!is_new && how == Open::existing) return state;
  if (is_new) TRY(make_dirs(env, dir + "/targets"));
  Lines lines{{"version", std::to_string(kStateVersion)},
              {"path", source_path},
              {"root", to_string(identity.root)},
              {"fs", identity.file_system},
              {"born", identity.born}};
  std::string wanted = format_lines(lines);
  if (is_new || parse_lines(*text)["version"] != lines["version"]) TRY(replace_file(env, dir, file, wanted));
  return state;
}

// Whether this state is one that we can read, of this source.
Status State::check(const std::string& dir, const std::string& text, const std::string& source_path,
                    const SourceIdentity& identity) {
  Lines lines = parse_lines(text);
  int version = std::atoi(lines["version"].c_str());
  if (version > kStateVersion)
    return Error(Code::newer, "state " + dir + " was written by a newer reel (version " + lines["version"] +
                                  "); use that one, or another --state");
  if (version < 1 || lines["root"].empty())
    return Error(Code::corrupt, "state " + dir +
                                    " is damaged: its file \"source\" cannot be read; move the directory "
                                    "away and start again with --adopt");
  bool same = lines["root"] == to_string(identity.root) && lines["fs"] == identity.file_system &&
              lines["born"] == identity.born;
  if (!same) return wrong_source(dir, lines["path"], source_path);
  return ok();
}

Result<TargetState> State::find_target(const std::string& path) {
  Env& env = Env::posix();
  TRY_ASSIGN(std::vector<std::string> ids, env.list_dir(dir_ + "/targets"));
  for (const std::string& id : ids) {
    Result<std::string> text = read_file(env, dir_ + "/targets/" + id + "/target");
    if (!text) continue;  // begun and never finished
    if (parse_lines(*text)["path"] == path) return TargetState{id, path};
  }
  return TargetState{"", path};
}

Result<TargetState> State::begin_target(const std::string& path) {
  TargetState target{random_id(), path};
  TRY(make_dirs(Env::posix(), target_dir(target)));
  return target;
}

Status State::finish_target(const TargetState& target) {
  return replace_file(Env::posix(), target_dir(target), target_dir(target) + "/target",
                      format_lines({{"path", target.path}}));
}

bool State::was_begun(const std::string& id) const {
  bool is_id = id.size() == kIdDigits && id.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!is_id) return false;
  Result<std::vector<std::string>> files = Env::posix().list_dir(target_dir({id, ""}));
  return files && std::find(files->begin(), files->end(), "target") == files->end();
}

Status State::mark_adopt(const TargetState& target) {
  return replace_file(Env::posix(), target_dir(target), adopt_mark(target), "");
}

Status State::mark_rescan(const TargetState& target) {
  return replace_file(Env::posix(), target_dir(target), rescan_mark(target), "");
}

}  // namespace reel::service

// SPDX-License-Identifier: Apache-2.0
//
// See recording_files.h.
#include "trace/recording/recording_files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "trace/collect/collector.h"

namespace reel::trace {
namespace {

constexpr const char* kNoteName = "recording";
constexpr const char* kReserveName = "reserve";
constexpr int64_t kReserveBytes = 512 << 10;

std::string note_path(const std::string& log) {
  return log + "/" + kNoteName;
}

}  // namespace

// Room in the log's file system that is given back when there is no other: for what was being written then, and for
// saying what is missing.
std::string reserve_path(const std::string& log) {
  return log + "/" + kReserveName;
}

Status make_reserve(const std::string& log) {
  std::string path = reserve_path(log);
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Error::from_errno(errno, "create " + path);
  int error = ::posix_fallocate(fd, 0, kReserveBytes);
  ::close(fd);
  if (error == 0) return ok();
  ::unlink(path.c_str());
  return Error::from_errno(error,
                           "keep " + std::to_string(kReserveBytes) + " bytes free for the end of the trace in " + log);
}

// Where rings live: in memory when it can be had, for a ring must not make the disk busy that is
// being measured. They go away with the recording. What must not reach the disk in clear never goes to the log's.
Result<std::string> make_ring_dir(const std::string& log, uint64_t limit, bool only_memory) {
  Status made = ok();
  for (const std::string& base : {std::string("/dev/shm"), log}) {
    if (only_memory && base == log) break;
    std::string pattern = base + "/reel-rings.XXXXXX";
    if (!::mkdtemp(pattern.data())) {
      made = Error::from_errno(errno, "make a directory for rings in " + base);
      continue;
    }
    std::string dir = std::filesystem::absolute(pattern).string();
    made = make_control(dir, limit);
    if (made) return dir;
    std::error_code ignored;
    std::filesystem::remove_all(dir, ignored);
  }
  if (only_memory)
    return std::move(made).error().with(
        "rings have names in clear and must not reach a disk; --via bpf and --via ptrace need none");
  return std::move(made).error();
}

void forget_reserve(Env& env, const std::string& log) {
  ignore(env.unlink(reserve_path(log)), "it is only room, and may not be there");
}

void forget_rings(Env& env, const std::string& log, const std::string& rings) {
  std::error_code ignored;
  std::filesystem::remove_all(rings, ignored);
  ignore(env.unlink(note_path(log)), "without it nothing is wrong, and there may be none");
}

Status write_note(Env& env, const std::string& log, const Note& note) {
  std::ostringstream text;
  text << "reel-recording 1\nrings " << note.rings << "\nahead " << note.ahead << "\npid " << note.pid << "\nstarted "
       << note.started << "\nanonymous " << (note.anonymous ? 1 : 0) << "\n";
  return replace_file(env, log, note_path(log), text.str());
}

Result<Note> read_note(Env& env, const std::string& log) {
  TRY_ASSIGN(std::string text, read_file(env, note_path(log)));
  std::istringstream in(text);
  std::string magic, key;
  int version = 0;
  in >> magic >> version;
  Note note;
  while (in >> key) {
    if (key == "rings") in >> note.rings;
    if (key == "ahead") in >> note.ahead;
    if (key == "pid") in >> note.pid;
    if (key == "started") in >> note.started;
    if (key == "anonymous") in >> note.anonymous;
  }
  if (magic != "reel-recording" || version != 1 || note.rings.empty())
    return Error(Code::corrupt, note_path(log) + " is not a note of a recording");
  return note;
}

std::optional<ProcessStat> process_stat(int32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  // The name of the program is in parentheses and may hold anything; behind the last one are the state, the third
  // field, and the start, the 22nd (proc(5)).
  size_t end = text.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(end + 1));
  std::string state, skipped;
  fields >> state;
  for (int i = 4; i < 22; ++i) fields >> skipped;
  ProcessStat stat{state == "Z" || state == "X", 0};
  if (!(fields >> stat.started)) return std::nullopt;
  return stat;
}

bool goes_on(const Note& note) {
  if (::kill(note.pid, 0) != 0 && errno == ESRCH) return false;
  std::optional<ProcessStat> stat = process_stat(note.pid);
  if (!stat) return true;
  return !stat->ended && (note.started == 0 || note.started == stat->started);
}

}  // namespace reel::trace

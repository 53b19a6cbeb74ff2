// SPDX-License-Identifier: Apache-2.0
//
// One recording from its start to its end, whichever recorder is used; and what is left of one that
// was killed.
#include "trace/recording.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "trace/bpf/bpf_recorder.h"
#include "trace/collect/collector.h"
#include "trace/command.h"
#include "trace/ptrace/tracer.h"

namespace reel::trace {
namespace {

constexpr int kPollMs = 5;
constexpr uint64_t kGrace_ns = 1'000'000'000;  // for processes that outlive the command
constexpr const char* kNoteName = "recording";

constexpr const char* kPreloadBlind =
    "programs that are static or run with other rights, system calls not made through libc's functions, what libc does "
    "inside its own functions (stdio's reads and writes are seen, how much readdir read is not), stores through mmap, "
    "what io_uring does";

constexpr const char* kPtraceBlind = "stores through mmap, what io_uring does behind its submission";

constexpr const char* kBpfBlind = "stores through mmap";

std::string note_path(const std::string& log) {
  return log + "/" + kNoteName;
}

constexpr const char* kReserveName = "reserve";
constexpr int64_t kReserveBytes = 512 << 10;

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
// being measured. They go away with the recording.
Result<std::string> make_ring_dir(const std::string& log, uint64_t limit) {
  Status made = ok();
  for (const std::string& base : {std::string("/dev/shm"), log}) {
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
  return std::move(made).error();
}

struct Clocks {
  uint64_t monotonic = 0, realtime = 0;
};

Clocks read_clocks(Env& env) {
  Clocks clocks;
  uint64_t before = monotonic_now();
  clocks.realtime = env.realtime_ns();
  clocks.monotonic = before + (monotonic_now() - before) / 2;
  return clocks;
}

Status write_clock(Writer& writer, const char* key, const Clocks& clocks) {
  return writer.fact(key, std::to_string(clocks.monotonic) + " " + std::to_string(clocks.realtime));
}

Status write_start(Writer& writer, const RecordOptions& options, const std::string& recorder, const Clocks& clocks) {
  struct utsname names;
  ::uname(&names);
  mode_t mask = ::umask(0);
  ::umask(mask);
  char octal[16];
  ::snprintf(octal, sizeof octal, "%04o", static_cast<unsigned>(mask));
  TRY(writer.fact("format", "1"));
  TRY(writer.fact("recorder", recorder));
  TRY(writer.fact("command", shell_quoted(options.command)));
  TRY(writer.fact("cwd", std::filesystem::current_path().string()));
  TRY(writer.fact("umask", octal));
  TRY(writer.fact("host", names.nodename));
  TRY(writer.fact("kernel", std::string(names.sysname) + " " + names.release));
  TRY(writer.fact("start", std::to_string(clocks.realtime)));
  if (options.filter.active()) TRY(writer.fact("filter", options.filter.text()));
  TRY(write_clock(writer, "clock.0", clocks));
  return writer.flush();  // whatever happens to reel now, this is known
}

Status write_end(Env& env, Writer& writer, int exit_code) {
  Clocks clocks = read_clocks(env);
  TRY(write_clock(writer, "clock.1", clocks));
  TRY(writer.fact("exit", std::to_string(exit_code)));
  TRY(writer.fact("end", std::to_string(clocks.realtime)));
  return writer.commit();
}

// What reel itself was given, and hands on to the command.
void inherit_files(Assembler& assembler) {
  for (int fd = 0; fd < 3; ++fd) {
    struct stat s;
    if (::fstat(fd, &s) != 0) continue;
    auto file = std::make_shared<OpenFile>();
    char path[4096];
    ssize_t size = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
    if (size > 0 && path[0] == '/') file->path.assign(path, static_cast<size_t>(size));
    off_t at = ::lseek(fd, 0, SEEK_CUR);
    file->seekable = S_ISREG(s.st_mode) && at >= 0;
    if (file->seekable) file->position = static_cast<uint64_t>(at);
    file->append = (::fcntl(fd, F_GETFL) & O_APPEND) != 0;
    assembler.inherit(fd, file);
  }
}

Status write_note(Env& env, const std::string& log, const std::string& rings, const Clocks& clocks) {
  std::ostringstream text;
  text << "reel-recording 1\nrings " << rings << "\nahead " << clocks.realtime - clocks.monotonic << "\npid "
       << ::getpid() << "\n";
  return replace_file(env, log, note_path(log), text.str());
}

// The log could not be written from some moment on; there is room again.
Status tell_missing(Env& env, Writer& writer, const Error& why) {
  return writer.loss(
      {env.realtime_ns(), 0, 0, "the trace could not be written (" + why.text() + "); calls are missing from then on"});
}

Result<Recorded> summary(Env& env, const std::string& log, uint64_t events, int exit_code) {
  Recorded recorded;
  recorded.exit_code = exit_code;
  recorded.events = events;
  TRY_ASSIGN(std::unique_ptr<Reader> reader, Reader::open(env, log));
  Trace facts;
  Item item;
  for (;;) {
    TRY_ASSIGN(bool more, reader->next(item));
    if (!more) break;
    if (item.loss) facts.losses.push_back(*item.loss);
  }
  facts.facts = reader->trace().facts;
  recorded.incomplete = facts.incomplete();
  return recorded;
}

void forget_rings(Env& env, const std::string& log, const std::string& rings) {
  std::error_code ignored;
  std::filesystem::remove_all(rings, ignored);
  ignore(env.unlink(note_path(log)), "without it nothing is wrong, and there may be none");
}

// Until the command has ended, and what it left behind has, or has had its time.
Status follow(Command& command, Collector& collector, Writer& writer, Assembler& assembler) {
  for (;;) {
    TRY_ASSIGN(bool ended, command.wait(kPollMs));
    if (ended) break;
    TRY(collector.collect(false));
  }
  uint64_t until = monotonic_now() + kGrace_ns;
  int32_t pid = 0;
  TRY(collector.collect(false));
  while (collector.anybody_left(pid) && monotonic_now() < until) {
    TRY(command.wait(kPollMs));
    TRY(collector.collect(false));
  }
  if (collector.anybody_left(pid)) {
    collector.control().stopped = 1;
    TRY(writer.loss({assembler.in_real_time(monotonic_now()), 0, 0,
                     "a process that the command left behind (pid " + std::to_string(pid) + ") went on"}));
  }
  TRY(collector.collect(true));
  return assembler.finish();
}

// What all recorders need.
struct Session {
  Session(Env& environment, const RecordOptions& wanted, std::unique_ptr<Writer> to, const Clocks& now)
      : env(environment),
        options(wanted),
        writer(std::move(to)),
        clocks(now),
        assembler(*writer, surroundings, wanted.filter, now.realtime - now.monotonic) {
    inherit_files(assembler);
  }
  Env& env;
  const RecordOptions& options;
  std::unique_ptr<Writer> writer;
  Clocks clocks;
  LiveSurroundings surroundings;
  Assembler assembler;
};

Result<Ran> run_preload(Session& session) {
  const RecordOptions& options = session.options;
  if (::access(options.preload_library.c_str(), R_OK) != 0)
    return Error::from_errno(errno, "the recorder's library " + options.preload_library);
  TRY(session.writer->fact("blind", kPreloadBlind));
  TRY_ASSIGN(std::string rings, make_ring_dir(options.log, options.ring_limit));
  TRY(write_note(session.env, options.log, rings, session.clocks));
  TRY_ASSIGN(std::unique_ptr<Collector> collector, Collector::open(rings, session.assembler, *session.writer));
  const char* preload = ::getenv("LD_PRELOAD");
  std::string list = options.preload_library + (preload && *preload ? std::string(":") + preload : "");
  Command command;
  const char* asan = ::getenv("ASAN_OPTIONS");
  std::string order = std::string("ASAN_OPTIONS=") + wire::kAsanOrder + (asan && *asan ? std::string(":") + asan : "");
  Status started =
      command.start(options.command, {std::string(wire::kEnvDir) + "=" + rings, "LD_PRELOAD=" + list, order});
  if (!started) {
    forget_rings(session.env, options.log, rings);
    return std::move(started).error();
  }
  session.assembler.begin(command.pid(), std::filesystem::current_path().string());
  Status recorded = follow(command, *collector, *session.writer, session.assembler);
  if (!recorded) {
    collector->control().stopped = 1;
    TRY(command.let_it_end());
  }
  forget_rings(session.env, options.log, rings);
  if (session.assembler.thread_count() == 0 && recorded)
    recorded =
        session.writer->loss({session.clocks.realtime, 0, 0,
                              options.command[0] + " does not load the recorder (static, or with other rights)"});
  return Ran{command.exit_code(), std::move(recorded)};
}

Result<Ran> run_ptrace(Session& session) {
  TRY(session.writer->fact("blind", kPtraceBlind));
  Tracer tracer(session.assembler);
  TRY_ASSIGN(Ran ran, tracer.run(session.options.command));
  if (ran.recorded) ran.recorded = tracer.own_times().write(*session.writer);
  if (ran.recorded && tracer.saw_other_machine())
    ran.recorded = session.writer->loss(
        {session.clocks.realtime, 0, 0, "calls of a program for another machine (32 bit) were not recorded"});
  return ran;
}

Result<Ran> run_with_bpf(Session& session) {
  TRY(session.writer->fact("blind", kBpfBlind));
  return run_bpf(session.assembler, *session.writer, session.options.command);
}

Result<Ran> run_via(Via via, Session& session) {
  if (via == Via::bpf) return run_with_bpf(session);
  if (via == Via::ptrace) return run_ptrace(session);
  return run_preload(session);
}

const char* name_of(Via via) {
  switch (via) {
    case Via::bpf:
      return "bpf";
    case Via::ptrace:
      return "ptrace";
    case Via::preload:
    case Via::automatic:
      break;
  }
  return "preload";
}

// A program that does not load libraries cannot be recorded by one.
bool is_static(const std::string& program) {
  std::ifstream file(program, std::ios::binary);
  Elf64_Ehdr header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  if (!file || std::string_view(reinterpret_cast<char*>(header.e_ident), 4) != "\177ELF") return false;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part{};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof part));
    file.read(reinterpret_cast<char*>(&part), sizeof part);
    if (!file) return false;
    if (part.p_type == PT_INTERP) return false;
  }
  return true;
}

Via best_for(const std::string& program) {
  if (bpf_possible()) return Via::bpf;
  return is_static(program) ? Via::ptrace : Via::preload;
}

struct Note {
  std::string rings;
  uint64_t ahead = 0;
  pid_t pid = 0;
};

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
  }
  if (magic != "reel-recording" || version != 1 || note.rings.empty())
    return Error(Code::corrupt, note_path(log) + " is not a note of a recording");
  return note;
}

}  // namespace

Result<Recorded> record(Env& env, const RecordOptions& options) {
  if (is_trace(env, options.log))
    return Error(Code::exists, options.log + " holds a trace already; name another directory with -o");
  if (find_program(options.command[0]).empty())
    return Error(Code::not_found, options.command[0] + ": not found in PATH");
  Via via = options.via == Via::automatic ? best_for(find_program(options.command[0])) : options.via;
  TRY(make_dirs(env, options.log));
  TRY_ASSIGN(std::unique_ptr<Writer> writer, Writer::open(env, options.log));
  Session session(env, options, std::move(writer), read_clocks(env));
  TRY(make_reserve(options.log));
  TRY(write_start(*session.writer, options, name_of(via), session.clocks));
  Result<Ran> ran = run_via(via, session);
  ignore(env.unlink(reserve_path(options.log)), "it is only room, and may not be there");
  if (!ran) return std::move(ran).error();
  if (!ran->recorded) TRY(tell_missing(env, *session.writer, ran->recorded.error()));
  TRY(write_end(env, *session.writer, ran->exit_code));
  uint64_t events = session.writer->events();
  session.writer.reset();
  return summary(env, options.log, events, ran->exit_code);
}

Result<Recorded> recover(Env& env, const std::string& log) {
  Result<Note> note = read_note(env, log);
  if (note.is(Code::not_found))
    return Error(Code::not_found, log + ": no recording was cut off here; there is nothing to recover");
  if (!note) return std::move(note).error();
  if (::kill(note->pid, 0) == 0)
    return Error(Code::busy, "the recording into " + log + " goes on (pid " + std::to_string(note->pid) + ")");
  TRY_ASSIGN(std::unique_ptr<Writer> writer, Writer::open(env, log));
  LiveSurroundings surroundings;
  Assembler assembler(*writer, surroundings, Filter{}, note->ahead);
  TRY_ASSIGN(Trace before, load(env, log));
  assembler.resume(before);
  TRY_ASSIGN(std::unique_ptr<Collector> collector, Collector::open(note->rings, assembler, *writer));
  collector->control().stopped = 1;
  TRY(collector->collect(false));
  TRY(collector->collect(true));
  TRY(assembler.finish());
  TRY(writer->loss({env.realtime_ns(), 0, 0, "reel was ended while it recorded; the rings were recovered"}));
  TRY(writer->commit());
  forget_rings(env, log, note->rings);
  ignore(env.unlink(reserve_path(log)), "it is only room, and may not be there");
  uint64_t events = writer->events();
  writer.reset();
  return summary(env, log, events, 0);
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// One recording from its start to its end, whichever recorder is used; and what is left of one that
// was killed.
#include "trace/recording/recording.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "trace/bpf/bpf_recorder.h"
#include "trace/collect/collector.h"
#include "trace/ptrace/tracer.h"
#include "trace/recording/command.h"
#include "trace/recording/recording_files.h"

namespace reel::trace {
namespace {

constexpr int kPollMs = 5;
constexpr uint64_t kGrace_ns = 1'000'000'000;  // for processes that outlive the command
constexpr const char* kPreloadBlind =
    "programs that are static or run with other rights, system calls not made through libc, what libc does "
    "inside its own functions (stdio's reads and writes are seen, how much readdir read is not), stores through mmap, "
    "what io_uring does";

constexpr const char* kMpiBlind = ", what a signal handler does within a call of MPI";

constexpr const char* kPtraceBlind = "stores through mmap, what io_uring does behind its submission";

constexpr const char* kBpfBlind = "stores through mmap";

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
  cpu_set_t processors;
  if (::sched_getaffinity(0, sizeof processors, &processors) == 0)
    TRY(writer.fact("cpus", std::to_string(CPU_COUNT(&processors))));
  TRY(writer.fact("start", std::to_string(clocks.realtime)));
  if (options.anonymize) TRY(mark_anonymous(writer, options.anonymize->policy));
  if (options.filter.active()) TRY(writer.fact("filter", options.filter.text()));
  if (options.filter.counters) TRY(writer.fact("counters", "only"));
  if (options.filter.one_in > 1) TRY(writer.fact("sample", std::to_string(options.filter.one_in)));
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

// The log could not be written from some moment on; there is room again.
Status tell_missing(Env& env, Writer& writer, const Error& why) {
  return writer.loss(
      {env.realtime_ns(), 0, 0, "the trace could not be written (" + why.text() + "); calls are missing from then on"});
}

// What a finished log says of itself.
Recorded summary(const Writer& writer, int exit_code) {
  Recorded recorded;
  recorded.exit_code = exit_code;
  recorded.events = writer.events();
  for (const Count& count : writer.told().counts) recorded.counted += count.calls;
  recorded.incomplete = writer.told().incomplete();
  return recorded;
}

// Until the command has ended, and what it left behind has, or has had its time.
Status follow(Command& command, Collector& collector, Writer& writer, Assembler& assembler,
              const std::optional<Probes>& throttle) {
  std::optional<Prober> prober;
  if (throttle) prober.emplace(*throttle);
  for (;;) {
    TRY_ASSIGN(bool ended, command.wait(kPollMs));
    if (ended) break;
    TRY(collector.collect(false));
    if (prober) prober->step(collector.control(), collector.live(), monotonic_now());
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

// What is wrong when nobody came.
std::string nobody_came(const RecordOptions& options) {
  if (options.ranks_only)
    return options.command[0] +
           " started no rank that loads the recorder: it has to hand LD_PRELOAD, REEL_RECORD_DIR and a rank's number "
           "on, on this machine; else let it start `reel record` for each rank";
  return options.command[0] + " does not load the recorder (static, or with other rights)";
}

Result<std::string> libraries(const RecordOptions& options) {
  std::string list = options.preload_library;
  if (!options.mpi_library.empty()) list += ":" + options.mpi_library;
  for (const std::string& library : {options.preload_library, options.mpi_library})
    if (!library.empty() && ::access(library.c_str(), R_OK) != 0)
      return Error::from_errno(errno, "the recorder's library " + library);
  const char* preload = ::getenv("LD_PRELOAD");
  return list + (preload && *preload ? std::string(":") + preload : "");
}

Result<Ran> run_preload(Session& session) {
  const RecordOptions& options = session.options;
  TRY_ASSIGN(std::string list, libraries(options));
  TRY(session.writer->fact("blind", std::string(kPreloadBlind) + (options.mpi_library.empty() ? "" : kMpiBlind)));
  TRY_ASSIGN(std::string rings, make_ring_dir(options.log, options.ring_limit, options.anonymize || options.key));
  uint64_t ahead = session.clocks.realtime - session.clocks.monotonic;
  uint64_t our_start = process_stat(::getpid()).value_or(ProcessStat{}).started;
  TRY(write_note(session.env, options.log, {rings, ahead, ::getpid(), our_start, options.anonymize.has_value()}));
  TRY_ASSIGN(std::unique_ptr<Collector> collector, Collector::open(rings, session.assembler, *session.writer));
  collector->control().ranks_only = options.ranks_only ? 1 : 0;
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
  Status recorded = follow(command, *collector, *session.writer, session.assembler, options.throttle);
  if (!recorded) {
    collector->control().stopped = 1;
    TRY(command.let_it_end());
  }
  forget_rings(session.env, options.log, rings);
  if (session.assembler.thread_count() == 0 && recorded)
    recorded = session.writer->loss({session.clocks.realtime, 0, 0, nobody_came(options)});
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

Result<Recorded> end_recovery(Env& env, const std::string& log, Writer& writer, const std::string& rings) {
  TRY(writer.commit());
  forget_rings(env, log, rings);
  forget_reserve(env, log);
  return summary(writer, 0);
}

}  // namespace

Result<Recorded> record(Env& env, const RecordOptions& options) {
  if (is_trace(env, options.log))
    return Error(Code::exists, options.log + " holds a trace already; name another directory with -o");
  if (find_program(options.command[0]).empty())
    return Error(Code::not_found, options.command[0] + ": not found in PATH");
  Via via = options.via == Via::automatic ? best_for(find_program(options.command[0])) : options.via;
  TRY(make_dirs(env, options.log));
  const LogKey* key = options.key ? &*options.key : nullptr;
  TRY_ASSIGN(std::unique_ptr<Writer> writer, Writer::open(env, options.log, key));
  if (options.anonymize) writer = anonymous_writer(std::move(writer), *options.anonymize);
  Session session(env, options, std::move(writer), read_clocks(env));
  TRY(make_reserve(options.log));
  TRY(write_start(*session.writer, options, name_of(via), session.clocks));
  Result<Ran> ran = run_via(via, session);
  forget_reserve(env, options.log);
  if (!ran) return std::move(ran).error();
  if (!ran->recorded) TRY(tell_missing(env, *session.writer, ran->recorded.error()));
  TRY(write_end(env, *session.writer, ran->exit_code));
  return summary(*session.writer, ran->exit_code);
}

Result<Recorded> recover(Env& env, const std::string& log, const LogKey* key) {
  Result<Note> note = read_note(env, log);
  if (note.is(Code::not_found))
    return Error(Code::not_found, log + ": no recording was cut off here; there is nothing to recover");
  if (!note) return std::move(note).error();
  if (goes_on(*note))
    return Error(Code::busy, "the recording into " + log + " goes on (pid " + std::to_string(note->pid) + ")");
  TRY_ASSIGN(std::unique_ptr<Writer> writer, Writer::open(env, log, key));
  if (note->anonymous) {
    // Which clear name belongs to which word of the log is gone with reel's memory.
    TRY(writer->loss(
        {env.realtime_ns(), 0, 0, "reel was ended while it recorded; the rings had names in clear, and were removed"}));
    return end_recovery(env, log, *writer, note->rings);
  }
  LiveSurroundings surroundings;
  Assembler assembler(*writer, surroundings, Filter{}, note->ahead);
  TRY_ASSIGN(Trace before, load(env, log, key));
  assembler.resume(before);
  TRY_ASSIGN(std::unique_ptr<Collector> collector, Collector::open(note->rings, assembler, *writer));
  collector->control().stopped = 1;
  TRY(collector->collect(false));
  TRY(collector->collect(true));
  TRY(assembler.finish());
  TRY(writer->loss({env.realtime_ns(), 0, 0, "reel was ended while it recorded; the rings were recovered"}));
  return end_recovery(env, log, *writer, note->rings);
}

}  // namespace reel::trace

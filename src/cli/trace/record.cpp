// SPDX-License-Identifier: Apache-2.0
//
// The verb record.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "base/env.h"
#include "cli/cli.h"
#include "cli/common/key_option.h"
#include "cli/trace/anonymize_options.h"
#include "report/explained.h"
#include "trace/recording/recording.h"
#include "trace/throttle/findings.h"
#include "trace/throttle/plan.h"
#include "trace/wire.h"

namespace reel::cli {
namespace {

constexpr double kEnough = 0.95;  // of what holds cost, explained

struct Options {
  trace::RecordOptions record;
  std::string mask;
  std::string via = "auto";
  AnonymizeChoice names;
  std::string key_file;
  std::string throttle;  // the log of the run that was not throttled
  uint32_t throttle_only = 0;
  bool anonymize = false;
  bool recover = false;
  bool quiet = false;
  bool mpi = false;
  std::string mpi_library;  // empty: the one that was built with reel
};

// Beside reel itself, or where `install` puts it.
std::string library(const std::string& name) {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : {"", "../lib/reel/"}) {
    std::filesystem::path file = (self / (place + name)).lexically_normal();
    if (::access(file.c_str(), R_OK) == 0) return file.string();
  }
  return (self / name).string();
}

// What a launcher of ranks tells each of them.
struct Rank {
  uint64_t number = 0, count = 0;  // count 0: not told
};
std::optional<Rank> own_rank() {
  auto number_of = [](const char* name) -> std::optional<uint64_t> {
    const char* text = ::getenv(name);
    if (!text || *text == '\0') return std::nullopt;
    char* end = nullptr;
    uint64_t value = std::strtoull(text, &end, 10);
    if (*end != '\0') return std::nullopt;
    return value;
  };
  constexpr const char* kCounts[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"};
  for (const char* name : trace::wire::kRankVariables) {
    std::optional<uint64_t> number = number_of(name);
    if (!number) continue;
    Rank rank{*number, 0};
    for (const char* count : kCounts)
      if (rank.count == 0) rank.count = number_of(count).value_or(0);
    return rank;
  }
  return std::nullopt;
}

// Each rank's log has its number behind the name, as wide as the largest.
std::string log_of_rank(const std::string& log, const Rank& rank) {
  size_t width = std::to_string(rank.count > 0 ? rank.count - 1 : 0).size();
  std::string number = std::to_string(rank.number);
  return log + "." + std::string(width > number.size() ? width - number.size() : 0, '0') + number;
}

// A parallel program: started by the command, or reel is what was started for one rank of it.
Status choose_ranks(Options& options) {
  trace::RecordOptions& record = options.record;
  std::optional<Rank> rank = own_rank();
  if (!options.mpi && !rank) {
    if (options.mpi_library.empty()) return ok();
    return Error(Code::invalid, "record --mpi-library goes with --mpi");
  }
  bool other = record.via != trace::Via::automatic && record.via != trace::Via::preload;
  if (other && !options.mpi) {
    record.log = log_of_rank(record.log, *rank);
    return ok();
  }
  if (other) return Error(Code::invalid, "record --mpi: only --via preload sees messages of MPI");
  std::error_code error;
  bool own = options.mpi_library.empty();
  std::string mpi =
      own ? library(trace::wire::kMpiLibrary) : std::filesystem::absolute(options.mpi_library, error).string();
  if (::access(mpi.c_str(), R_OK) != 0) {
    if (!own) return Error::from_errno(errno, "record --mpi-library: " + options.mpi_library);
    if (options.mpi)
      return Error(Code::unsupported,
                   "record --mpi: there is no " + mpi + "; it is built where CMake finds MPI (Debian: libopenmpi-dev)");
    std::fprintf(stderr, "reel: messages of MPI are not recorded: there is no %s\n", mpi.c_str());
    mpi = "";
  }
  // The recorder knows it by its name in the programs that a rank starts.
  if (!own && std::filesystem::path(mpi).filename() != trace::wire::kMpiLibrary)
    return Error(Code::invalid, "record --mpi-library: a file named " + std::string(trace::wire::kMpiLibrary) +
                                    " is expected, not " + options.mpi_library);
  if (!mpi.empty()) record.via = trace::Via::preload;
  record.mpi_library = mpi;
  record.ranks_only = !rank;
  if (rank) record.log = log_of_rank(record.log, *rank);
  return ok();
}

std::string default_log(const std::string& command) {
  std::string name = std::filesystem::path(command).filename().string();
  return name + ".trace";
}

void tell(const trace::Recorded& recorded, const std::string& log) {
  std::string counted = recorded.counted == 0 ? "" : " and " + std::to_string(recorded.counted) + " more counted";
  std::fprintf(stderr, "reel: %llu calls recorded%s in %s\n", static_cast<unsigned long long>(recorded.events),
               counted.c_str(), log.c_str());
  for (const std::string& reason : recorded.incomplete) std::fprintf(stderr, "reel: incomplete: %s\n", reason.c_str());
}

// What becomes of names, when anything does.
Status choose_names(Options& options) {
  bool any = options.anonymize || !options.names.policy.empty();
  if (!any && !(options.names.key_file.empty() && !options.names.keep_extensions))
    return Error(Code::invalid, "--anonymize-key and --keep-extensions go with --anonymize or --policy");
  if (!any) return ok();
  TRY_ASSIGN(trace::AnonymizeOptions how,
             options_of(options.names, options.anonymize ? trace::Policy::nobody() : trace::Policy()));
  options.record.anonymize = std::move(how);
  return ok();
}

std::string fact_of(const trace::Trace& trace, const std::string& key) {
  auto fact = trace.facts.find(key);
  return fact == trace.facts.end() ? "" : fact->second;
}

// LOG.throttled, LOG.throttled.2 and so on: the next, and those that there are.
std::string throttled_log(const std::string& log, std::vector<std::string>* earlier) {
  std::string name = log + ".throttled";
  std::error_code none;
  for (int number = 2; std::filesystem::exists(name, none); ++number) {
    earlier->push_back(name);
    name = log + ".throttled." + std::to_string(number);
  }
  return name;
}

// Gives back the trace.
Result<trace::Trace> add_throttled(trace::Discovery& discovery, const trace::Trace& plain, const Options& options,
                                   const std::string& log) {
  TRY_ASSIGN(trace::Trace throttled, trace::load(Env::posix(), log, pointer_to(options.record.key)));
  if (std::string was = fact_of(plain, "exit"), is = fact_of(throttled, "exit"); was != is)
    return Error(Code::invalid, log + ": the exit code was " + was + ", and is " + is);
  if (Status same = discovery.add(throttled); !same)
    return Error(Code::invalid, log + ": the program did not do the same again: " + same.error().text());
  return throttled;
}

Status tell_explained(const trace::Trace& plain, trace::Trace throttled, const trace::Findings& findings) {
  TRY_ASSIGN(double share, report::explained(plain, std::move(throttled), findings.series));
  const char* next = share >= kEnough                   ? "no other run is needed"
                     : findings.asked < findings.places ? "the same command again asks more"
                                                        : "what else it waits for does not repeat, or is not found so";
  std::fprintf(
      stderr,
      "reel: of the time for which threads stopped while others were held, what is known explains %.0f %%: %s\n",
      share * 100, next);
  return ok();
}

// The program runs once more; what it waits for goes into the log of the first run.
Result<int> run_throttled(Options& options) {
  Env& env = Env::posix();
  trace::RecordOptions& record = options.record;
  TRY_ASSIGN(trace::Trace plain, trace::load(env, options.throttle, pointer_to(record.key)));
  if (std::string via = fact_of(plain, "recorder"); via != "preload")
    return Error(Code::invalid, options.throttle + " was recorded by " + via +
                                    ", and only preload can hold threads up: " + "record it again with --via preload");
  std::vector<std::string> earlier;
  std::string next = throttled_log(options.throttle, &earlier);
  if (record.log.empty()) record.log = next;
  trace::Discovery discovery(plain);
  for (const std::string& log : earlier)
    if (auto added = add_throttled(discovery, plain, options, log); !added)
      std::fprintf(stderr, "reel: left out: %s\n", added.error().text().c_str());
  TRY_ASSIGN(record.throttle, trace::plan_probes(plain, discovery.findings().holds));
  record.throttle->only = options.throttle_only;
  TRY_ASSIGN(trace::Recorded recorded, trace::record(env, record));
  if (!options.quiet) tell(recorded, record.log);
  Result<trace::Trace> throttled = add_throttled(discovery, plain, options, record.log);
  if (!throttled) {
    std::fprintf(stderr, "reel: throttling shows nothing: %s\n", throttled.error().text().c_str());
    return recorded.exit_code != 0 ? recorded.exit_code : kDifferent;
  }
  trace::Findings findings = discovery.findings();
  TRY_ASSIGN(std::unique_ptr<trace::Writer> writer, trace::Writer::open(env, options.throttle, pointer_to(record.key)));
  TRY(trace::write_series(*writer, findings.series));
  if (options.quiet) return recorded.exit_code;
  std::fprintf(stderr,
               "reel: %zu holds of %.0f ms, at %zu of %zu places in loops; %zu kinds of waiting found, now in %s\n",
               findings.holds, static_cast<double>(record.throttle->hold_ns) / 1e6, findings.asked, findings.places,
               findings.series.size(), options.throttle.c_str());
  TRY(tell_explained(plain, *std::move(throttled), findings));
  return recorded.exit_code;
}

Result<int> run_record(Options& options) {
  Env& env = Env::posix();
  trace::RecordOptions& record = options.record;
  TRY_ASSIGN(record.key, key_of(options.key_file));
  if (options.recover) {
    if (record.log.empty()) return Error(Code::invalid, "record --recover: name the log with -o");
    TRY_ASSIGN(trace::Recorded recorded, trace::recover(env, record.log, pointer_to(record.key)));
    tell(recorded, record.log);
    return kOk;
  }
  if (record.command.empty()) return Error(Code::invalid, "record: no command; reel record -o LOG -- CMD ARGS");
  if (record.log.empty() && options.throttle.empty()) record.log = default_log(record.command[0]);
  if (!options.mask.empty()) {
    TRY_ASSIGN(record.filter.types, parse_mask(options.mask, kMaskAll));
  }
  static const std::map<std::string, trace::Via> kVia = {{"auto", trace::Via::automatic},
                                                         {"bpf", trace::Via::bpf},
                                                         {"preload", trace::Via::preload},
                                                         {"ptrace", trace::Via::ptrace}};
  record.via = kVia.at(options.via);
  record.preload_library = library("libreel-record.so");
  TRY(choose_ranks(options));
  TRY(choose_names(options));
  if (!options.throttle.empty()) {
    if (record.via == trace::Via::automatic) record.via = trace::Via::preload;
    if (record.via != trace::Via::preload)
      return Error(Code::invalid, "record --throttle: only --via preload can hold threads up");
    return run_throttled(options);
  }
  TRY_ASSIGN(trace::Recorded recorded, trace::record(env, record));
  if (!options.quiet) tell(recorded, record.log);
  return recorded.exit_code;
}

}  // namespace

void define_record(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  trace::RecordOptions& record = options->record;
  CLI::App* verb =
      app.add_subcommand("record", "record the I/O of a command and of all it starts; the exit code is the command's");
  verb->add_option("CMD", record.command, "the command and its arguments, after --")->type_name("ARG");
  verb->add_option("-o,--output", record.log, "directory of the log (default: ./COMMAND.trace)");
  verb->add_option("--via", options->via, "recorder (default: the best that can be had)")
      ->check(CLI::IsMember({"auto", "bpf", "preload", "ptrace"}));
  verb->add_option("--path", record.filter.include,
                   "only files whose absolute path matches this pattern ('*' also matches '/')");
  verb->add_option("--not-path", record.filter.exclude, "no files whose path matches");
  verb->add_option("--mask", options->mask, "only these types of calls: READ,WRITE or -STAT ...");
  verb->add_option("--user", record.filter.users, "only processes of this user id");
  verb->add_option("--program", record.filter.programs, "only programs whose name matches");
  verb->add_option("--min-size", record.filter.min_bytes, "only reads and writes of at least so many bytes");
  CLI::Option* throttle = verb->add_option(
      "--throttle", options->throttle,
      "run CMD once more as it ran when LOG was recorded, hold its threads up in turn, and put who waits for whom into "
      "LOG");
  throttle->type_name("LOG");
  verb->add_option("--throttle-only", options->throttle_only,
                   "hold up only this thread of LOG (as report numbers them)")
      ->needs(throttle)
      ->check(CLI::PositiveNumber);
  CLI::Option* counters =
      verb->add_flag("--counters", record.filter.counters, "count calls by file and operation, and keep none")
          ->excludes(throttle);
  verb->add_option("--sample", record.filter.one_in,
                   "keep one in N reads, writes, syncs and questions of each thread and file, count the others")
      ->check(CLI::Range(1u, 1u << 30))
      ->excludes(counters)
      ->excludes(throttle);
  verb->add_option(
      "--ring-limit", record.ring_limit,
      "bytes that rings may have which are not collected yet (default 1 GiB); beyond, calls are lost and counted");
  verb->add_flag("--anonymize", options->anonymize, "the log names nobody, from its first byte on")->excludes(throttle);
  add_anonymize_options(*verb, options->names, "--anonymize-key");
  add_key_option(*verb, options->key_file);
  verb->add_flag("--recover", options->recover, "put what a killed recording has left into the log -o");
  verb->add_flag("--mpi", options->mpi,
                 "a parallel program: CMD is mpirun or the like, and what its ranks do is recorded, messages too");
  verb->add_option(
      "--mpi-library", options->mpi_library,
      "the recorder's library for the program's MPI, where it is another than the one that reel was built with");
  verb->add_flag("-q,--quiet", options->quiet, "say nothing at the end");
  verb->callback([options, &exit_code] { exit_code = code_of(run_record(*options)); });
}

}  // namespace reel::cli

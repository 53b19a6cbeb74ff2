// SPDX-License-Identifier: Apache-2.0
//
// reel mirror: options, signals, and what is printed while it runs.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "base/real_path.h"
#include "cli/cli.h"
#include "cli/mirror/filter_options.h"
#include "cli/mirror/progress.h"
#include "service/mirror_service.h"
#include "service/origin/origin.h"
#include "service/told/report_text.h"

namespace reel::cli {
namespace {

std::atomic<int> signal_seen{0};
void on_signal(int number) {
  if (signal_seen.exchange(number) != 0) ::_exit(kSignal);  // a second one does not wait
}

struct MirrorArguments {
  std::string source;
  std::vector<std::string> targets;
  std::string state, name, bwlimit;
  std::string max_delete, status_log, user;
  std::vector<std::string> mdts;
  int hold_seconds = 600;
  unsigned jobs = 0;
  bool once = false, adopt = false, recall = false, dry_run = false, itemize = false, progress = false, stats = false,
       json = false;
  int verbose = 0;
  FilterOptions filters;
};

// rsync's sizes: a number with K, M, G (1024) or KB, MB, GB (1000); without a unit KiB. Bytes, or invalid.
Result<uint64_t> parse_rate(const std::string& text) {
  char* end = nullptr;
  double number = std::strtod(text.c_str(), &end);
  std::string unit = end;
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return std::toupper(c); });
  double factor = 0;
  if (unit.empty() || unit == "K" || unit == "KIB") factor = 1024;
  if (unit == "B") factor = 1;
  if (unit == "M" || unit == "MIB") factor = 1024.0 * 1024;
  if (unit == "G" || unit == "GIB") factor = 1024.0 * 1024 * 1024;
  if (unit == "KB") factor = 1e3;
  if (unit == "MB") factor = 1e6;
  if (unit == "GB") factor = 1e9;
  if (end == text.c_str() || factor == 0 || number < 0)
    return Error(Code::invalid, "--bwlimit " + text + ": give a rate a second, as in 500K, 20M, 1.5G");
  return static_cast<uint64_t>(number * factor);
}

// One line a change, as rsync's -i.
std::string itemized(const mirror::Done& done, const std::string& path, const std::string& from) {
  constexpr char kTypes[] = {'f', 'd', 'L', 'S', 'S', 'D', 'D'};
  std::string type(1, kTypes[static_cast<size_t>(done.type)]);
  std::string shown = (path.empty() ? "." : path) + (done.type == mirror::FileType::directory ? "/" : "");
  switch (done.kind) {
    case mirror::Done::Kind::create:
      return (done.type == mirror::FileType::regular ? ">" : "c") + type + "+++++++++ " + shown;
    case mirror::Done::Kind::remove:
      return "*deleting   " + shown;
    case mirror::Done::Kind::move:
      return "*moving     " + from + " -> " + shown;
    case mirror::Done::Kind::link:
      return "h" + type + "+++++++++ " + shown + " => " + from;
    case mirror::Done::Kind::contents:
      return ">" + type + "c........ " + shown;
    case mirror::Done::Kind::attributes:
      return "." + type + "          " + shown;
    case mirror::Done::Kind::park:
      break;
  }
  return shown;
}

// Each target keeps hundreds of directories open; the usual soft limit is 1024 descriptors.
void raise_descriptor_limit() {
  struct rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // as it is: what cannot be opened is trouble, and told
}

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

// With the path in it absolute and free of symlinks: "recorded:/srv/recording".
Result<std::string> source_of(const std::string& argument) {
  std::string kind = service::kind_of_source(argument);
  std::string given = argument.substr(kind.size());
  TRY_ASSIGN(std::string path, real_path(given, "source " + given));
  struct stat found;
  if (::stat(path.c_str(), &found) != 0) return Error::from_errno(errno, "source " + path);
  if (!S_ISDIR(found.st_mode)) return Error(Code::invalid, "source " + path + " is not a directory");
  return kind + path;
}

Result<service::MirrorOptions> options_of(const MirrorArguments& arguments, const CLI::App& verb) {
  service::MirrorOptions options;
  TRY_ASSIGN(options.source, source_of(arguments.source));
  options.targets = arguments.targets;
  options.state_dir = arguments.state;
  std::string name = arguments.name.empty() ? service::name_of_source(options.source) : arguments.name;
  if (options.state_dir.empty()) options.state_dir = service::default_state_base() + "/" + name;
  if (!options.state_dir.starts_with('/')) {
    char here[PATH_MAX];
    if (!::getcwd(here, sizeof here)) return Error::from_errno(errno, "current directory");
    options.state_dir = std::string(here) + "/" + options.state_dir;
  }
  options.once = arguments.once || arguments.dry_run;
  options.dry_run = arguments.dry_run;
  bool adopts = arguments.adopt || !arguments.status_log.empty();
  options.adopt = adopts ? service::Adopt::yes : service::Adopt::no;
  options.status_log = arguments.status_log;
  options.recall = arguments.recall;
  options.user = arguments.user;
  options.mdts = arguments.mdts;
  options.jobs = arguments.jobs;
  options.hold_seconds = arguments.hold_seconds;
  if (!arguments.bwlimit.empty()) {
    TRY_ASSIGN(options.bytes_per_second, parse_rate(arguments.bwlimit));
  }
  if (!arguments.max_delete.empty()) {
    char* end = nullptr;
    options.max_delete = std::strtoull(arguments.max_delete.c_str(), &end, 10);
    if (*end || arguments.max_delete[0] == '-')
      return Error(Code::invalid, "--max-delete " + arguments.max_delete + ": give a number");
  }
  TRY_ASSIGN(options.exclude, arguments.filters.build(verb, &options.filter_text));
  options.note = [](const std::string& text) { std::fprintf(stderr, "reel: %s\n", text.c_str()); };
  return options;
}

int exit_code_of(const service::MirrorReport& report, bool once) {
  bool trouble = false;
  bool changing = false;
  for (const service::TargetReport& target : report.targets) {
    trouble = trouble || target.progress.troubles > 0;
    changing = changing || (once && target.progress.retries_pending > 0);
    for (const std::string& text : target.troubles)
      std::fprintf(stderr, "reel: %s: %s\n", target.path.c_str(), text.c_str());
  }
  if (trouble) return kTrouble;
  if (changing) {
    std::fprintf(stderr,
                 "reel: some files kept changing while they were copied; run again, or mirror without --once\n");
    return kPartial;
  }
  return signal_seen == SIGINT ? kSignal : kOk;
}

// Prints what is to be printed at the end; gives the exit code.
int conclude(const MirrorArguments& arguments, const Result<service::MirrorReport>& last, bool once) {
  if (!last) {
    if (last.error().code() == Code::cancelled) {
      std::fprintf(stderr, "reel: stopped before all was done; the next start goes on from here\n");
      return kSignal;
    }
    int code = report(last.error());
    bool source_gone = last.error().code() == Code::not_found && last.error().text().starts_with("source ");
    return source_gone ? kSourceVanished : code;
  }
  if (arguments.stats) std::fputs(service::stats_text(*last).c_str(), stdout);
  if (arguments.json) std::fputs(service::report_json(*last).c_str(), stdout);
  return exit_code_of(*last, once);
}

int mirror(const MirrorArguments& arguments, const CLI::App& verb) {
  Result<service::MirrorOptions> options = options_of(arguments, verb);
  if (!options) return report(options.error());
  std::mutex output;
  if (arguments.itemize || arguments.verbose || arguments.dry_run) {
    options->done = [&](const std::string&, const mirror::Done& done, const std::string& path,
                        const std::string& from) {
      std::lock_guard lock(output);
      std::printf("%s\n", arguments.itemize ? itemized(done, path, from).c_str() : path.empty() ? "." : path.c_str());
      std::fflush(stdout);
    };
  }
  ProgressLine progress(::isatty(STDERR_FILENO) == 1);
  if (arguments.progress) options->progress = [&](const service::MirrorReport& now) { progress.show(now); };
  ::umask(0);
  raise_descriptor_limit();
  catch_signals();
  service::MirrorEnd end = service::run_mirror(*options, [] {
    if (signal_seen == SIGINT) return service::Stop::interrupt;
    return signal_seen ? service::Stop::terminate : service::Stop::none;
  });
  progress.end();
  int code = conclude(arguments, end.report, options->once);
  if (!end.abandoned) return code;
  std::fflush(nullptr);
  ::_exit(code);
}

}  // namespace

void define_mirror(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<MirrorArguments>();
  CLI::App* verb = app.add_subcommand("mirror", "keep TARGETs exactly equal to SOURCE, until stopped");
  MirrorArguments& a = *arguments;
  verb->add_option("SOURCE", a.source, "the directory to mirror; also lustre:MOUNT, recorded:DIR")
      ->required()
      ->type_name("SOURCE");
  verb->add_option("TARGET", a.targets, "directories to keep equal to it; made when missing")
      ->required()
      ->type_name("DIR");
  verb->footer(
      "Exit codes: 0 done, 1 usage, 11 input or output, 20 interrupted, 23 files kept changing, 24 SOURCE vanished,\n"
      "25 --max-delete, 42 objects in trouble remain, 43 state in use, 44 wrong source or target, 45 newer state.\n\n"
      "  reel mirror /srv/data /mnt/copy                  follow until stopped\n"
      "  reel mirror -n -i --adopt /srv/data /mnt/old     what would become of an old copy?\n"
      "  reel mirror --once /srv/data /mnt/copy           as rsync: bring up to date and end");
  verb->add_flag("--once", a.once, "bring the targets up to date and end");
  verb->add_option("--state", a.state, "where log, indexes and cursors lie (default /var/lib/reel/NAME)")
      ->type_name("DIR");
  verb->add_option("--name", a.name, "NAME of the state (default: made of SOURCE)")->type_name("NAME");
  verb->add_flag("--adopt", a.adopt,
                 "make a mirror of a TARGET that holds something already: what differs is overwritten or removed");
  verb->add_option("--adopt-statuslog", a.status_log,
                   "take over the mirror of a lustre_rsync with this status log, as --adopt does")
      ->type_name("FILE");
  verb->add_option("--user", a.user,
                   "Lustre: the registered changelog user, cl1 or cl1-NAME; of several MDTs MDT0000:cl1,MDT0001:cl2")
      ->type_name("USER");
  verb->add_option("--mdt", a.mdts, "Lustre: its MDTs, all of them, to be sure that there are no others")
      ->type_name("MDT")
      ->delimiter(',');
  verb->add_flag("--recall", a.recall, "Lustre: read files that are only in the HSM archive, which brings them back");
  verb->add_flag("-n,--dry-run", a.dry_run, "show what --once would do, change nothing");
  verb->add_flag("-v,--verbose", a.verbose, "print each path that is changed");
  verb->add_flag("-i,--itemize-changes", a.itemize, "print each change");
  verb->add_flag("--progress", a.progress, "show how far it is, on one line");
  verb->add_flag("--stats", a.stats, "print counts at the end");
  verb->add_flag("--json", a.json, "print the final report as JSON");
  verb->add_option("--bwlimit", a.bwlimit, "contents copied per second at most, as rsync's (500K, 20M)")
      ->type_name("RATE");
  verb->add_option("--jobs,-j", a.jobs, "threads per target (default: one per processor)")->type_name("N");
  verb->add_option("--max-delete", a.max_delete, "stop (exit 25) before more than N entries are removed")
      ->type_name("N");
  verb->add_option("--hold", a.hold_seconds,
                   "keep the event queue this many seconds after reel ended, so that a restart misses nothing")
      ->type_name("SECS")
      ->capture_default_str();
  a.filters.define(*verb);
  verb->callback([arguments, verb, &exit_code] { exit_code = mirror(*arguments, *verb); });
}

}  // namespace reel::cli

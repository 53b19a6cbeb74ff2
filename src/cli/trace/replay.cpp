// SPDX-License-Identifier: Apache-2.0
//
// The verb replay.
#include "replay/replay.h"

#include <signal.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "base/env.h"
#include "cli/cli.h"
#include "cli/common/key_option.h"
#include "cli/common/output.h"

namespace reel::cli {
namespace {

struct Options {
  replay::Options replay;
  std::string mode = "afap", key_file;
  std::vector<std::string> maps;
  bool prepare = false, no_prepare = false, prepare_only = false, json = false, quiet = false;
};

std::atomic<bool> stop_asked{false};

void on_signal(int) {
  stop_asked = true;
}

// The recorded prefix ends at the first '=' behind which a directory can be named.
Status parse_maps(Options& options) {
  for (const std::string& map : options.maps) {
    size_t sign = map.find('=');
    if (sign == std::string::npos || sign == 0 || map[0] != '/' || sign + 1 == map.size())
      return Error(Code::invalid, "replay: --map " + map + ": it is /OLD/PATH=NEW");
    options.replay.maps.emplace_back(map.substr(0, sign), map.substr(sign + 1));
  }
  return ok();
}

std::string default_directory(const std::string& log) {
  std::filesystem::path path = std::filesystem::path(log).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string() + ".replay";
}

int exit_code_of(const replay::Fidelity& fidelity) {
  if (fidelity.stopped) return kSignal;
  if (!fidelity.stalled.empty()) return kTimeout;
  return fidelity.different == 0 ? kOk : kDifferent;
}

Result<int> run_replay(Options& options, replay::Team& team) {
  replay::Options& replay = options.replay;
  TRY(parse_maps(options));
  TRY_ASSIGN(replay.key, key_of(options.key_file));
  static const std::map<std::string, replay::Mode> kModes = {{"afap", replay::Mode::afap},
                                                             {"timed", replay::Mode::timed},
                                                             {"think", replay::Mode::think},
                                                             {"resource", replay::Mode::resource},
                                                             {"causal", replay::Mode::causal}};
  replay.mode = kModes.at(options.mode);
  if (options.prepare) replay.prepare = replay::Prepare::yes;
  if (options.no_prepare) replay.prepare = replay::Prepare::no;
  if (options.prepare_only) replay.prepare = replay::Prepare::only;
  if (replay.into.empty()) {
    replay.into = default_directory(replay.log);
    if (team.leads()) std::fprintf(stderr, "reel: replay: into %s\n", replay.into.c_str());
  }
  if (!(replay.scale > 0)) return Error(Code::invalid, "replay: --scale-time must be above 0");
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
  Output output;
  TRY_ASSIGN(replay::Fidelity fidelity,
             replay::replay(Env::posix(), replay, team, stop_asked, [&](uint64_t loop, const replay::Fidelity& made) {
               if (options.json) {
                 output.text() += replay::json_of(made);
               } else if (!options.quiet) {
                 if (replay.loops > 1) output.text() += "loop " + std::to_string(loop) + "\n";
                 output.text() += replay::text_of(made);
               }
             }));
  TRY(output.flush());
  if (replay.prepare == replay::Prepare::only) {
    for (const std::string& trouble : fidelity.troubles) std::fprintf(stderr, "reel: %s\n", trouble.c_str());
    return kOk;
  }
  if (!fidelity.stalled.empty())
    std::fprintf(stderr, "reel: replay: nothing went on for %llu s: %s\n",
                 static_cast<unsigned long long>(replay.stall_s), fidelity.stalled.c_str());
  return exit_code_of(fidelity);
}

}  // namespace

void define_replay(CLI::App& app, replay::Team& team, int& exit_code) {
  auto options = std::make_shared<Options>();
  replay::Options& replay = options->replay;
  CLI::App* verb =
      app.add_subcommand("replay", "play a recorded trace, or a changelog, again; prints how faithful that was");
  verb->add_option("LOG", replay.log, "the trace or changelog")->required();
  verb->add_option("--into", replay.into,
                   "directory that every recorded absolute path lands under (default: ./LOG.replay)");
  verb->add_option("--map", options->maps, "OLD=NEW: what is recorded below OLD lands in the directory NEW");
  verb->add_option("--mode", options->mode,
                   "when calls are made: afap, think (compute kept), timed, resource (compute "
                   "kept, files in strict order), causal (compute kept, and who waited for another's message or data "
                   "waits again)")
      ->check(CLI::IsMember({"afap", "timed", "think", "resource", "causal"}));
  auto* yes = verb->add_flag("--prepare", options->prepare,
                             "make the initial state (as it is done anyway when the directories are empty)");
  auto* no = verb->add_flag("--no-prepare", options->no_prepare, "play on what is there");
  auto* only = verb->add_flag("--prepare-only", options->prepare_only, "make the initial state, and play nothing");
  yes->excludes(no);
  only->excludes(no);
  verb->add_flag("--cold", replay.cold, "drop the machine's caches before playing (root)");
  verb->add_option("--scale-time", replay.scale, "times are so much longer (1)");
  verb->add_option("--loop", replay.loops, "play so often, each time on a new initial state (1)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--file-size", replay.default_size,
                   "of a changelog: bytes written where the record does not say how many (4096)");
  verb->add_option("--retrace", replay.retrace, "record the replay itself into this log");
  verb->add_option("--differences", replay.differences, "list so many results that differ (10)");
  verb->add_option("--stall", replay.stall_s, "give up after so many seconds without any call (60)");
  add_key_option(*verb, options->key_file);
  verb->add_flag("--json", options->json, "the report as one JSON object a loop");
  verb->add_flag("-q,--quiet", options->quiet, "no report, only the exit code");
  verb->callback([options, &team, &exit_code] {
    Result<int> result = run_replay(*options, team);
    exit_code = team.leads() || result ? code_of(result) : exit_code_of(result.error().code());
  });
}

}  // namespace reel::cli

// SPDX-License-Identifier: Apache-2.0
//
// reel verify: whether a target is what the source is, told one difference a line.
#include "verify/verify.h"

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/real_path.h"
#include "cli/cli.h"
#include "cli/common/output.h"
#include "cli/mirror/filter_options.h"
#include "cli/mirror/repair.h"
#include "service/state/state.h"
#include "tree/posix/posix_attributes.h"

namespace reel::cli {
namespace {

using mirror::Difference;
using mirror::VerifyLevel;

struct VerifyArguments {
  std::string source, target;
  std::string level = "full";
  unsigned jobs = 0;
  bool json = false;
  bool repair = false;
  bool recall = false;
  std::string state, name;
  FilterOptions filter;
};

constexpr int kRepairRounds = 3;

VerifyLevel level_of(const std::string& name) {
  if (name == "stat") return VerifyLevel::stat;
  return name == "meta" ? VerifyLevel::meta : VerifyLevel::full;
}

const char* name_of(Difference::Kind kind) {
  switch (kind) {
    case Difference::Kind::differs:
      return "differs";
    case Difference::Kind::missing:
      return "missing";
    case Difference::Kind::extra:
      return "extra";
  }
  return "?";
}

std::string json_line(const Difference& difference) {
  nlohmann::ordered_json line;
  line["kind"] = name_of(difference.kind);
  line["path"] = difference.path.empty() ? "." : mirror::printable(difference.path);
  if (difference.kind == Difference::Kind::differs) {
    line["what"] = difference.what;
    if (!difference.source.empty() || !difference.target.empty()) {
      line["source"] = difference.source;
      line["target"] = difference.target;
    }
  }
  return line.dump();
}

// One comparison; what differs is printed, and put into `paths`.
Result<int> compare(const VerifyArguments& arguments, const mirror::VerifyOptions& options,
                    std::vector<std::string>& paths) {
  Output output;
  Status written = ok();
  mirror::VerifyEvents events;
  events.difference = [&](const Difference& difference) {
    if (arguments.repair) paths.push_back(difference.path);
    output.text() += (arguments.json ? json_line(difference) : to_line(difference)) + "\n";
    if (written) written = output.maybe_flush();
  };
  events.error = [](const Error& error) { std::fprintf(stderr, "reel: verify: %s\n", error.text().c_str()); };
  TRY_ASSIGN(mirror::VerifySummary summary, mirror::verify(arguments.source, arguments.target, options, events));
  TRY(std::move(written));
  TRY(output.flush());
  const char* verdict = summary.errors        ? "not everything could be compared"
                        : summary.differences ? "different"
                                              : "equal";
  std::fprintf(stderr,
               "reel: verify: %s (%" PRIu64 " objects and %" PRIu64 " bytes compared, %" PRIu64 " differences, %" PRIu64
               " errors)\n",
               verdict, summary.objects, summary.bytes, summary.differences, summary.errors);
  if (summary.released)
    std::fprintf(stderr,
                 "reel: verify: the contents of %" PRIu64
                 " files are only in the HSM archive and were not compared; --recall brings them back\n",
                 summary.released);
  if (summary.errors) return kFileIo;
  return summary.differences ? kDifferent : kOk;
}

Result<int> run_verify(const CLI::App& verb, const VerifyArguments& arguments) {
  mirror::VerifyOptions options;
  TRY_ASSIGN(options.excluded, arguments.filter.build(verb));
  options.level = level_of(arguments.level);
  options.jobs = arguments.jobs;
  options.recall = arguments.recall;
  std::vector<std::string> paths;
  TRY_ASSIGN(int code, compare(arguments, options, paths));
  if (!arguments.repair) return code;

  RepairPlace place;
  TRY_ASSIGN(place.source, real_path(arguments.source));
  TRY_ASSIGN(place.target, real_path(arguments.target));
  std::string name = arguments.name.empty() ? service::name_of_source(place.source) : arguments.name;
  place.state_dir = arguments.state.empty() ? service::default_state_base() + "/" + name : arguments.state;
  place.exclude = options.excluded;
  place.jobs = arguments.jobs;
  for (int round = 0; round < kRepairRounds && !paths.empty(); ++round) {
    std::fprintf(stderr, "reel: verify: repairing %zu differences\n", paths.size());
    TRY_ASSIGN(int repaired, repair(place, paths));
    if (repaired != kOk && repaired != kTrouble) return repaired;
    paths.clear();
    TRY_ASSIGN(code, compare(arguments, options, paths));
    if (repaired != kOk) return code == kOk ? kOk : repaired;
  }
  return code;
}

}  // namespace

void define_verify(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("verify", "compare a target with its source");
  auto arguments = std::make_shared<VerifyArguments>();
  verb->add_option("SOURCE", arguments->source, "the directory that is mirrored")->required()->type_name("DIR");
  verb->add_option("TARGET", arguments->target, "the directory that is to equal it")->required()->type_name("DIR");
  verb->add_option("--level", arguments->level,
                   "stat: names and what stat tells; meta: and xattrs, ACLs, flags; "
                   "full (default): and contents and holes")
      ->check(CLI::IsMember({"stat", "meta", "full"}));
  verb->add_flag("--json", arguments->json, "one JSON object a line");
  verb->add_flag("--repair", arguments->repair, "give what differs back to the mirror, then compare again");
  verb->add_flag("--recall", arguments->recall,
                 "Lustre: also compare contents that are only in the HSM archive, which brings them back");
  verb->add_option("--state", arguments->state, "--repair: the mirror's state directory")->type_name("DIR");
  verb->add_option("--name", arguments->name, "--repair: or its NAME (default: made of SOURCE)")->type_name("NAME");
  verb->add_option("-j,--jobs", arguments->jobs, "threads (default: one a processor)")->type_name("N");
  arguments->filter.define(*verb);
  verb->callback([verb, arguments, &exit_code] {
    Result<int> result = run_verify(*verb, *arguments);
    exit_code = result ? *result : report(result.error());
  });
}

}  // namespace reel::cli

// SPDX-License-Identifier: Apache-2.0
//
// reel verify: whether a target is what the source is, told one difference a line.
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/filter_options.h"
#include "cli/output.h"
#include "mirror/posix_attributes.h"
#include "mirror/verify.h"

namespace reel::cli {
namespace {

using mirror::Difference;
using mirror::VerifyLevel;

struct VerifyArguments {
  std::string source, target;
  std::string level = "full";
  unsigned jobs = 0;
  bool json = false;
  FilterOptions filter;
};

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

Result<int> run_verify(const CLI::App& verb, const VerifyArguments& arguments) {
  mirror::VerifyOptions options;
  TRY_ASSIGN(options.excluded, arguments.filter.build(verb));
  options.level = level_of(arguments.level);
  options.jobs = arguments.jobs;
  Output output;
  Status written = ok();
  mirror::VerifyEvents events;
  events.difference = [&](const Difference& difference) {
    output.text() += (arguments.json ? json_line(difference) : to_line(difference)) + "\n";
    if (written) written = output.maybe_flush();
  };
  events.error = [](const Error& error) {
    std::fprintf(stderr, "reel: verify: %s\n", error.text().c_str());
  };
  TRY_ASSIGN(mirror::VerifySummary summary,
             mirror::verify(arguments.source, arguments.target, options, events));
  TRY(std::move(written));
  TRY(output.flush());
  const char* verdict = summary.errors        ? "not everything could be compared"
                        : summary.differences ? "different"
                                              : "equal";
  std::fprintf(stderr,
               "reel: verify: %s (%" PRIu64 " objects and %" PRIu64 " bytes compared, %" PRIu64
               " differences, %" PRIu64 " errors)\n",
               verdict, summary.objects, summary.bytes, summary.differences, summary.errors);
  if (summary.errors) return kFileIo;
  return summary.differences ? kDifferent : kOk;
}

}  // namespace

void define_verify(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("verify", "Compare a target with its source");
  auto arguments = std::make_shared<VerifyArguments>();
  verb->add_option("SOURCE", arguments->source, "the directory that is mirrored")->required();
  verb->add_option("TARGET", arguments->target, "the directory that is to equal it")->required();
  verb->add_option("--level", arguments->level,
                   "stat: names and what stat tells; meta: and xattrs, ACLs, flags; "
                   "full (default): and contents and holes")
      ->check(CLI::IsMember({"stat", "meta", "full"}));
  verb->add_flag("--json", arguments->json, "one JSON object a line");
  verb->add_option("-j,--jobs", arguments->jobs, "threads (default: one a processor)");
  arguments->filter.define(*verb);
  verb->callback([verb, arguments, &exit_code] {
    Result<int> result = run_verify(*verb, *arguments);
    exit_code = result ? *result : report(result.error());
  });
}

}  // namespace reel::cli

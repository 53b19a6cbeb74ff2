// SPDX-License-Identifier: Apache-2.0
//
// The verb merge.
#include "trace/merge/merge.h"

#include <cstdio>
#include <memory>

#include "base/env.h"
#include "cli/cli.h"

namespace reel::cli {
namespace {

struct Options {
  std::string out;
  std::vector<std::string> logs;
  bool quiet = false;
};

Result<int> run_merge(const Options& options) {
  TRY_ASSIGN(trace::Merged merged, trace::merge(Env::posix(), options.out, options.logs));
  if (options.quiet) return kOk;
  std::fprintf(stderr, "reel: %llu calls of %zu traces in %s\n", static_cast<unsigned long long>(merged.events),
               options.logs.size(), options.out.c_str());
  for (const std::string& reason : merged.incomplete) std::fprintf(stderr, "reel: incomplete: %s\n", reason.c_str());
  return kOk;
}

}  // namespace

void define_merge(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("merge", "one trace of those of a parallel program's ranks");
  verb->add_option("OUT", options->out, "directory of the merged trace; must hold none")->required();
  verb->add_option("LOG", options->logs, "the ranks' traces")->required();
  verb->add_flag("-q,--quiet", options->quiet, "say nothing at the end");
  verb->callback([options, &exit_code] { exit_code = code_of(run_merge(*options)); });
}

}  // namespace reel::cli

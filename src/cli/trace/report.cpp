// SPDX-License-Identifier: Apache-2.0
//
// The verb report.
#include "report/report.h"

#include <memory>

#include "base/env.h"
#include "cli/cli.h"
#include "cli/common/key_option.h"
#include "cli/common/output.h"
#include "report/waits.h"

namespace reel::cli {
namespace {

struct Options {
  std::string log, key_file;
  bool json = false, waits = false;
};

Result<int> run_report(const Options& options) {
  TRY_ASSIGN(std::optional<LogKey> key, key_of(options.key_file));
  TRY_ASSIGN(trace::Trace trace, trace::load(Env::posix(), options.log, pointer_to(key)));
  Output output;
  if (options.waits) {
    TRY_ASSIGN(report::Waits waits, report::find_waits(trace));
    output.text() = options.json ? report::json_of(trace, waits) : report::text_of(trace, waits);
  } else {
    report::Report made = report::make_report(trace);
    output.text() = options.json ? report::json_of(made) : report::text_of(made);
  }
  TRY(output.flush());
  return trace.damaged ? kFileIo : kOk;
}

}  // namespace

void define_report(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("report", "a trace in figures: by operation, program and file");
  verb->add_option("LOG", options->log, "the trace")->required();
  verb->add_flag("--json", options->json, "one JSON object");
  verb->add_flag("--waits", options->waits,
                 "instead: who waited for whom, the longest path, and how long it would take on faster storage");
  add_key_option(*verb, options->key_file);
  verb->callback([options, &exit_code] { exit_code = code_of(run_report(*options)); });
}

}  // namespace reel::cli

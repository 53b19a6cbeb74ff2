// SPDX-License-Identifier: Apache-2.0
//
// The verb report, and export's formats of traces.
#include "report/report.h"

#include <cstdio>
#include <memory>

#include "base/env.h"
#include "cli/cli.h"
#include "cli/common/key_option.h"
#include "cli/common/output.h"
#include "cli/log/log_verbs.h"
#include "report/export.h"
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

bool is_trace_format(const std::string& format) {
  report::Format known;
  return report::format_of(format, known);
}

Result<int> export_trace(const std::string& log, const std::string& format, const std::string& key_file) {
  TRY_ASSIGN(std::optional<LogKey> key, key_of(key_file));
  report::Format known = report::Format::strace;
  report::format_of(format, known);
  TRY_ASSIGN(trace::Trace trace, trace::load(Env::posix(), log, pointer_to(key)));
  Output output;
  auto put = [&output](const std::string& text) {
    output.text() += text;
    return output.maybe_flush();
  };
  TRY_ASSIGN(uint64_t left_out, report::write_as(trace, known, put));
  TRY(output.flush());
  if (left_out != 0)
    std::fprintf(stderr, "reel: %llu reads, writes and syncs have no place in this format\n",
                 static_cast<unsigned long long>(left_out));
  if (!trace.counts.empty())
    std::fprintf(stderr, "reel: calls that the trace only counted are not in it; reel report has them\n");
  for (const std::string& reason : trace.incomplete()) std::fprintf(stderr, "reel: incomplete: %s\n", reason.c_str());
  return trace.damaged ? kFileIo : kOk;
}

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

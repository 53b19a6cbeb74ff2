// SPDX-License-Identifier: Apache-2.0
//
// The frame of the command line: parsing, the exit code of an error, the table of verbs.
#include "cli/cli.h"

#include <cstdio>
#include <memory>

#include "cli/common/output.h"
#include "replay/play/team.h"

namespace reel::cli {
namespace {

constexpr const char* kVersionText = "reel " REEL_VERSION;

}  // namespace

int exit_code_of(Code code) {
  switch (code) {
    case Code::invalid:
      return kUsage;
    case Code::busy:
      return kBusy;
    case Code::conflict:
      return kWrongIdentity;
    case Code::newer:
      return kNewerState;
    case Code::timeout:
      return kTimeout;
    case Code::gap:
      return kGap;
    case Code::cancelled:
      return kSignal;
    case Code::too_many:
      return kMaxDelete;
    case Code::io:
    case Code::not_found:
    case Code::exists:
    case Code::permission:
    case Code::no_space:
    case Code::unsupported:
    case Code::corrupt:
      break;
  }
  return kFileIo;
}

int report(const Error& error) {
  if (is_closed_output(error)) return kOk;
  std::fprintf(stderr, "reel: %s\n", error.text().c_str());
  return exit_code_of(error.code());
}

int code_of(const Result<int>& result) {
  return result ? *result : report(result.error());
}

int run(int argc, char** argv) {
  CLI::App app("Reel: the replayable changelog for file systems", "reel");
  app.set_version_flag("--version", kVersionText);
  app.require_subcommand(1);
  int exit_code = kOk;
  define_mirror(app, exit_code);
  define_wait(app, exit_code);
  define_status(app, exit_code);
  define_verify(app, exit_code);
  define_log_verbs(app, exit_code);
  define_fid_verbs(app, exit_code);
  define_record(app, exit_code);
  std::unique_ptr<replay::Team> alone = replay::one_process();
  define_replay(app, *alone, exit_code);
  define_anonymize(app, exit_code);
  define_merge(app, exit_code);
  define_report(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;  // prints help and version to stdout, complaints to stderr
  }
  return exit_code;
}

}  // namespace reel::cli

// SPDX-License-Identifier: Apache-2.0
//
// The verb anonymize.
#include "trace/anonymize.h"

#include <cstdio>
#include <memory>

#include "cli/cli.h"
#include "cli/log_verbs.h"

namespace reel::cli {
namespace {

struct Options {
  std::string log, out, key_file;
  bool keep_extensions = false;
};

Result<int> run_anonymize(const Options& options) {
  Env& env = Env::posix();
  trace::AnonymizeOptions how;
  how.keep_extensions = options.keep_extensions;
  if (options.key_file.empty()) {
    TRY_ASSIGN(how.key, trace::random_key());
  } else {
    TRY_ASSIGN(how.key, read_file(env, options.key_file, 1u << 20));
    if (how.key.empty()) return Error(Code::invalid, options.key_file + ": the key is empty");
  }
  TRY(trace::anonymize(env, options.log, options.out, how));
  return kOk;
}

}  // namespace

void define_anonymize(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("anonymize", "copy a trace so that it names nobody");
  verb->add_option("LOG", options->log, "the trace")->required();
  verb->add_option("OUT", options->out, "directory of the copy; must hold none")->required();
  verb->add_option("--key", options->key_file,
                   "file with the key of the hashes (default: a random one, which is forgotten)");
  verb->add_flag("--keep-extensions", options->keep_extensions, "names keep what follows their first dot");
  verb->callback([options, &exit_code] { exit_code = code_of(run_anonymize(*options)); });
}

}  // namespace reel::cli

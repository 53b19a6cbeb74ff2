// SPDX-License-Identifier: Apache-2.0
//
// The verb anonymize, and the options that record has of it.
#include "trace/names/anonymize.h"

#include <cstdio>
#include <memory>

#include "cli/cli.h"
#include "cli/common/key_option.h"
#include "cli/trace/anonymize_options.h"

namespace reel::cli {
namespace {

struct Options {
  std::string log, out, key_file;
  AnonymizeChoice choice;
};

Result<int> run_anonymize(const Options& options) {
  TRY_ASSIGN(std::optional<LogKey> key, key_of(options.key_file));
  TRY_ASSIGN(trace::AnonymizeOptions how, options_of(options.choice, trace::Policy::nobody()));
  TRY(trace::anonymize(Env::posix(), options.log, options.out, how, pointer_to(key)));
  return kOk;
}

}  // namespace

void add_anonymize_options(CLI::App& verb, AnonymizeChoice& choice, const char* key_option) {
  verb.add_option(key_option, choice.key_file,
                  "file with the key of the hashes (default: a random one, which is forgotten)");
  verb.add_flag("--keep-extensions", choice.keep_extensions, "hashed names keep what follows their first dot");
  verb.add_option("--policy", choice.policy,
                  "field by field: paths=hash,args=drop,programs=keep,xattrs=hash,uid=map,host=drop");
}

Result<trace::AnonymizeOptions> options_of(const AnonymizeChoice& choice, const trace::Policy& base) {
  trace::AnonymizeOptions how;
  how.policy = base;
  if (!choice.policy.empty()) {
    TRY_ASSIGN(how.policy, trace::parse_policy(choice.policy, base));
  }
  if (choice.keep_extensions && how.policy.paths == trace::Treat::hash) how.policy.paths = trace::Treat::extension;
  if (choice.key_file.empty()) {
    TRY_ASSIGN(how.key, trace::random_key());
    return how;
  }
  TRY_ASSIGN(how.key, read_file(Env::posix(), choice.key_file, 1u << 20));
  if (how.key.empty()) return Error(Code::invalid, choice.key_file + ": the key is empty");
  return how;
}

void define_anonymize(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("anonymize", "copy a trace so that it names nobody");
  verb->add_option("LOG", options->log, "the trace")->required();
  verb->add_option("OUT", options->out, "directory of the copy; must hold none")->required();
  add_key_option(*verb, options->key_file);
  add_anonymize_options(*verb, options->choice, "--key,--anonymize-key");
  verb->callback([options, &exit_code] { exit_code = code_of(run_anonymize(*options)); });
}

}  // namespace reel::cli

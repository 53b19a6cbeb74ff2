// SPDX-License-Identifier: Apache-2.0
//
// reel status: what the running mirror says, or what the last one left.
#include <cstdio>
#include <memory>

#include "base/env.h"
#include "cli/cli.h"
#include "service/state/state.h"
#include "service/told/control.h"
#include "service/told/report_text.h"

namespace reel::cli {
namespace {

int status(const std::string& state, const std::string& name, bool json) {
  Result<std::string> dir = service::find_state(state, name);
  if (!dir) return report(dir.error());
  Result<service::Answer> answer = service::ask(*dir + "/control.sock", "status");
  std::string text;
  if (answer) {
    text = answer->text;
  } else {
    Result<std::string> last = read_file(Env::posix(), *dir + "/status.json");
    if (!last)
      return report(Error(Code::not_found, "state " + *dir + ": no reel is running, and none has left a status"));
    text = *last;
    // A reel that was killed could not write that it ended.
    size_t at = text.find("\"running\":true");
    if (at != std::string::npos) text.replace(at, 14, "\"running\":false");
  }
  if (json) {
    std::fputs(text.c_str(), stdout);
    return kOk;
  }
  Result<std::string> readable = service::status_text(text);
  if (!readable) return report(readable.error());
  std::fputs(readable->c_str(), stdout);
  return kOk;
}

}  // namespace

void define_status(CLI::App& app, int& exit_code) {
  struct Arguments {
    std::string state, name;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("status", "phase, lag, backlog, last settle, objects in trouble");
  verb->add_option("--state", arguments->state, "state directory of the mirror")->type_name("DIR");
  verb->add_option("--name", arguments->name, "or its NAME")->type_name("NAME");
  verb->add_flag("--json", arguments->json, "one JSON object");
  verb->callback([arguments, &exit_code] { exit_code = status(arguments->state, arguments->name, arguments->json); });
}

}  // namespace reel::cli

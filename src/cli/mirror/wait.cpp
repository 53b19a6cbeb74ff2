// SPDX-License-Identifier: Apache-2.0
//
// reel wait: returns when all that changed before the call is durable on every target.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>

#include "cli/cli.h"
#include "service/state/state.h"
#include "service/told/control.h"

namespace reel::cli {
namespace {

void on_alarm(int) {
  static const char kText[] = "reel: not settled in the time given\n";
  if (::write(2, kText, sizeof kText - 1) < 0) ::_exit(kTimeout);
  ::_exit(kTimeout);
}

int wait(const std::string& state, const std::string& name, unsigned timeout_s) {
  Result<std::string> dir = service::find_state(state, name);
  if (!dir) return report(dir.error());
  if (timeout_s) {
    ::signal(SIGALRM, on_alarm);
    ::alarm(timeout_s);
  }
  Result<service::Answer> answer = service::ask(*dir + "/control.sock", "wait");
  if (!answer) return report(std::move(answer).error().with("state " + *dir));
  std::fputs(answer->text.c_str(), stderr);
  return answer->exit_code;
}

}  // namespace

void define_wait(CLI::App& app, int& exit_code) {
  struct Arguments {
    std::string state, name;
    unsigned timeout_s = 0;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("wait", "return when all changes made before the call are on every target");
  verb->add_option("--state", arguments->state, "state directory of the running mirror")->type_name("DIR");
  verb->add_option("--name", arguments->name, "or its NAME")->type_name("NAME");
  verb->add_option("--timeout", arguments->timeout_s, "give up after SECS (exit 30); 0: never")
      ->type_name("SECS")
      ->capture_default_str();
  verb->callback(
      [arguments, &exit_code] { exit_code = wait(arguments->state, arguments->name, arguments->timeout_s); });
}

}  // namespace reel::cli

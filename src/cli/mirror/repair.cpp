// SPDX-License-Identifier: Apache-2.0
#include "cli/mirror/repair.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "cli/cli.h"
#include "service/mirror_service.h"
#include "service/told/control.h"
#include "service/told/repair_request.h"

namespace reel::cli {
namespace {

// Gives not_found when no reel runs on this state.
Result<int> through_running(const RepairPlace& place, const std::vector<std::string>& paths) {
  std::string socket = place.state_dir + "/control.sock";
  TRY(service::ask(socket, "status"));
  TRY_ASSIGN(std::string request, service::write_repair_request(place.state_dir, {place.source, place.target, paths}));
  TRY_ASSIGN(service::Answer answer, service::ask(socket, request));
  std::fputs(answer.text.c_str(), stderr);
  if (answer.exit_code != kOk) return answer.exit_code;
  TRY_ASSIGN(service::Answer settled, service::ask(socket, "wait"));
  std::fputs(settled.text.c_str(), stderr);
  return settled.exit_code;
}

Result<int> alone(const RepairPlace& place, const std::vector<std::string>& paths) {
  service::MirrorOptions options;
  options.source = place.source;
  options.targets = {place.target};
  options.state_dir = place.state_dir;
  options.once = true;
  options.exclude = place.exclude;
  options.jobs = place.jobs;
  options.repair = paths;
  ::umask(0);
  service::MirrorEnd end = service::run_mirror(options, [] { return service::Stop::none; });
  TRY_ASSIGN(service::MirrorReport last, std::move(end.report));
  bool trouble = false;
  for (const service::TargetReport& target : last.targets) {
    trouble = trouble || target.progress.troubles > 0;
    for (const std::string& text : target.troubles)
      std::fprintf(stderr, "reel: %s: %s\n", target.path.c_str(), text.c_str());
  }
  return trouble ? kTrouble : kOk;
}

}  // namespace

Result<int> repair(const RepairPlace& place, const std::vector<std::string>& paths) {
  Result<int> running = through_running(place, paths);
  if (!running.is(Code::not_found)) return running;
  Result<int> done = alone(place, paths);
  if (done.is(Code::not_found))
    return Error(Code::conflict,
                 done.error().text() + "; --repair needs the state of the mirror: give --state or --name");
  return done;
}

}  // namespace reel::cli

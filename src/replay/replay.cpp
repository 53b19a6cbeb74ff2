// SPDX-License-Identifier: Apache-2.0
//
// From a log to the report of its replay.
#include "replay/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "replay/changelog.h"
#include "replay/prepare.h"
#include "replay/retrace.h"

namespace reel::replay {
namespace {

Status drop_caches() {
  ::sync();
  int fd = ::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return Error::from_errno(errno, "--cold: /proc/sys/vm/drop_caches (needs root)");
  bool written = ::write(fd, "3", 1) == 1;
  int reason = errno;
  ::close(fd);
  return written ? ok() : Status(Error::from_errno(reason, "--cold: drop caches"));
}

class Replay {
 public:
  Replay(Env& env, const Options& options, Team& team, const std::atomic<bool>& stop, const Tell& tell)
      : env_(env), options_(options), team_(team), stop_(stop), tell_(tell) {
    tops_.push_back(options.into);
    for (const auto& [from, to] : options.maps) {
      tops_.push_back(to);
      plan_options_.mapped.push_back(from);
    }
    plan_options_.strict = options.mode == Mode::resource;
    plan_options_.causal = options.mode == Mode::causal;
  }

  Result<Fidelity> run() {
    TRY(team_.agree(make_ready()));
    Fidelity fidelity;
    fidelity.incomplete = trace_.incomplete();
    bool goes_on = true;
    for (uint64_t loop = 1; loop <= options_.loops && goes_on; ++loop) {
      TRY(prepare_all(loop));
      fidelity.troubles = prepared_.troubles;
      if (options_.prepare == Prepare::only) return fidelity;
      TRY(team_.agree(options_.cold && team_.leads_node() ? drop_caches() : ok()));
      TRY_ASSIGN(fidelity, once(loop));
      if (team_.leads()) tell_(loop, fidelity);
      goes_on = team_.of_leader(!stop_ && !fidelity.stopped && fidelity.stalled.empty());
    }
    return fidelity;
  }

 private:
  const LogKey* key() const { return options_.key ? &*options_.key : nullptr; }

  Status make_ready() {
    if (trace::is_trace(env_, options_.log)) {
      TRY_ASSIGN(trace_, trace::load(env_, options_.log, key()));
    } else {
      bool computes = options_.mode != Mode::afap && options_.mode != Mode::timed;
      if (computes)
        return Error(Code::invalid, "replay: a changelog tells of no computing; its modes are afap and timed");
      TRY_ASSIGN(trace_, trace_of_changelog(env_, options_.log, options_.default_size));
    }
    TRY_ASSIGN(plan_, make_plan(trace_, plan_options_));
    TRY_ASSIGN(prepares_, decide());
    return ok();
  }

  // By the leader; and, where the directories are another node's own, on that node.
  Status prepare_all(uint64_t loop) {
    if (!team_.of_leader(prepares_)) return ok();
    TRY(team_.agree(team_.leads() ? prepare_here(loop) : ok()));
    return team_.agree(team_.leads_node() && !team_.leads() ? prepare_node(loop) : ok());
  }

  Status prepare_node(uint64_t loop) {
    if (loop == 1) {
      TRY_ASSIGN(own_storage_, is_empty(options_.into));
    }
    return own_storage_ ? prepare_here(loop) : ok();
  }

  Status prepare_here(uint64_t loop) {
    if (loop > 1) {
      for (const std::string& top : tops_) TRY(empty_out(top));
    }
    TRY_ASSIGN(prepared_, prepare(plan_, tops_));
    return ok();
  }

  Result<bool> decide() const {
    if (options_.prepare == Prepare::no) {
      if (options_.loops > 1)
        return Error(Code::invalid, "replay: --loop needs a state that it may make anew; leave out --no-prepare");
      return false;
    }
    bool asked = options_.prepare != Prepare::when_empty || options_.loops > 1;
    for (const std::string& top : tops_) {
      TRY_ASSIGN(bool empty, is_empty(top));
      if (empty) continue;
      if (asked)
        return Error(Code::conflict,
                     "replay: " + top + " is not empty; the initial state is made in an empty directory only");
      return false;
    }
    return true;
  }

  Result<Fidelity> once(uint64_t loop) {
    Result<std::unique_ptr<World>> opened = World::open(plan_, tops_);
    TRY(team_.agree(status_of(opened)));
    std::unique_ptr<World> world = *std::move(opened);
    PlayOptions play_options;
    play_options.pace = options_.mode == Mode::afap    ? Pace::none
                        : options_.mode == Mode::timed ? Pace::timed
                                                       : Pace::gaps;
    play_options.scale = options_.scale;
    play_options.stall_s = options_.stall_s;
    TRY_ASSIGN(Played played, play(trace_, plan_, *world, play_options, team_, stop_));
    world.reset();
    Result<Fidelity> fidelity = team_.leads() ? judge(loop, played) : Fidelity();
    TRY(team_.agree(status_of(fidelity)));
    return fidelity;
  }

  Result<Fidelity> judge(uint64_t loop, const Played& played) {
    Fidelity fidelity = compare(trace_, plan_, played, options_.differences);
    fidelity.troubles = prepared_.troubles;
    if (!options_.retrace.empty()) {
      std::string dir = options_.loops > 1 ? options_.retrace + "." + std::to_string(loop) : options_.retrace;
      TRY(write_retrace(env_, dir, key(), trace_, plan_, played));
      TRY_ASSIGN(trace::Trace retrace, trace::load(env_, dir, key()));
      fidelity.retrace = text_of(compare_traces(trace_, retrace));
    }
    return fidelity;
  }

  Env& env_;
  const Options& options_;
  Team& team_;
  const std::atomic<bool>& stop_;
  const Tell& tell_;
  std::vector<std::string> tops_;
  PlanOptions plan_options_;
  trace::Trace trace_;
  Plan plan_;
  Prepared prepared_;
  bool prepares_ = false, own_storage_ = false;
};

}  // namespace

Result<Fidelity> replay(Env& env, const Options& options, Team& team, const std::atomic<bool>& stop, const Tell& tell) {
  return Replay(env, options, team, stop, tell).run();
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
#include "service/mirror_service.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "log/users.h"
#include "service/origin/origin.h"
#include "service/state/scratch.h"
#include "service/target/target_runner.h"
#include "service/told/control.h"
#include "service/told/repair_request.h"
#include "service/told/report_text.h"
#include "service/told/rsync_status.h"

namespace reel::service {
namespace {

constexpr int kLookMs = 50;          // how often the main thread looks around
constexpr int kSourceLookMs = 1000;  // whether the source is still mounted
constexpr int kStatusFileMs = 5000;
constexpr int kProgressMs = 200;
constexpr int kStopGraceMs = 1500;  // then a batch is abandoned; the next start recovers it

using Clock = std::chrono::steady_clock;

Result<std::string> boot_id() {
  TRY_ASSIGN(std::string id, read_file(Env::posix(), "/proc/sys/kernel/random/boot_id"));
  id.resize(std::min(id.size(), id.find('\n')));
  if (id.empty()) return Error(Code::unsupported, "the kernel tells no boot id (/proc/sys/kernel/random/boot_id)");
  return id;
}

class Service {
 public:
  explicit Service(const MirrorOptions& options) : options_(options) {}

  Result<MirrorReport> run(const std::function<Stop()>& stop) {
    OriginOptions origin{options_.state_dir, options_.hold_seconds, options_.recall,
                         options_.user,      options_.mdts,         options_.note};
    TRY_ASSIGN(origin_, open_origin(options_.source, origin));
    for (const std::string& target : options_.targets) TRY(check_places(origin_->path(), target, state_path()));
    if (!options_.status_log.empty()) TRY(read_rsync_status(options_.status_log, origin_->path(), options_.targets));
    TRY(open_state());
    TRY(prepare_targets());
    bool takes_records = origin_->is_recorded() && !options_.dry_run && !options_.repair;
    if (!options_.once || takes_records) TRY(open_log());
    TRY(make_runners());
    if (!options_.once) {
      TRY_ASSIGN(control_, ControlServer::start(state_->dir() + "/control.sock",
                                                [this](const std::string& request, const std::function<bool()>& gone) {
                                                  return answer(request, gone);
                                                }));
    }
    for (auto& runner : runners_) runner->start();
    Status ended = watch(stop);
    control_.reset();
    stop_runners();
    MirrorReport last = report();
    last.running = false;
    if (options_.progress) options_.progress(last);
    if (!options_.dry_run && !options_.repair)
      ignore(replace_file(Env::posix(), state_->dir(), status_file(), report_json(last)), "only informs");
    TRY(std::move(ended));
    return last;
  }

 private:
  // With all symlinks resolved, also when it does not exist.
  std::string state_path() const {
    std::error_code failed;
    std::string path = std::filesystem::weakly_canonical(options_.state_dir, failed).string();
    return failed ? options_.state_dir : path;
  }
  std::string status_file() const { return state_->dir() + "/status.json"; }

  Status open_state() {
    TRY_ASSIGN(identity_, origin_->identify());
    bool may_make = !options_.dry_run && !options_.repair;
    Result<std::unique_ptr<State>> state = State::open(options_.state_dir, options_.source, identity_,
                                                       may_make ? State::Open::create : State::Open::existing);
    if (options_.dry_run) {
      TRY_ASSIGN(scratch_, Scratch::create());
      if (state.is(Code::not_found)) return ok();  // as if it were new
    }
    TRY_ASSIGN(state_, std::move(state));
    return ok();
  }

  // A target that is away does not hold up the others; alone, or wrong, it is an error at once.
  Status prepare_targets() {
    GateRules rules{options_.adopt, options_.dry_run, options_.repair.has_value()};
    for (const std::string& path : options_.targets) {
      Result<PreparedTarget> target = prepare_target(state_.get(), state_path(), origin_->path(), path, rules);
      bool away = target.is(Code::not_found) && !options_.once && options_.targets.size() > 1;
      if (away) {
        TRY_ASSIGN(TargetState known, state_->find_target(path));
        away = !known.id.empty();
        if (away) {
          note(target.error().text() + "; the other targets go on");
          targets_.push_back({known, false, false});
          continue;
        }
      }
      if (target.is(Code::not_found)) return Error(Code::conflict, target.error().text());
      TRY_ASSIGN(PreparedTarget prepared, std::move(target));
      for (const PreparedTarget& other : targets_)
        if (other.state.path == prepared.state.path) return Error(Code::invalid, "target " + path + " is given twice");
      targets_.push_back(prepared);
    }
    return ok();
  }

  Status open_log() {
    TRY_ASSIGN(std::vector<std::string> streams, origin_->streams());
    for (const std::string& stream : streams) {
      TRY(log::Writer::open(Env::posix(), state_->log_dir(), stream));  // makes it
      TRY_ASSIGN(std::unique_ptr<log::Users> users, log::Users::open(Env::posix(), state_->log_dir(), stream));
      for (const PreparedTarget& target : targets_) TRY(register_user(*users, target));
    }
    TRY_ASSIGN(inflow_, origin_->fill(state_->log_dir()));
    return ok();
  }

  static std::string user_name(const PreparedTarget& target) { return "t" + target.state.id.substr(0, 12); }
  Status register_user(log::Users& users, const PreparedTarget& target) {
    Result<log::User> known = users.find(user_name(target));
    if (known || known.error().code() != Code::not_found) return known ? ok() : Status(std::move(known).error());
    // A target that was there before, whose user somebody deregistered: the log may have dropped
    // what it had not cleared.
    if (!target.fresh) TRY(state_->mark_rescan(target.state));
    TRY(users.register_user(user_name(target), kMaskAll));
    return ok();
  }

  Status make_runners() {
    for (const PreparedTarget& target : targets_) {
      RunnerSetup setup;
      setup.options = &options_;
      setup.target = target;
      setup.state_dir = options_.state_dir;
      if (!target.state.id.empty()) {
        setup.index_dir = state_->index_dir(target.state);
        setup.adopt_mark = state_->adopt_mark(target.state);
      }
      if (scratch_) setup.scratch_dir = scratch_->dir() + "/" + std::to_string(runners_.size());
      TRY_ASSIGN(setup.boot_id, boot_id());
      setup.origin = origin_.get();
      if (inflow_) {
        setup.log_dir = state_->log_dir();
        setup.inflow = inflow_.get();
        setup.log_user = user_name(target);
        setup.rescan_mark = state_->rescan_mark(target.state);
      }
      TRY_ASSIGN(std::unique_ptr<TargetRunner> runner, TargetRunner::create(std::move(setup)));
      runners_.push_back(std::move(runner));
    }
    return ok();
  }

  // Until there is a reason to end.
  Status watch(const std::function<Stop()>& stop) {
    Clock::time_point source_look = Clock::now();
    Clock::time_point progress_look = source_look;
    Clock::time_point status_look = Clock::now() - std::chrono::milliseconds(kStatusFileMs);
    while (true) {
      if (stop() != Stop::none) {
        if (options_.once) return Error(Code::cancelled, "interrupted");
        return ok();
      }
      if (options_.progress && Clock::now() - progress_look > std::chrono::milliseconds(kProgressMs)) {
        options_.progress(report());
        progress_look = Clock::now();
      }
      size_t finished = 0;
      for (auto& runner : runners_) {
        if (!runner->finished()) continue;
        ++finished;
        if (std::optional<Error> error = runner->take_error()) return std::move(*error);
      }
      if (finished == runners_.size()) return ok();
      if (inflow_) TRY(check_health());
      if (Clock::now() - source_look > std::chrono::milliseconds(kSourceLookMs)) {
        TRY(check_source());
        if (inflow_) TRY(purge());
        source_look = Clock::now();
      }
      if (!options_.once && Clock::now() - status_look > std::chrono::milliseconds(kStatusFileMs)) {
        ignore(replace_file(Env::posix(), state_->dir(), status_file(), report_json(report())), "only informs");
        status_look = Clock::now();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(kLookMs));
    }
  }

  Status check_health() {
    Status health = inflow_->health();
    if (health) return health;
    TRY(check_source());  // when it is gone that is what there is to say
    return health;
  }

  Status check_source() {
    Result<SourceIdentity> now = origin_->identify();
    if (now && *now == identity_) return ok();
    return Error(Code::not_found, "source " + options_.source + " is not there any more (unmounted?)");
  }

  Status purge() {
    for (const std::string& stream : inflow_->streams())
      TRY(log::purge_cleared(Env::posix(), state_->log_dir(), stream));
    return ok();
  }

  void stop_runners() {
    for (auto& runner : runners_) runner->ask_to_stop();
    Clock::time_point until = Clock::now() + std::chrono::milliseconds(kStopGraceMs);
    auto busy = [&] {
      return std::any_of(runners_.begin(), runners_.end(), [](const auto& runner) { return !runner->finished(); });
    };
    while (busy() && Clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    // A long copy is not waited for: the batch's intent is on disk, the next start looks at it.
    abandoned_ = busy();
  }

 public:
  bool abandoned() const { return abandoned_; }

 private:
  MirrorReport report() const {
    MirrorReport report;
    report.source = options_.source;
    report.state_dir = options_.state_dir;
    report.running = true;
    if (inflow_) report.log_end = inflow_->end();
    report.now_s = static_cast<int64_t>(Env::posix().realtime_ns() / 1000000000u);
    for (const auto& runner : runners_) report.targets.push_back(runner->report());
    return report;
  }

  Answer answer(const std::string& request, const std::function<bool()>& gone) {
    if (request == "status") return {0, report_json(report())};
    if (request == "wait") return wait(gone);
    return repair(request, gone);
  }

  Answer repair(const std::string& line, const std::function<bool()>& gone) {
    Result<RepairRequest> request = take_repair_request(state_->dir(), line);
    if (!request) return {1, "reel: " + request.error().text() + "\n"};
    if (request->source != options_.source)
      return {44, "reel: the mirror that runs is one of " + options_.source + ", not of " + request->source + "\n"};
    for (auto& runner : runners_) {
      if (runner->path() != request->target) continue;
      Status repaired = runner->repair(std::move(request->paths), gone);
      if (!repaired) return {11, "reel: " + repaired.error().text() + "\n"};
      return {0, ""};
    }
    return {44, "reel: " + request->target + " is no target of the mirror that runs\n"};
  }

  Answer wait(const std::function<bool()>& gone) {
    Result<log::Position> end = inflow_->barrier();
    if (!end) return {11, "reel: " + end.error().text() + "\n"};
    for (auto& runner : runners_) runner->retry_troubles();
    while (true) {
      if (gone()) return {11, "reel: the mirror was stopped before all was settled\n"};
      bool all = true;
      for (auto& runner : runners_) {
        if (runner->settled(*end)) continue;
        all = false;
        runner->hurry();
      }
      if (all) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    std::string text;
    for (const TargetReport& target : report().targets)
      for (const std::string& trouble : target.troubles) text += "reel: " + target.path + ": " + trouble + "\n";
    return {text.empty() ? 0 : 42, text};
  }

  void note(const std::string& text) const {
    if (options_.note) options_.note(text);
  }

  const MirrorOptions& options_;
  std::unique_ptr<Origin> origin_;
  SourceIdentity identity_;
  std::unique_ptr<Scratch> scratch_;  // dry run only
  std::unique_ptr<State> state_;      // null: a dry run without a state
  std::vector<PreparedTarget> targets_;
  std::unique_ptr<Inflow> inflow_;  // null: no log
  std::vector<std::unique_ptr<TargetRunner>> runners_;
  std::unique_ptr<ControlServer> control_;
  bool abandoned_ = false;
};

}  // namespace

MirrorEnd run_mirror(const MirrorOptions& options, const std::function<Stop()>& stop) {
  auto service = std::make_unique<Service>(options);
  MirrorEnd end{service->run(stop), service->abandoned()};
  // What threads still use stays until the process ends.
  if (end.abandoned) (void)service.release();
  return end;
}

}  // namespace reel::service

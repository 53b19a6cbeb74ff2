// SPDX-License-Identifier: Apache-2.0
#include "service/target/target_runner.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/kill_point.h"
#include "mirror/apply/dry_target.h"
#include "service/origin/log_feed.h"

namespace reel::service {
namespace {

constexpr int64_t kPollMs = 10;             // how soon a new record is noticed
constexpr int64_t kFirstPauseMs = 50;       // between batches; doubles while changes keep coming, so that
constexpr int64_t kPauseMaxMs = 1000;       // a file written again and again is copied a few times only
constexpr int64_t kAwayMs = 1000;           // between looks for a target that is away
constexpr int64_t kOncePatienceMs = 20000;  // --once waits this long for files that keep changing

int64_t steady_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}
int64_t realtime_s() {
  return static_cast<int64_t>(Env::posix().realtime_ns() / 1000000000u);
}

Result<bool> is_there(const std::string& file) {
  if (file.empty()) return false;
  Result<std::string> text = read_file(Env::posix(), file);
  if (text.is(Code::not_found)) return false;
  TRY(text);
  return true;
}

}  // namespace

Result<std::unique_ptr<TargetRunner>> TargetRunner::create(RunnerSetup setup) {
  std::unique_ptr<TargetRunner> runner(new TargetRunner(std::move(setup)));
  TRY(runner->build());
  return runner;
}

TargetRunner::TargetRunner(RunnerSetup setup) : setup_(std::move(setup)) {}

TargetRunner::~TargetRunner() {
  ask_to_stop();
  if (thread_.joinable()) thread_.join();
}

Status TargetRunner::build() {
  const MirrorOptions& options = *setup_.options;
  TRY_ASSIGN(source_, setup_.origin->open_tree([this](const Fid& fid) -> std::optional<std::pair<Fid, std::string>> {
    Result<std::optional<mirror::Object>> object = engine_->index().object(fid);
    if (!object || !*object) return std::nullopt;
    return std::make_pair((*object)->home.parent, (*object)->home.name);
  }));
  TRY(open_store());
  unsigned jobs = options.jobs ? options.jobs : std::max(1u, std::thread::hardware_concurrency());
  pool_ = std::make_unique<Pool>(std::max(jobs, setup_.origin->questions()) - 1);
  throttle_ = std::make_unique<mirror::Throttle>(options.bytes_per_second);
  if (setup_.inflow) {
    feed_ = make_log_feed(setup_.log_dir, *setup_.inflow);
    for (const std::string& stream : setup_.inflow->streams()) {
      TRY_ASSIGN(users_[stream], log::Users::open(Env::posix(), setup_.log_dir, stream));
    }
  }
  mirror::EngineOptions engine_options;
  engine_options.max_delete = options.max_delete;
  engine_options.boot_id = setup_.boot_id;
  engine_ = std::make_unique<mirror::Engine>(*store_, *source_, feed_.get(), *pool_, hooks(), engine_options);
  return ok();
}

Status TargetRunner::open_store() {
  if (setup_.scratch_dir.empty()) {
    TRY(make_dirs(Env::posix(), setup_.index_dir));
    TRY_ASSIGN(store_, mirror::open_rocks_store(setup_.index_dir));
    return ok();
  }
  std::unique_ptr<mirror::Store> base;
  // Marked, and then interrupted before there was an index: as good as new.
  bool is_there = !setup_.index_dir.empty() && Env::posix().list_dir(setup_.index_dir);
  if (is_there) {
    TRY_ASSIGN(base, mirror::open_rocks_store_to_read(setup_.index_dir));
  }
  TRY(make_dirs(Env::posix(), setup_.scratch_dir));
  TRY_ASSIGN(std::unique_ptr<mirror::Store> top, mirror::open_rocks_store(setup_.scratch_dir));
  store_ = mirror::make_overlay_store(std::move(base), std::move(top));
  return ok();
}

mirror::EngineHooks TargetRunner::hooks() {
  const MirrorOptions& options = *setup_.options;
  mirror::EngineHooks hooks;
  hooks.open_target = [this]() -> Result<std::unique_ptr<mirror::TargetTree>> {
    if (!setup_.scratch_dir.empty()) return mirror::open_dry_target(setup_.target.state.path);
    mirror::PosixTarget::Options target_options;
    target_options.throttle = throttle_.get();
    TRY_ASSIGN(std::unique_ptr<mirror::PosixTarget> target, open_target(setup_.target.state, target_options));
    return std::unique_ptr<mirror::TargetTree>(std::move(target));
  };
  hooks.stop = &stopping_;
  hooks.now_s = realtime_s;
  hooks.monotonic_ms = steady_ms;
  hooks.exclude = options.exclude;
  // One of a kind says enough; how many there are is counted.
  hooks.note = [this](const std::string& text) {
    if (setup_.options->note && !std::exchange(noted_, true))
      setup_.options->note("target " + setup_.target.state.path + ": " + text + "; others are only counted");
  };
  if (options.done) hooks.done = [this](const mirror::Done& done) { show(done); };
  if (setup_.inflow) {
    hooks.barrier = [this] { return setup_.inflow->barrier(); };
    hooks.clear = [this](const log::Position& end) { return clear_log(end); };
  }
  return hooks;
}

void TargetRunner::start() {
  thread_ = std::thread([this] { run(); });
}
void TargetRunner::ask_to_stop() {
  stopping_ = true;
  if (throttle_) throttle_->stop();
  std::lock_guard lock(mutex_);
  stop_ = true;
  wake_.notify_all();
}
void TargetRunner::hurry() {
  hurry_ = true;
  wake_.notify_all();
}

Status TargetRunner::repair(std::vector<std::string> paths, const std::function<bool()>& gone) {
  auto repair = std::make_shared<Repair>();
  repair->paths = std::move(paths);
  constexpr std::chrono::milliseconds kLook(5);
  std::unique_lock lock(mutex_);
  while (repair_) {  // somebody else's
    if (gone()) return Error(Code::cancelled, "given up");
    wake_.wait_for(lock, kLook);
  }
  repair_ = repair;
  hurry_ = true;
  wake_.notify_all();
  while (!repair->done) {
    if (gone() && repair_ == repair) {
      repair_.reset();
      return Error(Code::cancelled, "given up");
    }
    if (absent_) {
      repair_.reset();
      return Error(Code::not_found, problem_);
    }
    wake_.wait_for(lock, kLook);
  }
  return std::move(*repair->done);
}

Status TargetRunner::take_repair() {
  std::shared_ptr<Repair> repair;
  {
    std::lock_guard lock(mutex_);
    if (!repair_) return ok();
    repair = repair_;
  }
  Status done = engine_->repair(repair->paths);
  std::lock_guard lock(mutex_);
  repair->done = done ? ok() : Status(done.error().clone());
  if (repair_ == repair) repair_.reset();
  wake_.notify_all();
  return done;
}

std::optional<Error> TargetRunner::take_error() {
  std::optional<Error> error = std::move(error_);
  error_.reset();
  return error;
}

void TargetRunner::run() {
  Status status = go();
  while (!status && handle(std::move(status).error())) {
    if (!wait_for_news(kAwayMs)) break;
    status = go();
  }
  engine_->release_target();
  finished_ = true;
}

// An error ended the engine's work. True: try again later; false: it is final.
bool TargetRunner::handle(Error error) {
  engine_->release_target();
  bool away = error.code() == Code::not_found || error.code() == Code::conflict;
  bool passing = away || error.code() == Code::io || error.code() == Code::no_space;
  if (!passing || setup_.options->once) {
    error_ = std::move(error).with("target " + setup_.target.state.path);
    return false;
  }
  std::lock_guard lock(mutex_);
  if (problem_ != error.text() && setup_.options->note)
    setup_.options->note("target " + setup_.target.state.path + ": " + error.text() + "; trying again");
  problem_ = error.text();
  absent_ = away;
  return !stop_;
}

// Sleeps at most this long, less when asked to stop or to hurry. False: stop.
bool TargetRunner::wait_for_news(int64_t pause_ms) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, std::chrono::milliseconds(pause_ms), [this] { return stop_ || hurry_; });
  return !stop_;
}

Status TargetRunner::clear_log(const log::Position& end) {
  for (const auto& [stream, index] : end.streams()) {
    auto users = users_.find(stream);
    if (users == users_.end()) continue;  // one that the source does not have any more
    Status cleared = users->second->clear(setup_.log_user, index);
    // Cleared that far already: the end of the log went with a crash.
    if (!cleared && !cleared.is(Code::not_found) && !cleared.is(Code::invalid)) return cleared;
  }
  return ok();
}

// What was cleared had been applied, and the index durable: if it does not know of it, it is not the one
// that was written last.
Status TargetRunner::check_age() {
  log::Position cursor = engine_->progress().cursor;
  for (const auto& [stream, users] : users_) {
    TRY_ASSIGN(log::User user, users->find(setup_.log_user));
    uint64_t cleared = std::min(user.cleared, setup_.inflow->last(stream));
    if (cursor.at(stream) == 0 || cursor.at(stream) >= cleared) continue;  // 0: a new one, which begins with a scan
    return Error(Code::corrupt, "index " + setup_.index_dir +
                                    " is older than the log says (an old copy, or damaged); move "
                                    "the mirror's state directory away and start again with --adopt");
  }
  return ok();
}

// Also what an earlier run began and did not finish.
Status TargetRunner::adopt() {
  TRY_ASSIGN(bool marked, is_there(setup_.adopt_mark));
  if (!marked && !setup_.target.adopted) return ok();
  TRY(engine_->adopt());
  if (!marked || !setup_.scratch_dir.empty()) return ok();
  kill_point("adopt.done");
  return Env::posix().unlink(setup_.adopt_mark);
}

Status TargetRunner::begin() {
  const MirrorOptions& options = *setup_.options;
  TRY(engine_->start());
  if (setup_.inflow) {
    TRY_ASSIGN(bool rescan, is_there(setup_.rescan_mark));
    if (rescan) {
      TRY(engine_->request_scan());
      kill_point("rescan.requested");
      TRY(Env::posix().unlink(setup_.rescan_mark));
    } else {
      TRY(check_age());
    }
  }
  if (options.repair) return engine_->repair(*options.repair);
  TRY(engine_->set_filter(options.filter_text));
  if (!prepared_) TRY(adopt());
  prepared_ = true;
  if (options.once) TRY(engine_->request_scan());
  return ok();
}

Status TargetRunner::go() {
  TRY(begin());
  {
    std::lock_guard lock(mutex_);
    problem_.clear();
    absent_ = false;
  }
  quiet_since_ms_ = steady_ms();
  log::Position seen;
  while (true) {
    TRY(take_repair());
    bool retry = retry_asked_;  // before the step, which then applies what was in the log before it was asked
    TRY_ASSIGN(bool worked, engine_->step());
    scan_done_ = engine_->progress().scans_pending == 0;
    if (worked) {
      quiet_since_ms_ = steady_ms();
      bool more_to_scan = engine_->progress().scans_pending > 0;
      bool at_once = more_to_scan || hurry_ || setup_.options->once;
      pause_ms_ = std::min(kPauseMaxMs, pause_ms_ ? pause_ms_ * 2 : kFirstPauseMs);
      if (!wait_for_news(at_once ? 0 : pause_ms_)) return ok();
      continue;
    }
    if (setup_.options->once && once_done()) return ok();
    if (retry) {
      TRY(engine_->retry_troubles());
      retry_asked_ = false;
      continue;
    }
    hurry_ = false;
    engine_->release_target();
    if (steady_ms() - quiet_since_ms_ > kPauseMaxMs) pause_ms_ = 0;
    if (setup_.inflow) seen = setup_.inflow->end();
    int64_t until = steady_ms() + 1000;  // retries fall due by the clock
    while (steady_ms() < until && (!setup_.inflow || setup_.inflow->end() == seen) && !hurry_)
      if (!wait_for_news(kPollMs)) return ok();
  }
}

bool TargetRunner::once_done() const {
  mirror::Progress progress = engine_->progress();
  if (progress.scans_pending > 0) return false;
  return progress.retries_pending == 0 || steady_ms() - quiet_since_ms_ > kOncePatienceMs;
}

bool TargetRunner::settled(const log::Position& end) const {
  {
    std::lock_guard lock(mutex_);
    if (absent_ || !problem_.empty() || retry_asked_) return false;
  }
  mirror::Progress progress = engine_->progress();
  return progress.settled && progress.durable.reaches(end);
}

TargetReport TargetRunner::report() const {
  TargetReport report;
  report.path = setup_.target.state.path;
  report.progress = engine_->progress();
  report.troubles = report.progress.trouble_texts;
  {
    std::lock_guard lock(mutex_);
    report.progress.problem = problem_;
    if (absent_) report.progress.phase = "absent";
    if (!problem_.empty()) report.progress.settled = false;
  }
  mirror::Counters& counters = engine_->counters();
  report.records = counters.records;
  report.created = counters.created;
  report.removed = counters.removed;
  report.renames = counters.renames;
  report.links = counters.links;
  report.attributes = counters.attributes;
  report.files_copied = counters.files_copied;
  report.bytes_copied = counters.bytes_copied;
  report.bytes_cloned = counters.bytes_cloned;
  report.files_compared = counters.files_compared;
  report.batches = counters.batches;
  report.scanned = counters.scanned;
  report.entries_seen = counters.entries_seen;
  report.lookups = counters.lookups;
  report.layouts_lost = counters.layouts_lost;
  report.applied = counters.applied;
  report.planned = counters.planned;
  report.bytes_moved = std::max(report.bytes_copied, setup_.scratch_dir.empty() ? throttle_->spent() : 0);
  report.scan_done = scan_done_;
  log::Position end = setup_.inflow ? setup_.inflow->end() : log::Position();
  for (const auto& [stream, index] : end.streams())
    report.backlog += index - std::min(index, report.progress.cursor.at(stream));
  return report;
}

Result<std::string> TargetRunner::path_of(const mirror::EntryKey& key) {
  std::string path = key.name;
  Fid at = key.parent;
  while (at != source_->root() && at != mirror::kParkFid) {
    TRY_ASSIGN(std::optional<mirror::Object> object, engine_->index().object(at));
    if (!object) return path;
    path = object->home.name + "/" + path;
    at = object->home.parent;
  }
  if (at != mirror::kParkFid) return path;
  // A person knows it by the place that it was parked from.
  std::string name = path.substr(0, path.find('/'));
  auto parked = parked_from_.find(name);
  std::string top = parked == parked_from_.end() ? ".reel/park/" + name : parked->second;
  return top + path.substr(name.size());
}

void TargetRunner::show(const mirror::Done& done) {
  Result<std::string> path = path_of(done.key);
  Result<std::string> from = done.from.name.empty() ? Result<std::string>(std::string()) : path_of(done.from);
  if (!path || !from) return;
  if (done.kind == mirror::Done::Kind::park) {
    parked_from_[done.key.name] = *from;
    return;
  }
  bool was_parked = done.kind == mirror::Done::Kind::move && done.from.parent == mirror::kParkFid;
  if (was_parked) parked_from_.erase(done.from.name);
  bool removed = done.kind == mirror::Done::Kind::remove && done.key.parent == mirror::kParkFid;
  if (removed) parked_from_.erase(done.key.name);
  setup_.options->done(setup_.target.state.path, done, *path, *from);
}

}  // namespace reel::service

// SPDX-License-Identifier: Apache-2.0
#include "lustre/mirror_world.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "lustre/model_tree.h"
#include "service/origin/log_feed.h"

namespace reel::model {
namespace {

constexpr const char* kLogDir = "/log";
constexpr int kBarrierSteps = 40;  // the world goes on meanwhile
constexpr int kSettleSteps = 600;  // that bring no more records into the target

// Loses every 20th record.
class LossyFeed final : public mirror::Feed {
 public:
  explicit LossyFeed(std::unique_ptr<mirror::Feed> feed) : feed_(std::move(feed)) {}
  const std::vector<std::string>& streams() const override { return feed_->streams(); }
  Result<bool> next(Record& record, size_t& stream) override {
    TRY_ASSIGN(bool more, feed_->next(record, stream));
    bool lost = more && record.type != RecordType::gap && record.index % 20 == 0;
    return lost ? feed_->next(record, stream) : more;
  }
  Status start_after(const log::Position& position) override { return feed_->start_after(position); }
  log::Position last() override { return feed_->last(); }

 private:
  std::unique_ptr<mirror::Feed> feed_;
};

}  // namespace

MirrorPlan random_mirror_plan(log::Random& random) {
  auto chance = [&](uint64_t of, double most) {
    return random.below(of) == 0 ? most * static_cast<double>(random.below(1000)) / 1000 : 0;
  };
  MirrorPlan plan;
  plan.crash = chance(2, 0.02);
  plan.source_error = chance(3, 0.05);
  plan.target_error = chance(3, 0.1);
  plan.move_under_feet = chance(1, 0.2);
  return plan;
}

MirrorWorld::MirrorWorld(uint64_t seed, SimPlan plan, MirrorPlan mirror_plan)
    : SimWorld(seed, plan), mirror_plan_(mirror_plan), world_(seed) {
  if (plan.kills) world_.faults.crash = mirror_plan.crash;
  world_.faults.source_error = mirror_plan.source_error;
  world_.faults.target_error = mirror_plan.target_error;
  world_.faults.move_under_feet = mirror_plan.move_under_feet;
  for (const Follow& follow : follows_) names_.push_back("mdt" + std::to_string(follow.mdt->index()));
}

// The real one ends when a stream does, and all of it is started anew.
void MirrorWorld::started() {
  engine_.reset();
}

void MirrorWorld::died(bool machine) {
  engine_.reset();
  states_.clear();
  if (machine) world_.machine_died();
}

void MirrorWorld::becomes_quiet() {
  world_.faults = {};
  engine_.reset();
}

void MirrorWorld::remember() {
  for (const Follow& follow : follows_)
    if (follow.stream) states_[follow.stream->state().stream] = follow.stream->state();
}

const source::lustre::StreamState& MirrorWorld::find(const std::string& stream) const {
  static const source::lustre::StreamState kNone;
  auto found = states_.find(stream);
  return found == states_.end() ? kNone : found->second;
}

uint64_t MirrorWorld::released(const std::string& stream) const {
  return mirror_plan_.takes_unreleased ? find(stream).last : find(stream).released;
}

// The real one waits for the threads of the streams; here they are stepped.
Result<log::Position> MirrorWorld::barrier() {
  ++ticket_;
  log::Position end;
  for (Follow& follow : follows_) {
    if (!follow.stream) return Error(Code::io, "a stream is not open");
    for (int i = 0; follow.stream->served() < ticket_; ++i) {
      if (i == kBarrierSteps) return Error(Code::io, follow.mdt->name() + " cannot be reached");
      Step step = follow.stream->step(ticket_);
      if (env_.dead()) throw sim::Crash{};
      if (step == Step::ended) return std::move(*follow.stream->error());
      fs_.clock().sleep_ms(20);
    }
    end.set(follow.stream->state().stream, follow.stream->state().released);
  }
  remember();
  return end;
}

Status MirrorWorld::before_look() {
  if (quiet_) return ok();
  if (world_.chance() < world_.faults.move_under_feet) workload_.step();
  if (world_.chance() < world_.faults.source_error) return Error::from_errno(world_.pick(2) ? EIO : EACCES, "injected");
  return ok();
}

void MirrorWorld::start_engine() {
  bool all = std::all_of(follows_.begin(), follows_.end(), [](const Follow& f) { return f.stream != nullptr; });
  if (!all) return;
  remember();
  tree_ = model_tree(fs_, [this] { return before_look(); });
  store_ = sim_store(world_);
  feed_ = service::make_log_feed(kLogDir, *this, env_);
  if (mirror_plan_.drops_records) feed_ = std::make_unique<LossyFeed>(std::move(feed_));
  mirror::EngineHooks hooks;
  hooks.open_target = [this]() -> Result<std::unique_ptr<mirror::TargetTree>> { return sim_target(world_); };
  hooks.barrier = [this] { return barrier(); };
  hooks.now_s = [this] { return static_cast<int64_t>(fs_.clock().ns / 1'000'000'000); };
  hooks.monotonic_ms = [this] { return static_cast<int64_t>(fs_.clock().ns / 1'000'000); };
  hooks.planned = [this](const mirror::Plan&) { ++batches_; };
  mirror::EngineOptions options;
  options.batch_changes = 5 + world_.pick(60);
  options.boot_id = world_.boot;
  engine_ = std::make_unique<mirror::Engine>(*store_, *tree_, feed_.get(), pool_, std::move(hooks), options);
  if (Status started = engine_->start(); !started) {
    trace("engine does not start: " + started.error().text());
    engine_.reset();
  }
}

Result<bool> MirrorWorld::step_engine() {
  if (!engine_) start_engine();
  if (!engine_) return true;
  remember();
  Result<bool> worked = engine_->step();
  trace(std::string("engine: ") + (worked ? *worked ? "worked" : "idle" : worked.error().text()) + ", cursor " +
        engine_->progress().cursor.text());
  for (const std::string& text : engine_->progress().trouble_texts) trace("  trouble " + text);
  if (!worked) engine_.reset();
  return worked;
}

void MirrorWorld::work() {
  if (random_.below(3) == 0) return;
  try {
    Result<bool> stepped = step_engine();
    ignore(stepped, "it is started anew");
  } catch (const sim::Crash&) {
    restart(random_.below(3) == 0);
  }
}

// Nothing goes wrong any more. Empty: all is equal.
std::string MirrorWorld::settle_engine() {
  std::string difference = "does not settle";
  std::string cursor;
  for (int i = 0; i < kSettleSteps && wrong_.empty(); ++i) {
    for (size_t which = 0; which < follows_.size(); ++which) step(which);
    fs_.clock().sleep_ms(i % 10 == 0 ? 400'000 : 1);  // what is to be tried again is due now and then
    Result<bool> worked = step_engine();
    if (!worked) return "engine: " + worked.error().text();
    if (!engine_) continue;
    if (std::string now = engine_->progress().cursor.text(); now != cursor) {
      cursor = now;
      i = 0;
    }
    if (*worked) continue;
    mirror::Progress progress = engine_->progress();
    if (!progress.settled || progress.parked > 0) continue;
    difference = compare_with(fs_, world_.target, progress.troubles > 0);
    bool left =
        std::any_of(fs_.inodes().begin(), fs_.inodes().end(), [](const auto& each) { return each.second.released; });
    if (progress.troubles > 0 && !left) {
      difference = "trouble: " + progress.trouble_texts.front();
      continue;
    }
    break;
  }
  return wrong_.empty() ? difference : wrong_;
}

std::string MirrorWorld::settle_mirror() {
  std::string difference = settle_engine();
  if (!difference.empty()) return "with released files: " + difference;
  fs_.restore_all();
  fs_.commit();
  return settle_engine();
}

}  // namespace reel::model

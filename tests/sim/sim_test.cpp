// SPDX-License-Identifier: Apache-2.0
//
// The whole mirror in one thread against a simulated world (world.h says what goes wrong in it):
// after any of it, once the source is quiet, the target is equal. A failing seed is printed; run it
// again with REEL_SIM_SEED=N, REEL_SIM_TRACE=1 prints every plan.
// REEL_SIM_SEEDS=N runs that many.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "sim/world.h"

namespace reel::sim {
namespace {

using namespace reel::mirror;

const bool kTrace = std::getenv("REEL_SIM_TRACE") != nullptr;

void print_plan(const Plan& plan) {
  auto show = [](const char* what, const std::vector<Op>& ops) {
    for (const Op& op : ops)
      std::printf("  %s %s %s/%s -> %s/%s\n", what, to_string(op.fid).c_str(), to_string(op.from.parent).c_str(),
                  op.from.name.c_str(), to_string(op.to.parent).c_str(), op.to.name.c_str());
  };
  std::printf("plan\n");
  show("move", plan.moves);
  show("unlink", plan.unlinks);
  show("rmdir", plan.rmdirs);
  show("mkdir", plan.mkdirs);
  show("place", plan.places);
  show("create", plan.creates);
  show("link", plan.links);
  show("sync", plan.syncs);
  show("dir", plan.dirs);
}

void dump(const char* side, const SimFs& fs, uint64_t ino, const std::string& path) {
  std::printf("%s %s %s\n", side, to_string(fs.fid(ino)).c_str(), path.c_str());
  for (const auto& [name, child] : fs.find(ino)->entries) dump(side, fs, child, path + "/" + name);
}

struct Run {
  World world;
  std::unique_ptr<SourceTree> source;
  std::unique_ptr<Store> store;
  std::unique_ptr<Feed> feed;
  Pool pool{0};
  std::unique_ptr<Engine> engine;
  int crashes = 0;
  bool tampered = false;
  bool starts_again = false;  // the engine, after an error

  explicit Run(uint64_t seed) : world(seed) {}

  void boot_engine() {
    source = sim_source(world);
    store = sim_store(world);
    feed = sim_feed(world);
    EngineHooks hooks;
    hooks.open_target = [this]() -> Result<std::unique_ptr<TargetTree>> { return sim_target(world); };
    hooks.barrier = [this]() -> Result<log::Position> {
      world.drain();
      world.commit_log();
      return world.log_end();
    };
    hooks.now_s = [this] { return world.now_s; };
    hooks.exclude = world.exclude;
    hooks.monotonic_ms = [this] { return world.now_s * 1000; };
    if (kTrace) hooks.planned = print_plan;
    EngineOptions options;
    options.batch_changes = 5 + world.pick(60);
    options.scan_changes = 5 + world.pick(options.batch_changes);
    options.boot_id = world.boot;
    options.lost_writes = {World::kWrittenBackSeconds, World::kReadSeconds};
    engine = std::make_unique<Engine>(*store, *source, feed.get(), pool, std::move(hooks), options);
  }
  Status start_engine() {
    boot_engine();
    TRY(engine->start());
    return engine->set_filter(world.filter_text);
  }

  // An error may be all there is to see of a target that was torn away and is back.
  void failed() {
    engine->release_target();
    starts_again = world.pick(2) == 0;
    if (world.pick(2)) starts_again ? world.write_back_failed() : tear();
    if (!starts_again) engine.reset();
  }
  void tear() {
    world.write_back_failed();
    ++world.target_mount;
  }

  // One step of the mirror, started anew after a crash or an error.
  void step() {
    try {
      if (!engine) {
        if (world.filters && world.pick(4) == 0) world.pick_filter();
        if (!start_engine()) engine.reset();
        return;
      }
      if (starts_again) {
        if (engine->start()) starts_again = false;
        return;
      }
      world.now_s += static_cast<int64_t>(world.pick(8));
      if (world.chance() < world.faults.torn) {
        failed();
        return;
      }
      Result<bool> worked = engine->step();
      if (kTrace) {
        std::printf("after: scans %llu\n", static_cast<unsigned long long>(engine->progress().scans_pending));
        if (Result<std::vector<Fid>> scans = engine->index().scans(100); scans)
          for (const Fid& dir : *scans) std::printf("    scan %s\n", to_string(dir).c_str());
        if (!worked) std::printf("step: %s\n", worked.error().text().c_str());
        for (const std::string& text : engine->progress().trouble_texts) std::printf("  trouble %s\n", text.c_str());
      }
      if (!worked) failed();
    } catch (const Crash&) {
      ++crashes;
      if (kTrace) std::printf("crash\n");
      engine.reset();
      if (std::exchange(starts_again, false)) ++world.target_mount;
      if (world.pick(3) == 0)
        world.machine_died();
      else
        world.process_died();
      if (world.chance() < world.faults.torn) tear();
    }
  }

  std::string difference_now(std::string* path = nullptr) {
    return compare(world.fs, world.source_root, world.target, SimFs::kRoot, world.exclude, tampered, path);
  }

  // Somebody wrote to the target: what verify tells is repaired, one path after the other.
  std::string tamper_and_repair() {
    tampered = true;
    for (uint64_t i = 1 + world.pick(5); i > 0; --i) world.tamper();
    std::string path;
    std::string difference;
    for (int tries = 0; tries < 50; ++tries) {
      difference = difference_now(&path);
      if (difference.empty()) return "";
      if (kTrace) std::printf("repair %s\n", difference.c_str());
      if (Status repaired = engine->repair({path}); !repaired) return "repair: " + repaired.error().text();
      settle();
    }
    return "not repaired: " + difference;
  }

  // Nothing goes wrong any more, nothing changes: it must become equal. "" or what is wrong.
  std::string settle() {
    world.faults = {};
    for (int i = 0; i < 400; ++i) {
      world.drain();
      world.commit_log();
      world.now_s += 400;
      if (!engine)
        if (Status started = start_engine(); !started) return "start: " + started.error().text();
      if (std::exchange(starts_again, false))
        if (Status started = engine->start(); !started) return "start again: " + started.error().text();
      Result<bool> worked = engine->step();
      if (!worked) return "step: " + worked.error().text();
      Progress progress = engine->progress();
      if (kTrace)
        std::printf("settling: cursor %s, scans %llu, retries %llu, parked %llu, troubles %llu\n",
                    progress.cursor.text().c_str(), static_cast<unsigned long long>(progress.scans_pending),
                    static_cast<unsigned long long>(progress.retries_pending),
                    static_cast<unsigned long long>(progress.parked),
                    static_cast<unsigned long long>(progress.troubles));
      if (kTrace && progress.parked)
        ignore(engine->index().list(kParkFid, "",
                                    [](const std::string& name, const Entry&, const Object* object) {
                                      std::printf("  parked %s until %llu\n", name.c_str(),
                                                  object ? static_cast<unsigned long long>(object->parked_until) : 0);
                                      return true;
                                    }),
               "only shows");
      if (*worked || !progress.settled) continue;
      if (progress.troubles) continue;
      std::string difference = difference_now();
      if (difference.empty() && progress.parked > 0) continue;  // what is parked must go in the end
      if (!difference.empty() && kTrace) {
        dump("source", world.fs, world.source_root, "");
        dump("target", world.target, SimFs::kRoot, "");
      }
      return difference;
    }
    return "does not settle";
  }
};

// REEL_SIM_ONLY=cstmf keeps crashes, source errors, target errors, moves under the feet, filters.
bool is_kept(char what) {
  const char* text = std::getenv("REEL_SIM_ONLY");
  return !text || std::string(text).find(what) != std::string::npos;
}
void keep_only(Faults& faults) {
  if (!is_kept('c')) faults.crash = 0;
  if (!is_kept('s')) faults.source_error = 0;
  if (!is_kept('t')) faults.target_error = faults.torn = 0;
  if (!is_kept('m')) faults.move_under_feet = 0;
}

struct Options {
  bool faults = true;
  bool canary_records = false, canary_intents = false, canary_mounting = false, canary_ctime = false,
       canary_intact = false;
  bool several_streams = false;  // 2 to 4, records spread over them, read in any order between them
};

std::string run_seed(uint64_t seed, const Options& options) {
  Run run(seed);
  World& world = run.world;
  world.canary_drop_record = options.canary_records;
  world.canary_forget_intents = options.canary_intents;
  world.canary_same_mounting = options.canary_mounting;
  world.canary_fine_ctime = options.canary_ctime;
  world.canary_all_intact = options.canary_intact;
  world.fine_ctime = seed % 2 == 0;
  if (options.several_streams) world.split_log(2 + seed % 3);
  world.filters = seed % 3 == 0 && is_kept('f');
  if (world.filters) world.pick_filter();
  for (uint64_t i = world.pick(60); i > 0; --i) world.random_change();
  world.queue.clear();
  world.gap("first start", kFlagUnwatched);
  world.drain();
  world.commit_log();
  if (options.faults) {
    if (world.pick(2)) world.faults.crash = 0.02 * world.chance();
    if (world.pick(3) == 0) world.faults.source_error = 0.05 * world.chance();
    if (world.pick(3) == 0) world.faults.target_error = 0.1 * world.chance();
    if (world.pick(3) == 0) world.faults.torn = 0.1 * world.chance();
    world.faults.move_under_feet = 0.2 * world.chance();
    keep_only(world.faults);
  }
  for (uint64_t round = 10 + world.pick(60); round > 0; --round) {
    for (uint64_t i = world.pick(12); i > 0; --i) world.random_change();
    if (world.pick(3)) world.drain();
    if (world.pick(2)) world.commit_log();
    run.step();
  }
  if (options.faults && world.pick(4) == 0) {  // nothing comes after it that would lead to the files again
    run.engine.reset();
    if (std::exchange(run.starts_again, false)) ++world.target_mount;
    world.holder_died();
  }
  std::string difference = run.settle();
  return difference.empty() && seed % 4 == 0 ? run.tamper_and_repair() : difference;
}

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

void run_seeds(const Options& options, uint64_t usual_count) {
  if (uint64_t seed = from_environment("REEL_SIM_SEED", 0)) {
    EXPECT_EQ(run_seed(seed, options), "");
    return;
  }
  uint64_t count = from_environment("REEL_SIM_SEEDS", usual_count);
  auto begin = std::chrono::steady_clock::now();
  int failures = 0;
  for (uint64_t seed = 1; seed <= count && failures < 5; ++seed) {
    std::string difference = run_seed(seed, options);
    if (difference.empty()) continue;
    ++failures;
    std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    ADD_FAILURE() << difference << "\nagain: REEL_SIM_SEED=" << seed << " sim_test --gtest_filter=*" << name;
  }
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%llu seeds, %.0f a minute\n", static_cast<unsigned long long>(count),
              static_cast<double>(count) * 60 / seconds);
}

// A directory moved into what was its own child, and the record of the child's move got lost: a state that
// should not be, and the mirror gets out of it by itself.
TEST(Simulation, DirectoriesInsideEachOtherAreUntangled) {
  sim::Run run(1);
  World& world = run.world;
  uint64_t outer = 0, inner = 0, file = 0;
  world.fs.create(world.source_root, "outer", FileType::directory, 0755, &outer);
  world.fs.create(outer, "inner", FileType::directory, 0755, &inner);
  world.fs.create(inner, "file", FileType::regular, 0644, &file);
  world.gap("first start", kFlagUnwatched);
  ASSERT_EQ(run.settle(), "");
  world.fs.rename(outer, "inner", world.source_root, "inner", false);
  world.fs.rename(world.source_root, "outer", inner, "outer", false);
  OwnedRecord record;
  record.record.type = RecordType::renme;
  record.record.source = world.fs.fid(outer);
  record.record.source_parent = world.fs.fid(world.source_root);
  record.record.parent = world.fs.fid(inner);
  record.name = record.source_name = "outer";
  world.queue.push_back(record);
  EXPECT_EQ(run.settle(), "");
}

// A file is copied, then reel and its holder die; `meanwhile` happens. What is different then; `compared`: files whose
// contents the start looked at.
std::string after_a_start_without_holder(const std::function<void(World&, uint64_t file)>& meanwhile,
                                         uint64_t* compared) {
  Run run(1);
  World& world = run.world;
  uint64_t file = 0;
  world.fs.now_s = world.now_s;
  world.fs.create(world.source_root, "file", FileType::regular, 0644, &file);
  world.fs.write(file, "data");
  world.gap("first start", kFlagUnwatched);
  world.drain();
  world.commit_log();
  EXPECT_TRUE(run.start_engine());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(run.engine->step());
  EXPECT_EQ(run.difference_now(), "");
  run.engine.reset();
  meanwhile(world, file);
  world.gap("holder gone", kFlagUnwatched);
  EXPECT_TRUE(run.start_engine());
  world.drain();
  world.commit_log();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(run.engine->step());
  *compared = run.engine->counters().files_compared + run.engine->counters().files_copied;
  return run.difference_now();
}
void lose_it(World& world, uint64_t) {
  world.fs.lose_writes(world.now_s, [] { return true; });
}

TEST(Simulation, WritesAreComparedOnlyWhenTheSourceMayHaveLostThem) {
  uint64_t compared = 0;
  EXPECT_EQ(after_a_start_without_holder([](World&, uint64_t) {}, &compared), "");
  EXPECT_EQ(compared, 0u);
  auto torn = [](World& world, uint64_t file) {
    lose_it(world, file);
    ++world.source_mount;
  };
  EXPECT_EQ(after_a_start_without_holder(torn, &compared), "");
  auto crashed = [](World& world, uint64_t file) {
    lose_it(world, file);
    world.boot += "+";
  };
  EXPECT_EQ(after_a_start_without_holder(crashed, &compared), "");
  auto unmounted = [](World& world, uint64_t) { ++world.source_mount; };
  EXPECT_EQ(after_a_start_without_holder(unmounted, &compared), "");
  EXPECT_EQ(compared, 1u);
  EXPECT_NE(after_a_start_without_holder(lose_it, &compared), "") << "the test itself sees nothing";
}

TEST(Simulation, EndsEqualWhateverHappens) {
  run_seeds({}, 10000);
}

TEST(Simulation, SeveralStreamsEndEqualWhateverHappens) {
  Options options;
  options.several_streams = true;
  run_seeds(options, 5000);
}

// The simulation must be able to see: bugs put in on purpose are found.
TEST(Simulation, FindsALostRecord) {
  Options options;
  options.canary_records = true;
  for (uint64_t seed = 1; seed <= 500; ++seed)
    if (!run_seed(seed, options).empty()) return;
  FAIL() << "a mirror that misses every 20th record passed 500 seeds";
}
TEST(Simulation, FindsAForgottenIntent) {
  Options options;
  options.canary_intents = true;
  for (uint64_t seed = 1; seed <= 2000; ++seed)
    if (!run_seed(seed, options).empty()) return;
  FAIL() << "a mirror that does not remember what it began passed 2000 seeds";
}

TEST(Simulation, FindsASourceThatWasTornAwayAndIsTakenForTheSame) {
  Options options;
  options.canary_mounting = true;
  for (uint64_t seed = 1; seed <= 2000; ++seed)
    if (!run_seed(seed, options).empty()) return;
  FAIL() << "a mirror that does not see that the source was mounted anew passed 2000 seeds";
}
TEST(Simulation, FindsACoarseCtimeThatIsTakenForFine) {
  Options options;
  options.canary_ctime = true;
  for (uint64_t seed = 1; seed <= 2000; ++seed)
    if (!run_seed(seed, options).empty()) return;
  FAIL() << "a mirror that believes a ctime which moves once a tick passed 2000 seeds";
}

TEST(Simulation, FindsAComparisonThatDoesNotCompare) {
  Options options;
  options.canary_intact = true;
  for (uint64_t seed = 1; seed <= 2000; ++seed)
    if (!run_seed(seed, options).empty()) return;
  FAIL() << "a mirror that takes each suspected copy for intact passed 2000 seeds";
}

}  // namespace
}  // namespace reel::sim

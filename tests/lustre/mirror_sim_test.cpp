// SPDX-License-Identifier: Apache-2.0
//
// From the model's changelogs to an equal target, through everything that is ours: random workloads on one to
// four MDTs; crashes of clients, MDSs, reel and its machine; users evicted, masks without CLOSE, holes, indexes
// that come again. A failing seed says how to run it again; REEL_SIM_SEEDS=N runs that many, from
// REEL_SIM_FIRST on.
#include <gtest/gtest.h>

#include <cstdlib>

#include "lustre/mirror_world.h"

namespace reel::model {
namespace {

uint64_t number(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(LustreMirrorSim, EndsEqualWhateverHappens) {
  uint64_t only = number("REEL_SIM_SEED", 0);
  uint64_t seeds = only ? 1 : number("REEL_SIM_SEEDS", 1500);
  uint64_t records = 0, gaps = 0, batches = 0;
  for (uint64_t seed = only ? only : number("REEL_SIM_FIRST", 1); seeds > 0; --seeds, ++seed) {
    log::Random random(seed);
    SimPlan plan = random_plan(random);
    plan.bad_bytes = false;  // sim_test
    MirrorWorld world(seed, plan, random_mirror_plan(random));
    std::string wrong = world.run(150);
    ASSERT_EQ(wrong, "") << "again: REEL_SIM_SEED=" << seed
                         << " REEL_SIM_TRACE=1 lustre_mirror_sim_test --gtest_filter=*EndsEqual*";
    records += world.records();
    gaps += world.gaps();
    batches += world.batches();
  }
  std::printf("%llu records, %llu gaps, %llu batches\n", static_cast<unsigned long long>(records),
              static_cast<unsigned long long>(gaps), static_cast<unsigned long long>(batches));
}

uint64_t first_found(const SimPlan& plan, const MirrorPlan& mirror_plan, uint64_t seeds) {
  for (uint64_t seed = number("REEL_SIM_FIRST", 1); seed <= seeds; ++seed) {
    std::string wrong = MirrorWorld(seed, plan, mirror_plan).run(150);
    if (wrong.empty()) continue;
    std::printf("found at seed %llu: %s\n", static_cast<unsigned long long>(seed), wrong.c_str());
    return seed;
  }
  return 0;
}

SimPlan calm() {
  SimPlan plan;
  plan.mdts = 2;
  plan.kills = plan.admin = plan.mds_crashes = plan.call_faults = plan.holes = plan.other_users = false;
  return plan;
}

TEST(LustreMirrorSim, CanaryThatLosesARecordIsFound) {
  MirrorPlan plan;
  EXPECT_EQ(first_found(calm(), plan, 50), 0u) << "the same without the fault";
  plan.drops_records = true;
  EXPECT_NE(first_found(calm(), plan, 50), 0u);
}

TEST(LustreMirrorSim, CanaryThatActsBeforeItClearsIsFound) {
  SimPlan late = calm();
  late.clears_late = true;
  MirrorPlan plan;
  plan.move_under_feet = 0.2;
  EXPECT_EQ(first_found(late, plan, 50), 0u) << "the same without the fault";
  plan.takes_unreleased = true;
  EXPECT_NE(first_found(late, plan, 1000), 0u);
}

}  // namespace
}  // namespace reel::model

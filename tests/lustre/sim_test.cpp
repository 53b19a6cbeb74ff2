// SPDX-License-Identifier: Apache-2.0
//
// Model MDTs, random operations, crashes of everything; thousands of seeds. REEL_SIM_SEEDS=N runs that
// many, from REEL_SIM_FIRST on; REEL_SIM_SEED=N one.
#include <gtest/gtest.h>

#include <cstdlib>

#include "lustre/sim_world.h"

namespace reel::model {
namespace {

constexpr uint64_t kSeeds = 3000;  // with fewer not all that can happen does

uint64_t number(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(LustreSim, EveryRecordOnceOrAGapAndTheMirrorEndsEqual) {
  uint64_t only = number("REEL_SIM_SEED", 0);
  const uint64_t asked = only ? 1 : number("REEL_SIM_SEEDS", kSeeds);
  uint64_t records = 0, gaps = 0;
  std::set<EventKind> seen;
  uint64_t seed = only ? only : number("REEL_SIM_FIRST", 1);
  for (const uint64_t end = seed + asked; seed < end; ++seed) {
    log::Random random(seed);
    SimWorld world(seed, random_plan(random));
    std::string wrong = world.run(300);
    ASSERT_EQ(wrong, "") << "seed " << seed << " (REEL_SIM_SEED=" << seed << " REEL_SIM_TRACE=1 to see it again)";
    records += world.records();
    gaps += world.gaps();
    seen.insert(world.seen.begin(), world.seen.end());
  }
  std::printf("%llu records, %llu gaps\n", static_cast<unsigned long long>(records),
              static_cast<unsigned long long>(gaps));
  if (only || asked < kSeeds) return;
  // The simulation has come by all of it.
  for (int kind = 0; kind < static_cast<int>(EventKind::failed); ++kind)
    EXPECT_TRUE(seen.count(static_cast<EventKind>(kind))) << to_string(static_cast<EventKind>(kind));
}

// How many seeds a wrong source survives.
uint64_t first_found(SimPlan plan, uint64_t seeds) {
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    std::string wrong = SimWorld(seed, plan).run(300);
    if (!wrong.empty()) {
      std::printf("found at seed %llu: %s\n", static_cast<unsigned long long>(seed), wrong.c_str());
      return seed;
    }
  }
  return 0;
}

SimPlan calm() {
  SimPlan plan;
  plan.admin = plan.bad_bytes = plan.open_logged = plan.mds_crashes = plan.call_faults = plan.holes = plan.other_users =
      false;
  return plan;
}

TEST(LustreSim, CanaryThatClearsBeforeItsLogIsOnDiskIsFound) {
  SimPlan plan = calm();
  EXPECT_EQ(first_found(plan, 200), 0u) << "the same without the fault";
  plan.clears_before_commit = true;
  EXPECT_NE(first_found(plan, 200), 0u);
}

TEST(LustreSim, CanaryThatActsBeforeItClearsIsFound) {
  SimPlan plan = calm();
  plan.kills = false;
  EXPECT_EQ(first_found(plan, 200), 0u) << "the same without the fault";
  plan.acts_before_clear = true;
  EXPECT_NE(first_found(plan, 1000), 0u);
}

}  // namespace
}  // namespace reel::model

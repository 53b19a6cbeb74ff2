// SPDX-License-Identifier: Apache-2.0
//
// Who plays what: random plans, checked against a closure made by brute force.
#include "replay/plan/parts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace reel::replay {
namespace {

constexpr uint64_t kRounds = 300;

struct Made {
  trace::Trace trace;
  Plan plan;
  std::vector<std::set<uint32_t>> together;  // by thread - 1: whom it must stay with
};

Made any_plan(std::mt19937_64& random, uint32_t ranks) {
  Made made;
  auto threads = static_cast<uint32_t>(ranks + random() % 8 + 1);
  made.trace.threads.resize(threads);
  made.plan.threads.resize(threads);
  made.plan.slots = 2 * threads;
  std::vector<std::set<SlotId>> slots(threads);
  for (uint32_t thread = 1; thread <= threads; ++thread) {
    Step step;
    // The first ones are ranks, and share nothing; the others are made by one of them or by nobody.
    if (thread > ranks && thread > 1 && random() % 3 != 0) {
      auto maker = static_cast<uint32_t>(1 + random() % (thread - 1));
      Step starts;
      starts.starts = thread;
      made.plan.threads[maker - 1].push_back(starts);
    } else {
      made.plan.first.push_back(thread);
    }
    step.slot =
        static_cast<SlotId>(thread > ranks && random() % 2 == 0 ? 1 + random() % threads : threads + thread - 1);
    slots[thread - 1].insert(step.slot);
    made.plan.threads[thread - 1].push_back(step);
    if (thread > ranks) continue;
    trace::Event init;
    init.op = trace::Op::mpi_init;
    init.thread = thread;
    init.flags = thread - 1;
    made.trace.events.push_back(init);
  }
  made.together.resize(threads);
  for (uint32_t i = 0; i < threads; ++i) made.together[i].insert(i);
  for (bool grown = true; grown;) {
    grown = false;
    auto join = [&](uint32_t a, uint32_t b) {
      for (uint32_t other : std::set<uint32_t>(made.together[a])) grown |= made.together[b].insert(other).second;
      for (uint32_t other : std::set<uint32_t>(made.together[b])) grown |= made.together[a].insert(other).second;
    };
    for (uint32_t i = 0; i < threads; ++i) {
      for (const Step& step : made.plan.threads[i])
        if (step.starts != 0) join(i, step.starts - 1);
      for (uint32_t k = 0; k < threads; ++k)
        if (slots[i].count(*slots[k].begin()) != 0) join(i, k);
      for (uint32_t other : std::set<uint32_t>(made.together[i])) join(i, other);
    }
  }
  return made;
}

TEST(Parts, KeepTogetherWhatSharesAndDealOutRanksInOrder) {
  const uint64_t seed = std::random_device{}();
  for (uint64_t round = 0; round < kRounds; ++round) {
    std::mt19937_64 random(seed + round);
    auto ranks = static_cast<uint32_t>(random() % 9);
    Made made = any_plan(random, ranks);
    auto processes = static_cast<uint32_t>(1 + random() % 9);
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round << " ranks " << ranks << " processes "
                                    << processes);
    std::vector<uint32_t> parts = parts_of(made.trace, made.plan, processes);
    ASSERT_EQ(parts.size(), made.plan.threads.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_LT(parts[i], processes);
      for (uint32_t other : made.together[i]) EXPECT_EQ(parts[i], parts[other]) << i + 1 << " and " << other + 1;
    }
    bool apart = true;  // no rank shares with another
    for (uint32_t i = 0; i < ranks; ++i)
      for (uint32_t k = 0; k < i; ++k) apart = apart && made.together[i].count(k) == 0;
    if (!apart) continue;
    for (uint32_t i = 1; i < ranks; ++i) EXPECT_LE(parts[i - 1], parts[i]);
    if (processes == ranks) {
      for (uint32_t i = 0; i < ranks; ++i) EXPECT_EQ(parts[i], i);
    }
  }
}

}  // namespace
}  // namespace reel::replay

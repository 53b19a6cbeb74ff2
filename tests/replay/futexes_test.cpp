// SPDX-License-Identifier: Apache-2.0
//
// Threads that woke each other: who slept goes on when the other has come to where it woke him. REEL_FUTEX_SEED repeats
// one.
#include <cstdlib>
#include <filesystem>
#include <random>

#include "made_by_hand.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;
using trace::Synthetic;

// Times in microseconds.
class Program {
 public:
  explicit Program(uint32_t threads) {
    for (uint32_t number = 1; number <= threads; ++number) {
      trace::Thread thread;
      thread.number = number;
      thread.process = 1;
      trace.threads.push_back(thread);
    }
  }
  Event& call(uint32_t thread, Op op, uint64_t enter, uint64_t exit) {
    Event& event = trace.events.emplace_back(Synthetic::make(thread, op, 0));
    event.enter_ns = enter * 1000;
    event.duration_ns = (exit - enter) * 1000;
    return event;
  }
  void wake(uint32_t thread, uint64_t number, uint64_t enter, uint64_t exit) {
    call(thread, Op::futex_wake, enter, exit).arg2 = number;
  }
  void wait(uint32_t thread, uint64_t enter, uint64_t exit, uint32_t by, uint64_t number) {
    Event& event = call(thread, Op::futex_wait, enter, exit);
    event.arg = by;
    event.arg2 = number;
  }
  Plan plan(bool causal = false) const {
    PlanOptions options;
    options.causal = causal;
    Result<Plan> made = make_plan(trace, options);
    if (!made) throw std::runtime_error(made.error().text());
    return *std::move(made);
  }

  trace::Trace trace;
};

TEST(Futexes, WhoSleptNeedsThatTheOtherBeganToWakeHim) {
  for (bool causal : {false, true}) {
    Program program(2);
    program.wait(2, 100, 5000, 1, 7);
    program.wake(1, 7, 4000, 6000);
    Plan plan = program.plan(causal);
    const Step& wait = plan.threads[1][0];
    ASSERT_EQ(wait.need_count, 1u);
    const Need& need = plan.needs[wait.needs];
    EXPECT_EQ(need.thread, 1u);
    EXPECT_EQ(need.why, Why::futex);
    EXPECT_EQ(plan.recorded_ns(program.trace, need), 4'000'000u);
    EXPECT_TRUE(wait.waits);
    EXPECT_EQ(wait.passing_ns, 1'000'000u);
    EXPECT_TRUE(plan.threads[0][0].releases);
  }
}

TEST(Futexes, WhoIsWokenByAnEndNeedsIt) {
  Program program(2);
  program.call(2, Op::fsync, 10, 900);
  program.call(2, Op::exit_thread, 1000, 1000);
  program.wait(1, 100, 1200, 2, 0);
  Plan plan = program.plan();
  const Step& wait = plan.threads[0][0];
  ASSERT_EQ(wait.need_count, 1u);
  EXPECT_EQ(plan.needs[wait.needs].thread, 2u);
  EXPECT_EQ(plan.needs[wait.needs].count, 2u);
  EXPECT_EQ(wait.passing_ns, 200'000u);
}

// It sleeps as long as it did.
TEST(Futexes, WhoWasWokenByNobodyThatIsKnownWaitsForNobody) {
  Program program(2);
  program.wake(1, 1, 50, 60);
  program.wait(2, 100, 5000, 0, 0);
  program.wait(2, 6000, 7000, 1, 2);  // the wake was lost
  Plan plan = program.plan();
  for (const Step& wait : plan.threads[1]) {
    EXPECT_EQ(wait.need_count, 0u);
    EXPECT_EQ(wait.passing_ns, program.trace.events[wait.event].duration_ns);
  }
}

// Threads compute, wake and are woken at random.
Program random_program(uint64_t seed, std::vector<std::pair<uint32_t, uint32_t>>& pairs) {
  std::mt19937_64 random(seed);
  auto threads = static_cast<uint32_t>(2 + random() % 4);
  Program program(threads);
  std::vector<uint64_t> now(threads + 1, 100), wakes(threads + 1);
  for (int i = 0; i < 60; ++i) {
    auto waker = static_cast<uint32_t>(1 + random() % threads), sleeper = static_cast<uint32_t>(1 + random() % threads);
    if (waker == sleeper) continue;
    uint64_t sleeps = now[sleeper] + random() % 200;
    uint64_t at = std::max(now[waker], sleeps) + random() % 300;
    now[waker] = at + 5 + random() % 50;
    now[sleeper] = at + 1 + random() % 60;
    program.wake(waker, ++wakes[waker], at, now[waker]);
    program.wait(sleeper, sleeps, now[sleeper], waker, wakes[waker]);
    auto last = static_cast<uint32_t>(program.trace.events.size());
    pairs.emplace_back(last - 2, last - 1);
  }
  return program;
}

TEST(Futexes, NobodyGoesOnBeforeHeIsWoken) {
  const char* one = std::getenv("REEL_FUTEX_SEED");
  uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1, last = one ? first : 40;
  test::TempDir dir;
  std::filesystem::create_directory(dir.at("into"));
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("REEL_FUTEX_SEED=" + std::to_string(seed));
    std::vector<std::pair<uint32_t, uint32_t>> pairs;
    Program program = random_program(seed, pairs);
    Plan plan = program.plan(seed % 2 == 0);
    Result<std::unique_ptr<World>> world = World::open(plan, {dir.at("into")});
    ASSERT_TRUE(world);
    std::atomic<bool> stop{false};
    PlayOptions options;
    options.pace = seed % 3 == 0 ? Pace::none : Pace::gaps;
    options.scale = 0.05;
    Result<Played> played = play(program.trace, plan, **world, options, *one_process(), stop);
    ASSERT_TRUE(played);
    EXPECT_EQ(played->stalled, "");
    std::vector<uint64_t> over(program.trace.events.size());
    for (size_t i = 0; i < plan.threads.size(); ++i)
      for (size_t k = 0; k < plan.threads[i].size(); ++k)
        over[plan.threads[i][k].event] = played->threads[i][k].exit_ns;
    for (const auto& [woke, woken] : pairs) EXPECT_GE(over[woken], over[woke]);
  }
}

}  // namespace
}  // namespace reel::replay

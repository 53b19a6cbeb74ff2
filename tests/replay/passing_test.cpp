// SPDX-License-Identifier: Apache-2.0
//
// When a machine's processors were all computing: random traces, against a look at each nanosecond.
#include "replay/plan/passing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace reel::replay {
namespace {

constexpr uint64_t kRounds = 300, kTime = 400;

trace::Event computing(uint32_t thread, uint64_t begin, uint64_t length, uint64_t cpu) {
  trace::Event event;
  event.thread = thread;
  event.op = trace::Op::compute;
  event.enter_ns = begin;
  event.duration_ns = length;
  event.arg = cpu;
  return event;
}

// Two machines of a merged trace, or one.
struct Made {
  trace::Trace trace;
  uint32_t threads, first_of_second;  // 0: there is one machine
  uint64_t processors[2];

  int machine(uint32_t thread) const { return first_of_second != 0 && thread >= first_of_second ? 1 : 0; }
  double share(int of, uint64_t at) const {
    double sum = 0;
    for (const trace::Event& event : trace.events)
      if (machine(event.thread) == of && event.enter_ns <= at && at < event.exit_ns())
        sum += static_cast<double>(event.arg) / static_cast<double>(event.duration_ns);
    return std::clamp(sum - static_cast<double>(processors[of] - 1), 0.0, 1.0);
  }
};

Made any(std::mt19937_64& random) {
  Made made{{}, static_cast<uint32_t>(2 + random() % 6), 0, {1 + random() % 4, 1 + random() % 4}};
  made.trace.threads.resize(made.threads);
  if (random() % 2 == 0) {
    made.first_of_second = static_cast<uint32_t>(2 + random() % (made.threads - 1));
    made.trace.facts["merged"] = "2";
    for (int part : {0, 1}) {
      std::string prefix = "part." + std::to_string(part) + ".";
      uint32_t first = part == 0 ? 1 : made.first_of_second, last = part == 0 ? made.first_of_second - 1 : made.threads;
      made.trace.facts[prefix + "threads"] = std::to_string(first) + " " + std::to_string(last);
      made.trace.facts[prefix + "machine"] = part == 0 ? "a" : "b";
      made.trace.facts[prefix + "cpus"] = std::to_string(made.processors[part]);
    }
  } else {
    made.trace.facts["cpus"] = std::to_string(made.processors[0]);
  }
  for (uint32_t thread = 1; thread <= made.threads; ++thread) {
    for (uint64_t at = random() % 50; at < kTime;) {
      uint64_t length = 1 + random() % 80;
      made.trace.events.push_back(computing(thread, at, length, random() % 2 == 0 ? length : random() % (length + 1)));
      at += length + random() % 50;
    }
  }
  return made;
}

TEST(Contention, IsWhatALookAtEachMomentSays) {
  const uint64_t seed = std::random_device{}();
  double seen = 0;
  for (uint64_t round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round);
    std::mt19937_64 random(seed + round);
    Made made = any(random);
    Contention contention(made.trace);
    auto thread = static_cast<uint32_t>(1 + random() % made.threads);
    uint64_t begin = random() % kTime, end = begin + random() % kTime;
    double expected = 0;
    for (uint64_t at = begin; at < end; ++at) expected += made.share(made.machine(thread), at);
    EXPECT_NEAR(static_cast<double>(contention.within(thread, begin, end)), expected, 1.5);
    seen += expected;
  }
  EXPECT_GT(seen, 0);
}

TEST(Contention, IsNotKnownWithoutTheNumberOfProcessors) {
  std::mt19937_64 random(1);
  Made made = any(random);
  made.trace.facts.clear();
  EXPECT_EQ(Contention(made.trace).within(1, 0, kTime), 0u);
}

// One processor; thread 1 comes to a barrier last, at 200, and computes on; thread 2 leaves when that is over.
TEST(Passing, IsShortForWhoOnlyHadNoProcessor) {
  for (bool known : {true, false}) {
    trace::Trace trace;
    trace.threads.resize(2);
    if (known) trace.facts["cpus"] = "1";
    trace::Event wait;
    wait.thread = 2;
    wait.op = trace::Op::mpi_collective;
    wait.enter_ns = 100;
    wait.duration_ns = 210;
    trace.events = {wait, computing(1, 200, 100, 100)};
    Plan plan;
    plan.threads.resize(2);
    plan.groups.push_back({2, 200});
    Step step;
    step.skip = Skip::message;
    step.waits = true;
    step.awaits = 1;
    plan.threads[1].push_back(step);
    find_passing(trace, plan);
    EXPECT_EQ(plan.threads[1][0].passing_ns, known ? 10u : 110u);
  }
}

// Four become other programs at once, on two processors, the last one for longer, alone: each had half of one, then it
// had one of its own. A gap in which a thread computes, or waits for a processor, counts as well.
TEST(Passing, OfAnExecIsTheProcessorThatItCanHaveHad) {
  for (bool known : {true, false}) {
    trace::Trace trace;
    trace.threads.resize(5);
    if (known) trace.facts["cpus"] = "2";
    Plan plan;
    plan.threads.resize(5);
    for (uint32_t thread = 1; thread <= 4; ++thread) {
      trace::Event exec;
      exec.thread = thread;
      exec.op = trace::Op::exec;
      exec.enter_ns = 1000;
      exec.duration_ns = thread == 4 ? 1500 : 800;
      Step step;
      step.event = thread - 1;
      step.skip = Skip::process;
      trace.events.push_back(exec);
      plan.threads[thread - 1].push_back(step);
    }
    trace::Event queued = computing(5, 1800, 100, 40);
    queued.mode = 1;
    queued.arg2 = 60;
    trace.events.push_back(queued);
    trace.events.push_back(computing(1, 1800, 100, 100));
    find_passing(trace, plan);
    EXPECT_EQ(plan.threads[0][0].passing_ns, known ? 400u : 800u);
    // 800 ns beside three others, 100 beside two, 600 alone.
    EXPECT_EQ(plan.threads[3][0].passing_ns, known ? 400u + 66 + 600 : 1500u);
  }
}

// One that comes last, at 100, and `others` that leave 10 ns later each; nobody is seen computing.
Plan leaving(uint32_t others, const char* processors) {
  trace::Trace trace;
  trace.threads.resize(others + 1);
  if (processors != nullptr) trace.facts["cpus"] = processors;
  Plan plan;
  plan.threads.resize(others + 1);
  plan.groups.push_back({others + 1, 100});
  for (uint32_t thread = 1; thread <= others + 1; ++thread) {
    trace::Event wait;
    wait.thread = thread;
    wait.op = trace::Op::mpi_collective;
    wait.enter_ns = thread == 1 ? 100 : 50;
    wait.duration_ns = 100 + uint64_t{thread} * 10 - wait.enter_ns;
    Step step;
    step.event = thread - 1;
    step.skip = Skip::message;
    step.waits = true;
    step.awaits = 1;
    trace.events.push_back(wait);
    plan.threads[thread - 1].push_back(step);
  }
  find_passing(trace, plan);
  return plan;
}

TEST(Passing, IsThatOfTheQuickestWhereNotAllHaveAProcessor) {
  for (const char* processors : {"2", "3", static_cast<const char*>(nullptr)}) {
    Plan plan = leaving(2, processors);
    bool crowded = processors != nullptr && processors[0] == '2';
    for (uint64_t thread : {1, 2, 3}) EXPECT_EQ(plan.threads[thread - 1][0].passing_ns, crowded ? 10 : 10 * thread);
  }
}

// Thread 1 sends eight messages of 100 bytes and one of a megabyte to thread 2 on one processor; most come late.
TEST(Passing, OfAMessageIsWhatItsLikeTake) {
  for (const char* processors : {"1", "2"}) {
    trace::Trace trace;
    trace.threads.resize(2);
    trace.facts["cpus"] = processors;
    Plan plan;
    plan.threads.resize(2);
    std::vector<uint64_t> took = {900, 20, 700, 15, 800, 10, 850, 500, 4000};
    for (uint32_t i = 0; i < took.size(); ++i) {
      trace::Event send, receive;
      send.thread = 1, receive.thread = 2;
      send.op = trace::Op::mpi_send, receive.op = trace::Op::mpi_recv;
      send.enter_ns = 10'000 * i + 5'000, receive.enter_ns = 10'000 * i;
      send.length = receive.length = took[i] > 1000 ? 1 << 20 : 100;
      receive.duration_ns = 5'000 + took[i];
      Step arrival, wait;
      arrival.arrival = true, wait.waits = true;
      arrival.skip = wait.skip = Skip::message;
      arrival.event = 2 * i, wait.event = 2 * i + 1;
      wait.needs = i, wait.need_count = 1;
      plan.needs.push_back({1, i + 1});
      trace.events.insert(trace.events.end(), {send, receive});
      plan.threads[0].push_back(arrival);
      plan.threads[1].push_back(wait);
    }
    find_passing(trace, plan);
    bool crowded = processors[0] == '1';
    for (uint32_t i = 0; i < took.size(); ++i) {
      uint64_t most = crowded && took[i] < 1000 ? 20 : took[i];
      EXPECT_EQ(plan.threads[1][i].passing_ns, std::min(took[i], most)) << i << ", " << processors << " processors";
    }
  }
}

}  // namespace
}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Waiting in memory: who slept goes on when the other has come to where it woke him; mutexes exclude, semaphores give
// no more than they got, barriers let nobody pass alone. REEL_MEMORY_SEED repeats one.
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "made_by_hand.h"
#include "trace/in_memory.h"
#include "trace/ops.h"

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
    EXPECT_EQ(need.why, Why::memory);
    EXPECT_EQ(plan.recorded_ns(program.trace, need), 4'000'000u);
    EXPECT_TRUE(wait.waits);
    EXPECT_EQ(wait.passing_ns, 0u);  // to be woken takes what it takes in the replay
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
  EXPECT_EQ(wait.passing_ns, 0u);
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

// Calls visit(seed) for each of the seeds.
void each_seed(uint64_t count, const std::function<void(uint64_t)>& visit) {
  const char* one = std::getenv("REEL_MEMORY_SEED");
  uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1, last = one ? first : count;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("REEL_MEMORY_SEED=" + std::to_string(seed));
    visit(seed);
  }
}

// By event: when its arrival was over in the replay, and when all of it was.
struct Times {
  std::vector<uint64_t> arrived, over;
};

Times played(const Program& program, uint64_t seed) {
  test::TempDir dir;
  std::filesystem::create_directory(dir.at("into"));
  Plan plan = program.plan(seed % 2 == 0);
  std::unique_ptr<World> world = *World::open(plan, {dir.at("into")});
  std::atomic<bool> stop{false};
  PlayOptions options;
  options.pace = seed % 3 == 0 ? Pace::none : Pace::gaps;
  options.scale = 0.05;
  Played played = *play(program.trace, plan, *world, options, *one_process(), stop);
  EXPECT_EQ(played.stalled, "");
  Times times{std::vector<uint64_t>(program.trace.events.size()), std::vector<uint64_t>(program.trace.events.size())};
  for (size_t i = 0; i < plan.threads.size(); ++i) {
    for (size_t k = 0; k < plan.threads[i].size(); ++k) {
      const Step& step = plan.threads[i][k];
      (step.arrival ? times.arrived : times.over)[step.event] = played.threads[i][k].exit_ns;
    }
  }
  return times;
}

TEST(Futexes, NobodyGoesOnBeforeHeIsWoken) {
  each_seed(40, [](uint64_t seed) {
    std::vector<std::pair<uint32_t, uint32_t>> pairs;
    Program program = random_program(seed, pairs);
    Times times = played(program, seed);
    for (const auto& [woke, woken] : pairs) EXPECT_GE(times.over[woken], times.arrived[woke]);
  });
}

// Processes that share a lock (which some take to read, beside each other), a semaphore each and a barrier, in virtual
// time: in each round each may lock and unlock, gives its neighbour's semaphore one and takes one of its own; and in
// some rounds all meet.
class Sharing {
 public:
  Sharing(uint64_t seed, uint32_t processes, uint32_t rounds, bool in_file)
      : program(processes), random_(seed), in_file_(in_file), states_(processes + 1), given_(processes + 1) {
    for (uint32_t i = 1; i <= processes; ++i) {
      program.trace.threads[i - 1].process = i;
      if (i > 1) program.call(1, Op::fork, 10 * i, 10 * i + 5).arg = i;
      states_[i].at = 100 + i * 10 + random_() % 50;
      for (uint32_t round = 0; round < rounds; ++round) add_round(states_[i].script, seed + round);
    }
    program.trace.events[0].result = 0;
    while (uint32_t next = first()) step(next);
  }

  Program program;

 private:
  enum class Do : uint8_t { lock, unlock, read, leave, post, wait, meet };
  struct State {
    std::deque<Do> script;
    uint64_t at = 0;  // when its next call begins, or the one that it waits in began
    bool waits = false;
  };

  void add_round(std::deque<Do>& script, uint64_t chance) {
    if (random_() % 2 == 0) script.insert(script.end(), {Do::lock, Do::unlock});
    if (random_() % 2 == 0) script.insert(script.end(), {Do::read, Do::leave});
    script.insert(script.end(), {Do::post, Do::wait});
    if (chance % 3 == 0) script.push_back(Do::meet);
  }

  uint32_t first() const {
    uint32_t best = 0;
    for (uint32_t i = 1; i < states_.size(); ++i) {
      const State& state = states_[i];
      if (!state.waits && !state.script.empty() && (best == 0 || state.at < states_[best].at)) best = i;
    }
    return best;
  }

  // The thread's call ends; the next one begins some time later.
  void over(uint32_t thread, Op op, uint64_t place, uint64_t exit) {
    State& state = states_[thread];
    Event& event = program.call(thread, op, state.at, exit);
    uint64_t address = 0x10000 + place * 64;
    event.arg = in_file_ ? address + thread * 0x1000 : address;
    if (in_file_) event.object = {77, 1, 0};
    if (in_file_) event.offset = place * 64;
    if (op == Op::barrier_wait) event.arg2 = states_.size() - 1;
    if (state.script.front() == Do::read || state.script.front() == Do::leave) event.arg2 = 1;
    state.script.pop_front();
    state.waits = false;
    state.at = exit + 1 + random_() % 40;
  }

  uint64_t soon() { return 1 + random_() % 30; }

  void step(uint32_t thread) {
    uint64_t now = states_[thread].at;
    uint32_t neighbour = thread % (static_cast<uint32_t>(states_.size()) - 1) + 1;
    switch (states_[thread].script.front()) {
      case Do::lock:
      case Do::read:
        wait_for(thread, for_lock_);
        return give_lock(now);
      case Do::unlock:
      case Do::leave:
        over(thread, Op::mutex_unlock, 0, now + soon());
        holders_.erase(thread);
        return give_lock(now);
      case Do::post: {
        over(thread, Op::sem_post, neighbour, now + soon());
        State& other = states_[neighbour];
        if (other.waits && other.script.front() == Do::wait)
          return over(neighbour, Op::sem_wait, neighbour, now + soon());
        ++given_[neighbour];
        return;
      }
      case Do::wait:
        if (given_[thread] == 0) {
          states_[thread].waits = true;
          return;
        }
        --given_[thread];
        return over(thread, Op::sem_wait, thread, now + soon());
      case Do::meet:
        wait_for(thread, there_);
        if (there_.size() + 1 < states_.size()) return;
        for (uint32_t one : there_) over(one, Op::barrier_wait, 63, now + soon());
        there_.clear();
        return;
    }
  }

  // In the order of coming: to one alone, or to readers.
  void give_lock(uint64_t now) {
    while (!for_lock_.empty()) {
      uint32_t next = for_lock_.front();
      bool alone = states_[next].script.front() == Do::lock;
      if (!holders_.empty() && (alone || !only_read_)) return;
      for_lock_.pop_front();
      holders_.insert(next);
      only_read_ = !alone;
      over(next, Op::mutex_lock, 0, now + soon());
    }
  }

  void wait_for(uint32_t thread, std::deque<uint32_t>& queue) {
    states_[thread].waits = true;
    queue.push_back(thread);
  }

  std::mt19937_64 random_;
  bool in_file_;
  std::vector<State> states_;  // by thread
  std::vector<uint64_t> given_;
  std::deque<uint32_t> for_lock_, there_;
  std::set<uint32_t> holders_;
  bool only_read_ = false;  // those who hold it
};

void expect_exclusion(const trace::Trace& trace, const Times& times) {
  constexpr int kAlone = 1000;  // readers count 1
  std::vector<std::pair<uint64_t, int>> changes;
  for (size_t i = 0; i < trace.events.size(); ++i) {
    int much = trace.events[i].arg2 == trace::kHeldToRead ? 1 : kAlone;
    // A lock is given before it is taken when both are at one moment.
    if (trace.events[i].op == Op::mutex_lock) changes.emplace_back(times.over[i], much);
    if (trace.events[i].op == Op::mutex_unlock) changes.emplace_back(times.arrived[i], -much);
  }
  std::sort(changes.begin(), changes.end());
  int held = 0;
  for (const auto& [at, change] : changes) {
    held += change;
    EXPECT_LE(held, kAlone);
  }
}

void expect_counts(const trace::Trace& trace, const Times& times) {
  std::map<uint64_t, std::pair<std::vector<uint64_t>, std::vector<uint64_t>>> semaphores;
  for (size_t i = 0; i < trace.events.size(); ++i) {
    const Event& event = trace.events[i];
    uint64_t place = event.offset != 0 ? event.offset : event.arg;
    if (event.op == Op::sem_post) semaphores[place].first.push_back(times.arrived[i]);
    if (event.op == Op::sem_wait) semaphores[place].second.push_back(times.over[i]);
  }
  for (auto& [place, both] : semaphores) {
    auto& [posts, waits] = both;
    std::sort(posts.begin(), posts.end());
    std::sort(waits.begin(), waits.end());
    ASSERT_EQ(posts.size(), waits.size());
    for (size_t k = 0; k < waits.size(); ++k) EXPECT_GE(waits[k], posts[k]);
  }
}

void expect_meetings(const trace::Trace& trace, const Times& times, size_t processes) {
  std::vector<std::vector<uint32_t>> turns(processes + 1);
  for (uint32_t i = 0; i < trace.events.size(); ++i)
    if (trace.events[i].op == Op::barrier_wait) turns[trace.events[i].thread].push_back(i);
  for (size_t turn = 0; turn < turns[1].size(); ++turn) {
    uint64_t last = 0, first_left = ~0ull;
    for (size_t process = 1; process <= processes; ++process) {
      last = std::max(last, times.arrived[turns[process][turn]]);
      first_left = std::min(first_left, times.over[turns[process][turn]]);
    }
    EXPECT_GE(first_left, last);
  }
}

TEST(Memory, WhatProcessesShareKeepsThemApartAndTogetherInAReplay) {
  each_seed(60, [](uint64_t seed) {
    uint32_t processes = 2 + seed % 4;
    Sharing sharing(seed, processes, 8, seed % 5 < 2);
    Times times = played(sharing.program, seed);
    expect_exclusion(sharing.program.trace, times);
    expect_counts(sharing.program.trace, times);
    expect_meetings(sharing.program.trace, times, processes);
  });
}

using After = std::unordered_map<uint32_t, std::vector<uint32_t>>;

// Who reads waits for who wrote, who writes for all who read since: readers not for each other.
TEST(Memory, ReadersDoNotWaitForEachOther) {
  Program program(3);
  auto lock = [&](uint32_t thread, Op op, uint64_t at, bool reads) {
    Event& event = program.call(thread, op, at, at + 1);
    event.arg = 4096;
    event.arg2 = reads ? 1 : 0;
  };
  lock(1, Op::mutex_lock, 10, false);    // 0
  lock(1, Op::mutex_unlock, 20, false);  // 1
  for (uint64_t at : {30, 50}) {         // 2, 3, 4, 5
    lock(1, Op::mutex_lock, at, true);
    lock(1, Op::mutex_unlock, at + 10, true);
  }
  lock(2, Op::mutex_lock, 70, true);     // 6
  lock(2, Op::mutex_unlock, 80, true);   // 7
  lock(3, Op::mutex_lock, 90, false);    // 8
  lock(3, Op::mutex_unlock, 95, false);  // 9
  lock(1, Op::mutex_lock, 99, true);     // 10
  trace::InMemory matched = trace::match_in_memory(program.trace);
  EXPECT_EQ(matched.after, (After{{2, {1}}, {4, {1}}, {6, {1}}, {8, {1, 5, 7}}, {10, {9}}}));
}

// Who was woken for a condition, saw that it is not yet its turn and told nobody, has changed nothing: who locks next
// comes after who changed something last.
TEST(Memory, NobodyComesAfterWhoWasWokenInVain) {
  for (bool tells : {false, true}) {
    Program program(3);
    auto lock = [&](uint32_t thread, Op op, uint64_t at, uint64_t how) {
      Event& event = program.call(thread, op, at, at + 1);
      event.arg = 4096;
      event.arg2 = how;
    };
    lock(2, Op::mutex_unlock, 5, trace::kHeldAlone);   // 0: begins to wait; what it did before may matter
    lock(3, Op::mutex_lock, 10, trace::kHeldAlone);    // 1
    lock(3, Op::mutex_unlock, 20, trace::kHeldAlone);  // 2
    lock(2, Op::mutex_lock, 30, trace::kHeldAlone);    // 3
    lock(2, Op::mutex_unlock, 40, tells ? trace::kHeldAlone : trace::kHeldInVain);  // 4
    lock(1, Op::mutex_lock, 50, trace::kHeldAlone);                                 // 5
    lock(1, Op::mutex_unlock, 61, trace::kHeldAlone);                               // 6
    lock(2, Op::mutex_lock, 70, trace::kHeldAlone);                                 // 7
    trace::InMemory matched = trace::match_in_memory(program.trace);
    EXPECT_EQ(matched.after, (After{{1, {0}}, {3, {2}}, {5, {tells ? 4u : 2u}}, {7, {6}}}));
  }
}

// What a semaphore had before it was given anything is not waited for.
TEST(Memory, ASemaphoreMayHaveHadSomethingAtFirst) {
  Program program(2);
  auto semaphore = [&](uint32_t thread, Op op, uint64_t enter, uint64_t exit) {
    program.call(thread, op, enter, exit).arg = 4096;
  };
  semaphore(1, Op::sem_wait, 10, 11);  // 0
  semaphore(1, Op::sem_wait, 20, 21);  // 1
  semaphore(2, Op::sem_post, 30, 35);  // 2
  semaphore(2, Op::sem_post, 40, 45);  // 3
  semaphore(1, Op::sem_wait, 50, 51);  // 4
  trace::InMemory matched = trace::match_in_memory(program.trace);
  EXPECT_EQ(matched.after, (After{{4, {2}}}));
}

// The same address in processes that do not come from each other, or run another program now, is another place.
TEST(Memory, AnAddressIsThatOfProcessesThatForkedFromEachOther) {
  for (bool execs : {false, true}) {
    Program program(3);
    for (uint32_t number : {1, 2, 3}) program.trace.threads[number - 1].process = number;
    Event& fork = program.call(1, Op::fork, 1, 2);
    fork.arg = fork.result = 2;
    if (execs) program.call(2, Op::exec, 3, 4);
    for (uint32_t thread : {1, 3}) program.call(thread, Op::mutex_unlock, 10 * thread, 10 * thread + 1).arg = 4096;
    program.call(2, Op::mutex_lock, 50, 60).arg = 4096;
    auto lock = static_cast<uint32_t>(program.trace.events.size() - 1);
    trace::InMemory matched = trace::match_in_memory(program.trace);
    if (execs)
      EXPECT_TRUE(matched.after.empty());
    else
      EXPECT_EQ(matched.after, (After{{lock, {1}}}));
  }
}

// Waits for what no call shows (thread 1's second call) by giving way again and again, and then computes.
Program spinning_program(bool is_known) {
  Program program(2);
  program.trace.facts = {{"found", "1"}, {"found.0", "1 1 1 2 1 1 1"}};
  auto gap = [&](uint64_t from, uint64_t to, uint64_t cpu, uint64_t queued, bool gave_way) {
    Event& event = program.call(2, Op::compute, from, to);
    event.arg = cpu * 1000;
    event.arg2 = queued * 1000;
    event.mode = 1;
    event.flags = gave_way ? trace::kGaveWay : 0;
  };
  program.call(1, Op::sync, 0, 10);
  program.call(1, Op::sync, 50'000, 51'000);
  program.call(2, Op::sync, 0, 2'000);
  gap(2'000, 4'000, 2'000, 0, false);
  gap(4'000, 55'000, 20'000, 31'000, is_known);
  gap(55'000, 70'000, 10'000, 4'000, false);
  program.call(2, Op::sync, 70'000, 70'010);
  return program;
}

TEST(Spinning, ComputingBeginsWhenItSeesThatItCanGoOn) {
  Program program = spinning_program(true);
  Plan plan = program.plan(true);
  const Step& step = plan.threads[1].back();
  EXPECT_TRUE(step.spins);
  EXPECT_TRUE(step.sees);
  EXPECT_EQ(step.base.thread, 1u);
  EXPECT_EQ(step.gap_ns, 19'000'000u);
  EXPECT_EQ(step.cpu_ns, 10'000'000u);
  EXPECT_EQ(step.gap_ns - step.contended_ns, 11'000'000u);  // what it was blocked for stays
}

// Who spins without giving way is not seen to.
TEST(Spinning, ElseItIsTakenToHaveHadAsMuchOfTheProcessorAllTheTime) {
  Program program = spinning_program(false);
  Plan plan = program.plan(true);
  const Step& step = plan.threads[1].back();
  EXPECT_TRUE(step.spins);
  EXPECT_FALSE(step.sees);
  EXPECT_EQ(step.contended_ns, 0u);
  EXPECT_NEAR(static_cast<double>(step.cpu_ns), 19e6 * 32 / 68, 1e4);
}

TEST(Spinning, AReplayComputesAllOfItBehindTheOther) {
  each_seed(3, [](uint64_t) {
    Program program = spinning_program(true);
    test::TempDir dir;
    std::filesystem::create_directory(dir.at("into"));
    Plan plan = program.plan(true);
    std::unique_ptr<World> world = *World::open(plan, {dir.at("into")});
    std::atomic<bool> stop{false};
    PlayOptions options;
    options.pace = Pace::gaps;
    Played played = *play(program.trace, plan, *world, options, *one_process(), stop);
    EXPECT_EQ(played.stalled, "");
    EXPECT_GE(played.threads[1].back().enter_ns, played.threads[0].back().exit_ns + 11'000'000);
  });
}

// Killed while some waited at a barrier: said, and nobody waits for ever.
TEST(Memory, WhoWasLeftAtABarrierIsADoubt) {
  Program program(2);
  for (uint32_t thread : {1, 2}) {
    Event& event = program.call(thread, Op::barrier_wait, 10 * thread, 30);
    event.arg = 4096;
    event.arg2 = 2;
  }
  Event& left = program.call(1, Op::barrier_wait, 40, 50);
  left.arg = 4096;
  left.arg2 = 2;
  Plan plan = program.plan();
  EXPECT_EQ(plan.groups.size(), 1u);
  ASSERT_EQ(plan.doubts.size(), 1u);
  EXPECT_EQ(plan.threads[0].back().awaits, 0u);
}

}  // namespace
}  // namespace reel::replay

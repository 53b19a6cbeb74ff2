// SPDX-License-Identifier: Apache-2.0
//
// Throttling, simulated: threads in loops, of which one waits for another where no call shows it, run with and without
// holds. What is found must be that, or what it implies, and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

#include "report/explained.h"
#include "trace/throttle/findings.h"
#include "trace/throttle/plan.h"

namespace reel::trace {
namespace {

constexpr uint64_t kMs = 1'000'000, kTurns = 600, kRounds = 40;
constexpr uint32_t kThreads = 3;  // the third waits for nobody

// Thread `to_thread`'s call `to` of each turn waits for thread `from_thread`'s call `from` of the turn `back` turns
// ago.
struct Phase {
  uint64_t period, from, to, back, turns;
  uint32_t from_thread, to_thread;
  bool waits;

  uint64_t calls() const { return turns * period; }
};

struct Program {
  uint64_t seed;
  std::vector<Phase> phases;

  uint64_t calls() const {
    uint64_t calls = 0;
    for (const Phase& phase : phases) calls += phase.calls();
    return calls;
  }
  // Where a call is: its phase, and the phase's first call.
  std::pair<const Phase*, uint64_t> at(uint64_t call) const {
    uint64_t begin = 0;
    for (const Phase& phase : phases) {
      if (call < begin + phase.calls()) return {&phase, begin};
      begin += phase.calls();
    }
    return {&phases.back(), begin - phases.back().calls()};
  }
  uint64_t gap(uint32_t thread, uint64_t call) const {
    uint64_t gap = kMs + std::mt19937_64(seed + thread * 1'000'003 + call)() % (2 * kMs);
    const Phase& phase = *at(call).first;
    return phase.waits && thread == phase.to_thread ? gap / 4 : gap;  // else it would not have to wait
  }
};

class Played {
 public:
  Played(const Program& program, const std::optional<Probes>& probes)
      : program_(program), prober_(probes.value_or(Probes{})), ends_(kThreads + 1), readies_(kThreads + 1) {
    trace_.threads.resize(kThreads);
    for (uint32_t thread = 1; thread <= kThreads; ++thread) readies_[thread] = program_.gap(thread, 0);
  }

  Trace run() {
    while (std::optional<uint32_t> thread = next()) call(*thread);
    std::stable_sort(trace_.events.begin(), trace_.events.end(),
                     [](const Event& a, const Event& b) { return a.enter_ns < b.enter_ns; });
    return std::move(trace_);
  }

 private:
  // When the thread's next call begins; nothing: it is not known yet, or there is none.
  std::optional<uint64_t> begins(uint32_t thread) const {
    uint64_t call = ends_[thread].size();
    if (call == program_.calls()) return std::nullopt;
    auto [phase, begin] = program_.at(call);
    if (!phase->waits || thread != phase->to_thread || (call - begin) % phase->period != phase->to)
      return readies_[thread];
    uint64_t turn = (call - begin) / phase->period;
    if (turn < phase->back) return readies_[thread];
    uint64_t source = begin + (turn - phase->back) * phase->period + phase->from;
    if (source >= ends_[phase->from_thread].size()) return std::nullopt;
    return std::max(readies_[thread], ends_[phase->from_thread][source]);
  }

  std::optional<uint32_t> next() const {
    std::optional<uint32_t> first;
    for (uint32_t thread = 1; thread <= kThreads; ++thread)
      if (begins(thread) && (!first || *begins(thread) < *begins(*first))) first = thread;
    return first;
  }

  void call(uint32_t thread) {
    uint64_t begin = *begins(thread);
    step_until(begin);
    if (control_.hold_tid == static_cast<int32_t>(thread) && control_.hold_after-- == 0) {
      control_.hold_tid = 0;
      control_.hold_after = 0;
      add(thread, Op::held, begin, control_.hold_ns);
      begin += control_.hold_ns;
      hold_ends_ = begin;
    }
    add(thread, Op::pwrite, begin, kMs / 10);
    ends_[thread].push_back(begin + kMs / 10);
    readies_[thread] = ends_[thread].back() + program_.gap(thread, ends_[thread].size());
  }

  void add(uint32_t thread, Op op, uint64_t begin, uint64_t duration) {
    Event event;
    event.thread = thread;
    event.op = op;
    auto [phase, first] = program_.at(ends_[thread].size());
    auto number = static_cast<int32_t>(phase - program_.phases.data());
    event.fd.number = 3 + 10 * number + static_cast<int32_t>((ends_[thread].size() - first) % phase->period);
    event.enter_ns = begin;
    event.duration_ns = duration;
    trace_.events.push_back(event);
  }

  // Reel looks each 5 ms.
  void step_until(uint64_t time) {
    for (; now_ <= time; now_ += 5 * kMs) {
      if (hold_ends_ != 0 && hold_ends_ <= now_) {
        ++control_.holds;
        hold_ends_ = 0;
      }
      std::vector<LiveThread> live;
      for (uint32_t thread = 1; thread <= kThreads; ++thread)
        if (ends_[thread].size() < program_.calls())
          live.push_back({static_cast<int32_t>(thread), ends_[thread].size()});
      prober_.step(control_, live, now_);
    }
  }

  Program program_;
  Prober prober_;
  wire::Control control_{};
  uint64_t now_ = 1, hold_ends_ = 0;
  Trace trace_;
  std::vector<std::vector<uint64_t>> ends_;
  std::vector<uint64_t> readies_;
};

Phase any_phase(std::mt19937_64& random, uint64_t turns, bool waits) {
  uint64_t period = 1 + random() % 6;
  bool turned = random() % 2 != 0;
  return {period, random() % period, random() % period, random() % 2, turns, turned ? 2u : 1u, turned ? 1u : 2u, waits};
}

class Throttling : public testing::Test {
 protected:
  // Runs the program, throttles it so often, and expects that what is found is each phase's, and no more.
  void expect_found(const Program& program, int runs) {
    Trace plain = Played(program, std::nullopt).run();
    Discovery discovery(plain);
    Trace throttled;
    for (int run = 0; run < runs; ++run) {
      Result<Probes> probes = plan_probes(plain, discovery.findings().holds);
      ASSERT_TRUE(probes) << probes.error().text();
      throttled = Played(program, *probes).run();
      Status same = discovery.add(throttled);
      ASSERT_TRUE(same) << same.error().text();
    }
    Findings findings = discovery.findings();
    expect_explained(plain, throttled, findings.series);
    uint64_t waiting = 0;
    for (const Phase& phase : program.phases) waiting += phase.waits ? 1 : 0;
    ASSERT_EQ(findings.series.size(), waiting);
    for (const Series& found : findings.series) {
      auto [phase, begin] = program.at(found.to);
      SCOPED_TRACE(testing::Message() << "phase from call " << begin << " on");
      expect_series(found, *phase, begin);
    }
    asked_ += findings.asked;
    places_ += findings.places;
  }

  uint64_t exact_ = 0, asked_ = 0, places_ = 0;

 private:
  // By what was found, and not without it.
  void expect_explained(const Trace& plain, const Trace& throttled, const std::vector<Series>& found) {
    Result<double> all = report::explained(plain, throttled, found), none = report::explained(plain, throttled, {});
    ASSERT_TRUE(all && none);
    EXPECT_GE(*all, 0.85);  // a place too early leaves some
    if (!found.empty()) {
      EXPECT_LE(*none, 0.2);
    }
  }

  void expect_series(const Series& found, const Phase& phase, uint64_t begin) {
    ASSERT_TRUE(phase.waits);
    EXPECT_EQ(found.from_thread, phase.from_thread);
    EXPECT_EQ(found.to_thread, phase.to_thread);
    EXPECT_EQ(found.from_step, phase.period);
    EXPECT_EQ(found.to_step, phase.period);
    ASSERT_GE(found.from, begin);
    ASSERT_EQ((found.to - begin) % phase.period, phase.to);
    // A place that was not asked often enough gives way to the one before it: never later than what is true.
    uint64_t source = ((found.to - begin) / phase.period - phase.back) * phase.period + phase.from;
    EXPECT_LE(found.from - begin, source);
    EXPECT_GT(found.from - begin + phase.period, source);
    EXPECT_GE(found.count + 2, phase.turns);
    exact_ += found.from - begin == source ? 1 : 0;
  }
};

std::string text_of(const Program& program) {
  std::string text;
  for (const Phase& phase : program.phases)
    text += " (period " + std::to_string(phase.period) + ": " + std::to_string(phase.to_thread) + "'s " +
            std::to_string(phase.to) + " waits for " + std::to_string(phase.from_thread) + "'s " +
            std::to_string(phase.from) + " back " + std::to_string(phase.back) + (phase.waits ? ")" : ", not)");
  return text;
}

TEST_F(Throttling, FindsWhoWaitsAndNobodyElse) {
  const uint64_t seed = std::random_device{}();
  for (uint64_t round = 0; round < kRounds; ++round) {
    std::mt19937_64 random(seed + round);
    Program program{random(), {any_phase(random, kTurns, round % 4 != 0)}};
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round << text_of(program));
    expect_found(program, 1);
  }
  EXPECT_GE(exact_, kRounds * 3 / 4 * 4 / 5) << "seed " << seed;
}

TEST_F(Throttling, AsksEachPhase) {
  const uint64_t seed = std::random_device{}();
  for (uint64_t round = 0; round < kRounds; ++round) {
    std::mt19937_64 random(seed + round);
    Program program{random(), {}};
    for (int phase = 0; phase < 3; ++phase) program.phases.push_back(any_phase(random, kTurns, random() % 4 != 0));
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round << text_of(program));
    expect_found(program, 1);
  }
}

// Too short for one run to ask it all.
TEST_F(Throttling, RunsAddUp) {
  const uint64_t seed = std::random_device{}();
  for (uint64_t round = 0; round < kRounds / 4; ++round) {
    std::mt19937_64 random(seed + round);
    Program program{random(), {any_phase(random, kTurns / 6, true)}};
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round << text_of(program));
    expect_found(program, 6);
  }
  EXPECT_GE(asked_ * 10, places_ * 9) << "seed " << seed;
}

TEST_F(Throttling, RefusesAProgramThatDoesNotDoTheSameAgain) {
  Program program{1, {{3, 0, 0, 0, kTurns, 1, 2, false}}};
  Trace plain = Played(program, std::nullopt).run(), other = Played(program, std::nullopt).run();
  other.events[100].length = 1;
  Status same = Discovery(plain).add(other);
  ASSERT_FALSE(same);
  EXPECT_NE(same.error().text().find("length 1"), std::string::npos) << same.error().text();
}

}  // namespace
}  // namespace reel::trace

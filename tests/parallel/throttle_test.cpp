// SPDX-License-Identifier: Apache-2.0
//
// Throttling, simulated: threads in loops, of which one waits for another where no call shows it, run with and without
// holds. What is found must be that, or what it implies, and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

#include "trace/throttle/findings.h"

namespace reel::trace {
namespace {

constexpr uint64_t kMs = 1'000'000, kTurns = 600, kRounds = 40;
constexpr uint32_t kFrom = 1, kTo = 2, kThreads = 3;  // the third waits for nobody

// Thread kTo's call `to` of each turn waits for thread kFrom's call `from` of the turn `back` turns ago.
struct Program {
  uint64_t seed, period, from, to, back;
  bool waits;

  uint64_t gap(uint32_t thread, uint64_t call) const {
    uint64_t gap = kMs + std::mt19937_64(seed + thread * 1'000'003 + call)() % (2 * kMs);
    return thread == kTo ? gap / 4 : gap;  // else it would not have to wait
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
  uint64_t calls() const { return kTurns * program_.period; }

  // When the thread's next call begins; nothing: it is not known yet, or there is none.
  std::optional<uint64_t> begins(uint32_t thread) const {
    uint64_t call = ends_[thread].size();
    if (call == calls()) return std::nullopt;
    if (!program_.waits || thread != kTo || call % program_.period != program_.to) return readies_[thread];
    uint64_t turn = call / program_.period;
    if (turn < program_.back) return readies_[thread];
    uint64_t source = (turn - program_.back) * program_.period + program_.from;
    if (source >= ends_[kFrom].size()) return std::nullopt;
    return std::max(readies_[thread], ends_[kFrom][source]);
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
    event.fd.number = 3 + static_cast<int32_t>(ends_[thread].size() % program_.period);
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
        if (ends_[thread].size() < calls()) live.push_back({static_cast<int32_t>(thread), ends_[thread].size()});
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

TEST(Throttling, FindsWhoWaitsAndNobodyElse) {
  const uint64_t seed = std::random_device{}();
  uint64_t exact = 0;
  for (uint64_t round = 0; round < kRounds; ++round) {
    std::mt19937_64 random(seed + round);
    uint64_t period = 1 + random() % 6;
    Program program{random(), period, random() % period, random() % period, random() % 2, round % 4 != 0};
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round << " period " << period << " from "
                                    << program.from << " to " << program.to << " back " << program.back);
    Trace plain = Played(program, std::nullopt).run();
    Result<Probes> probes = plan_probes(plain);
    ASSERT_TRUE(probes) << probes.error().text();
    Result<Findings> findings = find_dependencies(plain, Played(program, *probes).run());
    ASSERT_TRUE(findings) << findings.error().text();
    ASSERT_EQ(findings->series.size(), program.waits ? 1u : 0u);
    if (!program.waits) continue;
    const Series& found = findings->series[0];
    EXPECT_EQ(found.from_thread, kFrom);
    EXPECT_EQ(found.to_thread, kTo);
    EXPECT_EQ(found.from_step, period);
    EXPECT_EQ(found.to_step, period);
    ASSERT_EQ(found.to % period, program.to);
    // A place that was not asked often enough gives way to the one before it: never later than what is true.
    uint64_t source = (found.to / period - program.back) * period + program.from;
    EXPECT_LE(found.from, source);
    EXPECT_GT(found.from + period, source);
    EXPECT_GE(found.count + 2, kTurns);
    exact += found.from == source ? 1 : 0;
  }
  EXPECT_GE(exact, kRounds * 3 / 4 * 4 / 5) << "seed " << seed;
}

TEST(Throttling, RefusesAProgramThatDoesNotDoTheSameAgain) {
  Program program{1, 3, 0, 0, 0, false};
  Trace plain = Played(program, std::nullopt).run(), other = Played(program, std::nullopt).run();
  other.events[100].length = 1;
  Result<Findings> findings = find_dependencies(plain, other);
  ASSERT_FALSE(findings);
  EXPECT_NE(findings.error().text().find("length 1"), std::string::npos) << findings.error().text();
}

}  // namespace
}  // namespace reel::trace

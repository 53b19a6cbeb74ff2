// SPDX-License-Identifier: Apache-2.0
//
// Causal replays: what truly waited waits again, and for no longer than it has to. REEL_MESSAGE_SEED
// repeats one.
#include <fcntl.h>

#include <cstdlib>

#include "made_by_hand.h"
#include "message_program.h"
#include "replay/plan/order/written.h"
#include "trace/messages.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;
using trace::Synthetic;

// Two connects overlap and return in the other order than the listener's queue has them.
TEST(Causal, AConnectionIsOfTheProcessThatTheAcceptTells) {
  trace::Trace trace;
  trace.string_kinds.resize(1);
  trace.strings.push_back("socket-");
  trace.string_kinds.push_back(trace::StringKind::other);
  for (uint32_t number : {1, 2, 3}) {
    trace::Thread thread;
    thread.number = thread.process = number;
    trace.threads.push_back(thread);
  }
  auto call = [&](uint32_t thread, Op op, uint64_t enter, uint64_t exit, int64_t result) -> Event& {
    Event& event = trace.events.emplace_back(Synthetic::make(thread, op, result));
    event.enter_ns = enter;
    event.duration_ns = exit - enter;
    if (op == Op::connect || op == Op::accept) event.path2 = 1;
    return event;
  };
  auto transfer = [&](uint32_t thread, Op op, uint64_t enter, int32_t fd) {
    Event& event = call(thread, op, enter, enter + 10, 100);
    event.fd = {fd, 1};
    event.length = 100;
  };
  for (uint32_t client : {2, 3}) call(client, Op::socket, 10, 20, 3).fd2 = {3, 1};
  call(2, Op::connect, 100, 150, 0).fd = {3, 1};
  call(3, Op::connect, 90, 190, 0).fd = {3, 1};
  for (const auto& [fd, client, at] : {std::tuple{5, 3u, 200u}, {6, 2u, 220u}}) {
    Event& event = call(1, Op::accept, at, at + 10, fd);
    event.fd2 = {fd, 1};
    event.arg = client;
  }
  for (const auto& [fd, client, at] : {std::tuple{5, 3u, 300u}, {6, 2u, 400u}}) {
    transfer(client, Op::write, at, 3);
    transfer(1, Op::read, at + 20, fd);
  }
  PlanOptions options;
  options.causal = true;
  Result<Plan> plan = make_plan(trace, options);
  ASSERT_TRUE(plan);
  std::vector<uint32_t> fed;
  for (const Step& step : plan->threads[0])
    if (trace.events[step.event].op == Op::read) fed.push_back(step.fed_by.thread);
  EXPECT_EQ(fed, (std::vector<uint32_t>{3, 2}));
}

// One makes a thread, and is next seen 60 ms later. The thread writes for 50 ms and ends.
Plan after_a_thread(uint64_t ends_ms, uint64_t cpu_ms) {
  trace::Trace trace;
  for (uint32_t number : {1, 2}) {
    trace::Thread thread;
    thread.number = number;
    thread.process = 1;
    trace.threads.push_back(thread);
  }
  auto call = [&](uint32_t thread, Op op, uint64_t enter_ms, uint64_t exit_ms) -> Event& {
    Event& event = trace.events.emplace_back(Synthetic::make(thread, op, 0));
    event.enter_ns = enter_ms * kMillisecond;
    event.duration_ns = (exit_ms - enter_ms) * kMillisecond;
    return event;
  };
  Event& clone = call(1, Op::clone_thread, 9, 10);
  clone.arg = clone.result = 2;
  call(2, Op::fsync, 10, ends_ms);
  call(2, Op::exit_thread, ends_ms, ends_ms);
  call(1, Op::compute, 10, 70).arg = cpu_ms * kMillisecond;
  call(1, Op::fsync, 70, 71);
  Result<Plan> plan = make_plan(trace, {});
  EXPECT_TRUE(plan);
  return std::move(*plan);
}

TEST(Joins, WhoWaitedForAThreadToEndNeedsThat) {
  Plan plan = after_a_thread(60, 10);
  const Step& joins = plan.threads[0][1];
  EXPECT_EQ(joins.base.thread, 2u);
  EXPECT_EQ(joins.base.count, 2u);
  EXPECT_EQ(joins.gap_ns, 10 * kMillisecond);
  EXPECT_EQ(joins.need_count, 1u);
}

TEST(Joins, WhoWaitedForSomethingElseDoesNot) {
  for (uint64_t ends_ms : {50u, 69u}) {
    bool computes = ends_ms == 69;  // all the time
    const Step joins = after_a_thread(ends_ms, computes ? 60 : 10).threads[0][1];
    EXPECT_EQ(joins.base.count, 0u);
    EXPECT_EQ(joins.gap_ns, 60 * kMillisecond);
    EXPECT_EQ(joins.need_count, 0u);
  }
}

// Large blocks of a gather, or a broadcast, have to be received before who sends them may leave. Microseconds.
TEST(Causal, WhoSendsToAMeetingWaitsForWhoLetHimGoOn) {
  trace::Trace trace;
  for (uint32_t number : {1, 2, 3}) {
    trace::Thread thread;
    thread.number = thread.process = number;
    trace.threads.push_back(thread);
  }
  auto meet = [&](uint32_t rank, trace::Collective kind, uint64_t enter, uint64_t exit) {
    Event& event = trace.events.emplace_back(
        Synthetic::make(rank + 1, kind == trace::Collective::init ? Op::mpi_init : Op::mpi_collective, 0));
    event.enter_ns = enter * 1000;
    event.duration_ns = (exit - enter) * 1000;
    event.arg = 1;
    event.offset = 3;
    event.mode = static_cast<uint64_t>(kind);
    event.flags = kind == trace::Collective::init ? rank : 0;
    event.length = 1 << 20;
  };
  for (uint32_t rank : {0, 1, 2}) meet(rank, trace::Collective::init, 1, 2);
  meet(2, trace::Collective::gather, 10, 20);  // did not wait
  meet(1, trace::Collective::gather, 100, 5010);
  meet(0, trace::Collective::gather, 5000, 5100);
  meet(0, trace::Collective::broadcast, 10000, 13020);
  meet(1, trace::Collective::broadcast, 12000, 12010);
  meet(2, trace::Collective::broadcast, 13000, 13050);
  PlanOptions options;
  options.causal = true;
  Result<Plan> plan = make_plan(trace, options);
  ASSERT_TRUE(plan);
  using Waited = std::vector<uint64_t>;  // when what it waited for began, in microseconds
  auto waited = [&](uint32_t rank, trace::Collective kind) {
    Waited began;
    for (const Step& step : plan->threads[rank]) {
      const Event& event = trace.events[step.event];
      if (step.arrival || event.op != Op::mpi_collective || event.mode != static_cast<uint64_t>(kind)) continue;
      for (uint32_t i = 0; i < step.need_count; ++i)
        began.push_back(plan->recorded_ns(trace, plan->needs[step.needs + i]) / 1000);
    }
    return began;
  };
  EXPECT_EQ(waited(2, trace::Collective::gather), (Waited{}));
  EXPECT_EQ(waited(1, trace::Collective::gather), (Waited{5000}));
  EXPECT_EQ(waited(0, trace::Collective::broadcast), (Waited{13000}));
  EXPECT_EQ(waited(1, trace::Collective::broadcast), (Waited{10000}));
}

// Every message is received after it was sent, every barrier left after all have come, however the threads run.
TEST(Causal, NoMessageComesBeforeItIsSent) {
  const char* one = std::getenv("REEL_MESSAGE_SEED");
  uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1, last = one ? first : 30;
  test::TempDir dir;
  std::filesystem::create_directory(dir.at("into"));
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("REEL_MESSAGE_SEED=" + std::to_string(seed));
    MessageProgram program(seed, 2 + seed % 4, 40);
    PlanOptions plan_options;
    plan_options.causal = true;
    Result<Plan> plan = make_plan(program.trace, plan_options);
    ASSERT_TRUE(plan);
    Result<std::unique_ptr<World>> world = World::open(*plan, {dir.at("into")});
    ASSERT_TRUE(world);
    std::atomic<bool> stop{false};
    PlayOptions options;
    options.pace = Pace::gaps;
    options.scale = 0.05;
    Result<Played> played = play(program.trace, *plan, **world, options, *one_process(), stop);
    ASSERT_TRUE(played);
    EXPECT_EQ(played->stalled, "");
    std::vector<uint64_t> begun(program.trace.events.size()), over(program.trace.events.size());
    for (size_t i = 0; i < plan->threads.size(); ++i) {
      for (size_t k = 0; k < plan->threads[i].size(); ++k) {
        const Step& step = plan->threads[i][k];
        ASSERT_NE(played->threads[i][k].exit_ns, 0u);
        (step.arrival ? begun : over)[step.event] = played->threads[i][k].exit_ns;
      }
    }
    trace::Messages messages = trace::match_messages(program.trace);
    auto comes_after = [&](uint32_t received, uint32_t sent) { EXPECT_GE(over[received], begun[sent]); };
    for (const auto& [post, peer] : messages.peer) {
      if (program.trace.events[post].op == Op::mpi_recv) comes_after(post, peer);
    }
    for (const auto& [wait, posts] : messages.done) {
      for (uint32_t post : posts) {
        if (program.trace.events[post].op == Op::mpi_irecv) comes_after(wait, messages.peer.at(post));
      }
    }
    for (const trace::Messages::Group& group : messages.groups) {
      if (group.kind != trace::Collective::barrier && group.kind != trace::Collective::allreduce) continue;
      for (uint32_t left : group.members)
        for (uint32_t come : group.members) comes_after(left, come);
    }
  }
}

class Polling : public MadeByHand {
 protected:
  Polling() { options_.mode = Mode::causal; }
  // One writes for so long and then makes /flag; the other sleeps, computes, and then looks for it every 20 ms.
  void record(uint64_t writes_ns, int looks, uint64_t sleeps_ns = 1000, uint64_t computes_ns = 1000) {
    Synthetic trace(options_.log);
    uint32_t maker = trace.process(), poller = trace.process();
    trace.file("/flag", trace::FileKind::absent);
    trace.file("/data", trace::FileKind::absent);
    trace::Descriptor data = trace.open(maker, "/data", O_CREAT | O_WRONLY, 0644, 3);
    trace.on_fd(maker, Op::write, data, 0, 10, 10, 1000, writes_ns);
    Event make = Synthetic::make(maker, Op::open, 4);
    make.path = trace.path("/flag");
    make.flags = O_CREAT | O_EXCL | O_WRONLY;
    make.mode = 0600;
    make.fd2 = {4, 1};
    trace.call(make);
    Event sleep = Synthetic::make(poller, Op::poll, 0);
    sleep.mode = 1;
    trace.call(sleep, 1000, sleeps_ns);
    for (int i = 0; i < looks; ++i) {
      trace.on_path(poller, Op::stat, "/flag", -ENOENT, i == 0 ? computes_ns : 1000);
      trace.call(sleep, 1000, 20 * kMillisecond);
    }
    trace.on_path(poller, Op::stat, "/flag", 0);
    trace.finish();
  }
};

TEST_F(Polling, NobodyWaitsForAPoll) {
  record(90 * kMillisecond, 5);
  Plan made = plan(true);
  for (const Step& step : made.threads[0]) EXPECT_EQ(step.need_count, 0u);
  const Step& found = made.threads[1].back();
  ASSERT_EQ(found.need_count, 1u);
  EXPECT_EQ(made.needs[found.needs].thread, 1u);
  EXPECT_EQ(made.needs[found.needs].count, 3u);
  EXPECT_EQ(made.needs[found.needs].why, Why::name);
  EXPECT_NEAR(static_cast<double>(found.tick_ns), 20e6, 1e5);
}

// The write that took 400 ms takes none now, so the polls that were are not needed.
TEST_F(Polling, EndsWhenWhatItWaitsForIsThere) {
  record(400 * kMillisecond, 20);
  Fidelity made = good();
  EXPECT_GE(made.early, 20u);
  EXPECT_LT(made.replay_ns, 200 * kMillisecond);
}

// They are not needed from the start here, but what the program did before the first is no part of them.
TEST_F(Polling, TakesNothingFromWhatIsComputedBefore) {
  record(400 * kMillisecond, 15, 30 * kMillisecond, 100 * kMillisecond);
  Fidelity made = good();
  EXPECT_GE(made.early, 15u);
  EXPECT_GE(made.replay_ns, 130 * kMillisecond);
}

// Against the plainest way to know who wrote a byte last.
TEST(Written, KnowsTheLastWriterOfEachByte) {
  std::srand(1);
  for (int round = 0; round < 300; ++round) {
    Written written;
    uint32_t last[64] = {};
    for (uint32_t writer = 1; writer <= 20; ++writer) {
      uint64_t begin = static_cast<uint64_t>(std::rand()) % 64, end = begin + static_cast<uint64_t>(std::rand()) % 20;
      end = std::min<uint64_t>(end, 64);
      written.write(begin, end, {writer, 1});
      for (uint64_t i = begin; i < end; ++i) last[i] = writer;
    }
    for (uint64_t begin = 0; begin < 64; begin += 3) {
      uint64_t end = std::min<uint64_t>(begin + 1 + static_cast<uint64_t>(std::rand()) % 9, 64);
      Needs needs(30);
      needs.begin(30);
      written.read(begin, end, needs);
      std::vector<uint32_t> found, wanted;
      for (const Need& need : needs.found()) found.push_back(need.thread);
      for (uint64_t i = begin; i < end; ++i)
        if (last[i] != 0) wanted.push_back(last[i]);
      for (std::vector<uint32_t>* list : {&found, &wanted}) {
        std::sort(list->begin(), list->end());
        list->erase(std::unique(list->begin(), list->end()), list->end());
      }
      EXPECT_EQ(found, wanted);
    }
  }
}

}  // namespace
}  // namespace reel::replay

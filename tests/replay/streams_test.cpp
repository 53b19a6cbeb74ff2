// SPDX-License-Identifier: Apache-2.0
//
// Pipes that several read: each gets what it got, and nobody waits for ever.
#include <fcntl.h>

#include <random>
#include <vector>

#include "made_by_hand.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;
using trace::Synthetic;

class Streams : public MadeByHand {
 protected:
  Streams() { options_.stall_s = 2; }
};

// What Python's multiprocessing does: one pipe for questions, read by all workers under a lock (which is not seen), a
// head of four bytes, then the rest; each answers on a pipe of its own, and the next question waits for an answer.
// In a replay that is as fast as possible all workers are at the pipe at once.
TEST_F(Streams, MessagesOfOnePipeGoToWhoTookThem) {
  uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  constexpr int kWorkers = 3;
  constexpr uint64_t kTurn = 1'000'000;
  Synthetic trace(options_.log);
  uint32_t parent = trace.process();
  auto pipe = [&](int32_t number) {
    Event made = Synthetic::make(parent, Op::pipe, 0);
    made.fd = {number, 1};
    made.fd2 = {number + 1, 1};
    trace.call(made);
  };
  for (int i = 0; i <= kWorkers; ++i) pipe(10 + 2 * i);
  std::vector<uint32_t> workers;
  for (int i = 0; i < kWorkers; ++i) {
    Event fork = Synthetic::make(parent, Op::fork, 1002 + i);
    fork.arg = static_cast<uint64_t>(2 + i);
    trace.call(fork);
    workers.push_back(trace.process(parent));
  }
  uint64_t time = trace.now(parent) + kTurn;
  auto at = [&](uint32_t thread) {  // one thing after the other
    trace.set_now(thread, time);
    time += kTurn;
  };
  for (int turn = 0; turn < 40; ++turn) {
    uint64_t bytes = 5 + random() % 10, chosen = random() % kWorkers;
    uint32_t worker = workers[chosen];
    auto answers = static_cast<int32_t>(12 + 2 * chosen);
    at(parent);
    trace.on_fd(parent, Op::write, {11, 1}, 0, bytes, static_cast<int64_t>(bytes));
    at(worker);
    trace.on_fd(worker, Op::read, {10, 1}, 0, 4, 4);
    at(worker);
    trace.on_fd(worker, Op::read, {10, 1}, 0, bytes - 4, static_cast<int64_t>(bytes - 4));
    at(worker);
    trace.on_fd(worker, Op::write, {answers + 1, 1}, 0, 7, 7);
    at(parent);
    trace.on_fd(parent, Op::read, {answers, 1}, 0, 100, 7);
  }
  trace.finish();
  Fidelity made = good();
  EXPECT_EQ(made.stalled, "");
}

}  // namespace
}  // namespace reel::replay

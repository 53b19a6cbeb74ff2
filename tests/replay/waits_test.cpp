// SPDX-License-Identifier: Apache-2.0
//
// Who waited for whom: the longest path is all of the time, the thought experiment gives the recorded
// time back when nothing is changed, and foresees what the slowest does to the others.
#include "report/waits.h"

#include <fcntl.h>

#include "made_by_hand.h"
#include "message_program.h"

namespace reel::report {
namespace {

using replay::kMillisecond;
using replay::MadeByHand;
using trace::Event;
using trace::Op;
using trace::Synthetic;

TEST(Waits, ThePathIsAllOfTheTimeAndThoughtRepeatsIt) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("REEL_MESSAGE_SEED=" + std::to_string(seed));
    replay::MessageProgram program(seed, static_cast<uint32_t>(2 + seed % 5), 60);
    Result<Waits> waits = find_waits(program.trace);
    ASSERT_TRUE(waits);
    uint64_t sum = 0, at = program.trace.events.empty() ? 0 : waits->path.front().begin_ns;
    for (const Segment& segment : waits->path) {
      EXPECT_EQ(segment.begin_ns, at);
      EXPECT_GT(segment.end_ns, segment.begin_ns);
      at = segment.end_ns;
      sum += segment.end_ns - segment.begin_ns;
    }
    EXPECT_EQ(sum, waits->elapsed_ns);
    EXPECT_EQ(waits->what_if.front().second, waits->elapsed_ns);
  }
}

void meet(Synthetic& trace, uint32_t thread, uint64_t duration) {
  Event event = Synthetic::make(thread, Op::mpi_collective, 0);
  event.arg = 1;
  event.mode = static_cast<uint64_t>(trace::Collective::barrier);
  event.offset = 2;
  trace.call(event, 0, duration);
}

// One writes 100 ms, the other computes 60; then they meet. Storage ten times as fast makes it 60.
TEST_F(MadeByHand, FasterStorageHelpsAsFarAsItIsWaitedFor) {
  Synthetic trace(options_.log);
  uint32_t writes = trace.process(), computes = trace.process();
  for (uint32_t rank = 0; rank < 2; ++rank) {
    Event init = Synthetic::make(rank == 0 ? writes : computes, Op::mpi_init, 0);
    init.flags = rank;
    init.offset = 2;
    trace.call(init, 0, 0);
  }
  trace.file("/f", trace::FileKind::absent);
  trace::Descriptor fd = trace.open(writes, "/f", O_CREAT | O_WRONLY, 0644, 3, 0, 0);
  trace.on_fd(writes, Op::write, fd, 0, 100, 100, 0, 100 * kMillisecond);
  Event compute = Synthetic::make(computes, Op::compute, 0);
  compute.arg = 60 * kMillisecond;
  trace.call(compute, 0, 60 * kMillisecond);
  meet(trace, writes, 0);
  meet(trace, computes, 40 * kMillisecond);
  trace.finish();
  trace::Trace loaded = load();
  Result<Waits> waits = find_waits(loaded);
  ASSERT_TRUE(waits);
  EXPECT_EQ(waits->elapsed_ns, 100 * kMillisecond);
  for (auto [faster, ns] : waits->what_if)
    EXPECT_EQ(ns, std::max<uint64_t>(60 * kMillisecond, static_cast<uint64_t>(100e6 / faster))) << faster;
  uint64_t storage = 0;
  for (const Segment& segment : waits->path)
    if (segment.spent == Spent::storage) storage += segment.end_ns - segment.begin_ns;
  EXPECT_EQ(storage, 100 * kMillisecond);
}

// A pipe's reader waits for its writer, and at the end for the last who could still write.
TEST_F(MadeByHand, AReaderOfAPipeWaitsForItsWriter) {
  Synthetic trace(options_.log);
  uint32_t parent = trace.process();
  Event pipe = Synthetic::make(parent, Op::pipe, 0);
  pipe.fd = {3, 1};
  pipe.fd2 = {4, 1};
  trace.call(pipe);
  Event fork = Synthetic::make(parent, Op::fork, 1002);
  fork.arg = 2;
  trace.call(fork);
  uint32_t child = trace.process(parent);
  trace.on_fd(parent, Op::close, {4, 1}, 0, 0, 0);
  trace.on_fd(child, Op::write, {4, 1}, 0, 10, 10, 30 * kMillisecond);
  trace.on_fd(child, Op::close, {4, 1}, 0, 0, 0, 20 * kMillisecond);
  trace.on_fd(parent, Op::read, {3, 1}, 0, 100, 10, 1000, 30 * kMillisecond);
  trace.on_fd(parent, Op::read, {3, 1}, 0, 100, 0, 1000, 20 * kMillisecond);
  trace.finish();
  trace::Trace loaded = load();
  Result<Waits> waits = find_waits(loaded);
  ASSERT_TRUE(waits);
  std::vector<std::pair<Op, Op>> fed;
  for (const Dependency& one : waits->dependencies)
    if (one.why == replay::Why::stream) fed.emplace_back(loaded.events[one.from].op, loaded.events[one.to].op);
  EXPECT_EQ(fed, (std::vector<std::pair<Op, Op>>{{Op::write, Op::read}, {Op::close, Op::read}}));
}

}  // namespace
}  // namespace reel::report

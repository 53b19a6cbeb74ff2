// SPDX-License-Identifier: Apache-2.0
//
// Messages of MPI: made-up programs of ranks on a model of it. What is matched is what the model
// knows to belong together; a plan's needs are all that truly waited, and none that follows from others.
// REEL_MESSAGE_SEED repeats one.
#include "trace/messages.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "message_program.h"
#include "replay/plan/plan.h"

namespace reel::replay {
namespace {

using Place = MessageProgram::Place;
using trace::Event;
using trace::match_messages;
using trace::Messages;
using trace::Op;

class MessagesOf : public testing::TestWithParam<uint32_t> {
 protected:
  static constexpr uint64_t kSeeds = 300;
  template <class Check>
  void for_seeds(Check check) {
    const char* one = std::getenv("REEL_MESSAGE_SEED");
    uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1, last = one ? first : kSeeds;
    for (uint64_t seed = first; seed <= last && !HasFailure(); ++seed) {
      SCOPED_TRACE("REEL_MESSAGE_SEED=" + std::to_string(seed));
      check(MessageProgram(seed, GetParam(), 40));
    }
  }
};

// Events of each rank, by index into the trace.
std::vector<uint32_t> index_of_first(const trace::Trace& trace) {
  std::vector<uint32_t> first(trace.threads.size(), 0);
  for (uint32_t i = static_cast<uint32_t>(trace.events.size()); i-- > 0;) first[trace.events[i].thread - 1] = i;
  return first;
}

TEST_P(MessagesOf, are_matched_as_they_were_sent) {
  for_seeds([](const MessageProgram& program) {
    Messages messages = match_messages(program.trace);
    std::vector<uint32_t> first = index_of_first(program.trace);
    auto index = [&](Place place) { return first[place.first] + place.second; };
    EXPECT_EQ(messages.unmatched, 0u);
    EXPECT_EQ(messages.peer.size(), program.sent_to.size() * 2);
    for (const auto& [send, receive] : program.sent_to) {
      ASSERT_EQ(messages.peer.count(index(send)), 1u);
      EXPECT_EQ(messages.peer[index(send)], index(receive));
      EXPECT_EQ(messages.peer[index(receive)], index(send));
      const Event& posted = program.trace.events[index(receive)];
      const Event& came = program.trace.events[messages.came.at(index(receive))];
      EXPECT_EQ(came.op, posted.op == Op::mpi_recv ? Op::mpi_recv : Op::mpi_done);
      EXPECT_GE(came.exit_ns(), program.trace.events[index(send)].enter_ns);
    }
    EXPECT_EQ(messages.groups.size(), program.meetings.size());
    for (const std::vector<Place>& meeting : program.meetings) {
      uint32_t group = messages.group.at(index(meeting[0]));
      ASSERT_EQ(messages.groups[group].members.size(), meeting.size());
      for (size_t i = 0; i < meeting.size(); ++i) EXPECT_EQ(messages.groups[group].members[i], index(meeting[i]));
    }
  });
}

// How far each thread was when each step was over, by program order and needs alone.
class Clocks {
 public:
  Clocks(const Plan& plan, const Step* leave_out = nullptr, uint32_t which = 0)
      : plan_(plan), leave_out_(leave_out), which_(which), clocks_(plan.threads.size()) {
    for (size_t i = 0; i < clocks_.size(); ++i) clocks_[i].resize(plan.threads[i].size());
    for (uint32_t i = 0; i < clocks_.size(); ++i)
      for (uint32_t k = 0; k < clocks_[i].size(); ++k) of({i + 1, k + 1});
  }
  const std::vector<uint32_t>& of(Need at) {
    std::vector<uint32_t>& clock = clocks_[at.thread - 1][at.count - 1];
    if (!clock.empty()) return clock;
    std::vector<uint32_t> made(plan_.threads.size() + 1, 0);
    if (at.count > 1) made = of({at.thread, at.count - 1});
    const Step& step = plan_.threads[at.thread - 1][at.count - 1];
    for (uint32_t i = 0; i < step.need_count; ++i)
      if (&step != leave_out_ || i != which_) join(made, plan_.needs[step.needs + i]);
    if (step.awaits != 0)
      for (const Need& arrival : arrivals(step.awaits)) join(made, arrival);
    made[at.thread] = at.count;
    return clocks_[at.thread - 1][at.count - 1] = made;
  }

 private:
  void join(std::vector<uint32_t>& clock, const Need& need) {
    std::vector<uint32_t> other = of(need);
    for (size_t i = 0; i < clock.size(); ++i) clock[i] = std::max(clock[i], other[i]);
  }
  std::vector<Need> arrivals(uint32_t group) const {
    std::vector<Need> found;
    for (uint32_t i = 0; i < plan_.threads.size(); ++i)
      for (uint32_t k = 0; k < plan_.threads[i].size(); ++k)
        if (plan_.threads[i][k].arrives_at == group) found.push_back({i + 1, k + 1});
    return found;
  }
  const Plan& plan_;
  const Step* leave_out_;
  uint32_t which_;
  std::vector<std::vector<std::vector<uint32_t>>> clocks_;
};

TEST_P(MessagesOf, are_waited_for_and_nothing_else_is) {
  for_seeds([](const MessageProgram& program) {
    PlanOptions options;
    options.causal = true;
    Result<Plan> plan = make_plan(program.trace, options);
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->doubts.empty());
    Clocks clocks(*plan);
    Messages messages = match_messages(program.trace);
    // The steps of each event: arrival, and what receives or waits for it.
    std::vector<Need> arrival(program.trace.events.size()), rest(program.trace.events.size());
    for (uint32_t i = 0; i < plan->threads.size(); ++i)
      for (uint32_t k = 0; k < plan->threads[i].size(); ++k)
        (plan->threads[i][k].arrival ? arrival : rest)[plan->threads[i][k].event] = {i + 1, k + 1};
    for (const auto& [post, peer] : messages.peer) {
      if (program.trace.events[post].op != Op::mpi_recv) continue;
      EXPECT_GE(clocks.of(rest[post])[arrival[peer].thread], arrival[peer].count);
    }
    for (const auto& [wait, posts] : messages.done) {
      for (uint32_t post : posts) {
        if (program.trace.events[post].op != Op::mpi_irecv) continue;
        Need sent = arrival[messages.peer.at(post)];
        EXPECT_GE(clocks.of(rest[wait])[sent.thread], sent.count);
      }
    }
    // Every need is of a moment that was over, and none follows from the others.
    for (uint32_t i = 0; i < plan->threads.size(); ++i) {
      for (uint32_t k = 0; k < plan->threads[i].size(); ++k) {
        const Step& step = plan->threads[i][k];
        for (uint32_t n = 0; n < step.need_count; ++n) {
          const Need& need = plan->needs[step.needs + n];
          EXPECT_LE(plan->recorded_ns(program.trace, need), program.trace.events[step.event].exit_ns());
          Clocks without(*plan, &step, n);
          EXPECT_LT(without.of({i + 1, k + 1})[need.thread], need.count) << "this need says nothing new";
        }
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, MessagesOf, testing::Values(2, 3, 5), testing::PrintToStringParamName());

}  // namespace
}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// The model of MPI. A script is one order in which all messages and meetings can happen, so no
// program of it gets stuck; when they do happen is random.
#include "message_program.h"

#include <algorithm>

namespace reel::replay {

using trace::Collective;
using trace::Event;
using trace::Op;

namespace {

constexpr Collective kKinds[] = {Collective::barrier, Collective::broadcast, Collective::gather, Collective::allreduce,
                                 Collective::scan};

bool waits_for(Collective kind, uint32_t root, uint32_t mine, uint32_t other) {
  switch (kind) {
    case Collective::broadcast:
      return other == root;
    case Collective::gather:
      return mine == root;
    case Collective::scan:
      return other < mine;
    default:
      return true;
  }
}

}  // namespace

MessageProgram::MessageProgram(uint64_t seed, uint32_t ranks, unsigned actions) : random_(seed), ranks_(ranks) {
  std::vector<uint32_t> all, odd;
  for (uint32_t rank = 0; rank < ranks; ++rank) {
    all.push_back(rank);
    if (rank % 2 == 1 || rank == 0) odd.push_back(rank);
  }
  communicators_ = {all, odd};
  write_script(actions);
  for (size_t left = 1; left != 0;) {
    left = 0;
    bool moved = false;
    for (unsigned i = 0; i < ranks * 2; ++i) moved |= step(pick(ranks));
    for (uint32_t rank = 0; rank < ranks; ++rank) {
      moved |= step(rank);
      left += ranks_[rank].script.size() - ranks_[rank].next;
    }
    if (left != 0 && !moved) std::abort();  // the model is wrong
  }
  gather();
}

void MessageProgram::write_script(unsigned actions) {
  add_meeting(Collective::init, 1);
  for (unsigned i = 0; i < actions; ++i) {
    unsigned kind = pick(10);
    if (kind < 6)
      add_message();
    else if (kind < 8)
      add_wait(pick(static_cast<unsigned>(ranks_.size())));
    else
      add_meeting(kKinds[pick(5)], 1 + pick(2));
    uint32_t busy = pick(static_cast<unsigned>(ranks_.size()));
    ranks_[busy].script.push_back({Kind::compute, 0, {}, 0, {}});
  }
  for (uint32_t rank = 0; rank < ranks_.size(); ++rank) {
    while (!ranks_[rank].open_sends.empty() || !ranks_[rank].open_receives.empty()) add_wait(rank);
  }
  add_meeting(Collective::finalize, 1);
}

void MessageProgram::add_message() {
  auto count = static_cast<unsigned>(ranks_.size());
  Message message{};
  message.from = pick(count);
  message.to = (message.from + 1 + pick(count - 1)) % count;
  auto number = static_cast<uint32_t>(messages_.size());
  // A wildcard must find one message only: its tag is no other's, or all of its communicator are received so.
  unsigned way = pick(4);
  message.any_source = way == 0;
  message.any_tag = way == 1;
  message.tag = way == 0 ? 1000 + number : pick(3);
  message.communicator = way == 1 ? 77 : 1;
  messages_.push_back(message);
  Rank &from = ranks_[message.from], &to = ranks_[message.to];
  bool posted_early = pick(2) == 0;
  if (posted_early) {
    to.script.push_back({Kind::begin_receive, number, {}, 0, {}});
    to.open_receives.push_back(number);
  }
  unsigned how = pick(4);
  if (how == 0) {
    from.script.push_back({Kind::begin_send, number, {}, 0, {}});
    from.open_sends.push_back(number);
  } else {
    from.script.push_back({how == 1 ? Kind::synchronous_send : Kind::send, number, {}, 0, {}});
  }
  if (!posted_early) to.script.push_back({Kind::receive, number, {}, 0, {}});
}

void MessageProgram::add_wait(uint32_t rank) {
  Rank& at = ranks_[rank];
  Action wait{Kind::wait, 0, {}, 0, {}};
  for (std::vector<uint32_t>* open : {&at.open_sends, &at.open_receives}) {
    std::shuffle(open->begin(), open->end(), random_);
    size_t take = open->empty() ? 0 : 1 + pick(static_cast<unsigned>(open->size()));
    for (size_t i = 0; i < take; ++i) wait.messages.push_back(open->back()), open->pop_back();
  }
  if (!wait.messages.empty()) at.script.push_back(wait);
}

void MessageProgram::add_meeting(Collective kind, uint64_t communicator) {
  const std::vector<uint32_t>& members = communicators_[communicator - 1];
  uint32_t root = members[pick(static_cast<unsigned>(members.size()))];
  auto number = static_cast<uint32_t>(meetings_.size());
  meetings_.push_back({communicator, members, {}});
  meetings.emplace_back(members.size());
  for (uint32_t rank : members) ranks_[rank].script.push_back({Kind::meet, number, kind, root, {}});
}

bool MessageProgram::step(uint32_t number) {
  Rank& rank = ranks_[number];
  if (rank.next == rank.script.size()) return false;
  const Action& action = rank.script[rank.next];
  if (!rank.begun) {
    rank.enter = rank.time;
    rank.begun = true;
    begin(number, action);
    return true;
  }
  uint64_t when = rank.enter;
  if (!can_end(number, action, when)) return false;
  end(number, action, when);
  rank.begun = false;
  ++rank.next;
  return true;
}

void MessageProgram::begin(uint32_t number, const Action& action) {
  Rank& rank = ranks_[number];
  Place here{number, static_cast<uint32_t>(rank.events.size())};
  switch (action.kind) {
    case Kind::send:
    case Kind::synchronous_send:
    case Kind::begin_send:
      messages_[action.message].sent_ns = rank.enter;
      messages_[action.message].send = here;
      break;
    case Kind::receive:
    case Kind::begin_receive:
      messages_[action.message].posted_ns = rank.enter;
      messages_[action.message].receive = here;
      break;
    case Kind::meet: {
      Meeting& meeting = meetings_[action.message];
      meeting.arrived[number] = rank.enter;
      auto place = std::find(meeting.members.begin(), meeting.members.end(), number) - meeting.members.begin();
      meetings[action.message][static_cast<size_t>(place)] = here;
      break;
    }
    default:
      break;
  }
}

bool MessageProgram::can_end(uint32_t number, const Action& action, uint64_t& when) const {
  auto needs = [&](uint64_t ns) {
    when = std::max(when, ns);
    return ns != 0;
  };
  switch (action.kind) {
    case Kind::synchronous_send:
      return needs(messages_[action.message].posted_ns);
    case Kind::receive:
      return needs(messages_[action.message].sent_ns);
    case Kind::wait:
      return std::all_of(action.messages.begin(), action.messages.end(),
                         [&](uint32_t i) { return messages_[i].to != number || needs(messages_[i].sent_ns); });
    case Kind::meet: {
      const Meeting& meeting = meetings_[action.message];
      return std::all_of(meeting.members.begin(), meeting.members.end(), [&](uint32_t other) {
        if (other == number || !waits_for(action.collective, action.root, number, other)) return true;
        auto arrived = meeting.arrived.find(other);
        return arrived != meeting.arrived.end() && needs(arrived->second);
      });
    }
    default:
      return true;
  }
}

Event MessageProgram::event_of(uint32_t number, const Action& action) const {
  Event event;
  event.thread = number + 1;
  if (action.kind == Kind::meet) {
    const Meeting& meeting = meetings_[action.message];
    event.op = action.collective == Collective::init ? Op::mpi_init : Op::mpi_collective;
    event.arg = meeting.communicator;
    event.mode = static_cast<uint64_t>(action.collective);
    event.offset = meeting.members.size();
    event.flags = event.op == Op::mpi_init ? number : action.root;
    return event;
  }
  if (action.kind == Kind::wait) {
    event.op = Op::mpi_wait;
    event.length = action.messages.size();
    event.result = static_cast<int64_t>(action.messages.size());
    return event;
  }
  const Message& message = messages_[action.message];
  event.arg = message.communicator;
  bool sends = message.from == number;
  event.flags = sends ? message.to : message.from;
  event.mode = message.tag;
  switch (action.kind) {
    case Kind::begin_send:
      event.op = Op::mpi_isend;
      event.arg2 = message.send_request;
      break;
    case Kind::begin_receive:
      event.op = Op::mpi_irecv;
      event.arg2 = message.receive_request;
      if (message.any_source) event.flags = ~0u;
      if (message.any_tag) event.mode = ~0u;
      break;
    case Kind::receive:
      event.op = Op::mpi_recv;
      break;
    default:
      event.op = Op::mpi_send;
      event.arg2 = action.kind == Kind::synchronous_send ? 1 : 0;
  }
  return event;
}

void MessageProgram::end(uint32_t number, const Action& action, uint64_t when) {
  Rank& rank = ranks_[number];
  rank.time = when + 1 + pick(action.kind == Kind::compute ? 500'000 : 20);
  if (action.kind == Kind::compute) return;
  if (action.kind == Kind::begin_send) messages_[action.message].send_request = ++rank.requests;
  if (action.kind == Kind::begin_receive) messages_[action.message].receive_request = ++rank.requests;
  Event event = event_of(number, action);
  event.enter_ns = rank.enter;
  event.duration_ns = rank.time - rank.enter;
  rank.events.push_back(event);
  for (uint32_t i : action.messages) {
    const Message& message = messages_[i];
    Event done;
    done.op = Op::mpi_done;
    done.thread = number + 1;
    done.enter_ns = rank.time;
    done.arg2 = message.to == number ? message.receive_request : message.send_request;
    done.flags = message.from;
    done.mode = message.tag;
    rank.events.push_back(done);
  }
}

void MessageProgram::gather() {
  trace.string_kinds.resize(1);
  for (uint32_t i = 0; i < ranks_.size(); ++i) {
    trace::Thread thread;
    thread.number = thread.process = i + 1;
    trace.threads.push_back(thread);
    for (Event& event : ranks_[i].events) {
      event.index = trace.events.size() + 1;
      trace.events.push_back(event);
    }
  }
  for (const Message& message : messages_) sent_to[message.send] = message.receive;
}

}  // namespace reel::replay

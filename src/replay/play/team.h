// SPDX-License-Identifier: Apache-2.0
//
// The processes that play one plan together: usually one; with MPI (src/mpi) several, on one node or on many. Each
// plays whole threads. What is common to all of them:
//   agree, begin, start_ns, end, of_leader    all of them, in the same order
#pragma once

#include <memory>
#include <vector>

#include "reel/result.h"
#include "replay/play/board.h"

namespace reel::replay {

struct Played;

class Team {
 public:
  virtual ~Team() = default;
  // Of all processes one leads: it tells what came of it. Of those on a node one prepares what is on that node.
  virtual bool leads() const = 0;
  virtual bool leads_node() const = 0;
  // An error of any of them.
  virtual Status agree(Status mine) = 0;
  virtual bool of_leader(bool what) = 0;
  virtual void wait_for_all() = 0;

  // Who plays what. The board is empty, and the team's.
  virtual Result<Board*> begin(const trace::Trace& trace, const Plan& plan) = 0;
  virtual bool plays(uint32_t thread) const = 0;
  // All have come here; when the playing begins, by this machine's clock (it may have to be waited for).
  virtual uint64_t start_ns() = 0;
  // Any thread, while it plays: the first `count` steps of the thread are over; somebody came to a meeting. Others
  // wait for these.
  virtual void over(uint32_t thread, uint32_t count, uint64_t now) = 0;
  virtual void arrived(uint32_t place, uint64_t now) = 0;
  virtual void stop() = 0;                 // the other nodes shall stop, too
  virtual uint64_t steps_elsewhere() = 0;  // done on other nodes; rises while they go on
  // The leader's `played` has all threads behind this, by its clock.
  virtual Status end(const Plan& plan, Played& played) = 0;
};

std::unique_ptr<Team> one_process();

}  // namespace reel::replay

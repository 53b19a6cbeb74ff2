// SPDX-License-Identifier: Apache-2.0
//
// How long it takes somebody who waited to go on once what he waited for has happened, and how long somebody who
// computed had no processor. MPI's ranks wait by polling: on a machine with fewer processors than ranks, who may go on
// has to wait until one that computes leaves it a processor. That is the machine's doing: it happens again in a replay
// where it must, and is no property of the program.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "replay/plan/plan.h"

namespace reel::replay {

// When a machine's processors were all computing, as far as a trace shows.
class Contention {
 public:
  explicit Contention(const trace::Trace& trace);
  // Of the time from `begin` to `end`, how long all processors of this thread's machine were taken. 0 where the trace
  // does not say how many processors there were.
  uint64_t within(uint32_t thread, uint64_t begin, uint64_t end) const;
  // Of who wanted a processor from `begin` to `end`, for how long he can have had one, when all who did had the same
  // share. All of it where the trace does not say how many there were.
  uint64_t had(uint32_t thread, uint64_t begin, uint64_t end) const;
  // Of a machine that is known, each by a number of its own; 0: not known.
  uint32_t machine_of(uint32_t thread) const { return machine_of_[thread]; }
  double processors_of(uint32_t machine) const { return machines_[machine].processors; }

 private:
  // How many do something, from time to time, and the sum over time of what that means.
  struct Change {
    uint64_t at;
    double level;
    double sum_ns;
  };
  struct Line {
    std::vector<Change> changes;
    void add(const trace::Event& event, double level);
    template <class Share>
    void add_up(Share share);
    template <class Share>
    double until(uint64_t time, Share share) const;
  };
  struct Machine {
    double processors = 0;
    Line computing, wanting;
  };

  void add(const std::string& machine, const std::string& processors, uint32_t first, uint32_t last);
  void add(const trace::Event& event);

  std::vector<uint32_t> machine_of_;  // by thread number; into machines_
  std::map<std::string, uint32_t> numbers_;
  std::vector<Machine> machines_;
};

// Sets passing_ns of the steps that are not made, and contended_ns of all.
void find_passing(const trace::Trace& trace, Plan& plan);

}  // namespace reel::replay

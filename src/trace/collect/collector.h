// SPDX-License-Identifier: Apache-2.0
//
// The collector: takes the events of all rings in the order of their exits (of closes: their
// entries, since the number is free before the call returns), gives them to the assembler and
// deletes what is read. One thread.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "trace/collect/assemble/assembler.h"
#include "trace/collect/live_thread.h"
#include "trace/collect/rings/ring_clock.h"
#include "trace/collect/rings/ring_file.h"

namespace reel::trace {

class Collector {
 public:
  // `dir` has the control file and the rings.
  static Result<std::unique_ptr<Collector>> open(const std::string& dir, Assembler& assembler, Writer& writer);
  ~Collector();

  // What is there and old enough to be in order. `last`: all of it, from the dead and the living.
  Status collect(bool last);
  // True while a process that wrote rings is alive. Its pid in `pid`.
  bool anybody_left(int32_t& pid) const;
  wire::Control& control() { return *control_; }
  // Of the threads that have a ring now.
  std::vector<LiveThread> live() const;

 private:
  struct Source {
    std::unique_ptr<RingFile> ring;
    uint32_t thread = 0;  // of the trace; 0: none of its events was taken yet
    bool owner_dead = false;
    uint64_t key = 0;    // of its next event
    uint64_t taken = 0;  // events
  };

  Collector(std::string dir, wire::Control* control, Assembler& assembler, Writer& writer)
      : dir_(std::move(dir)), control_(control), clock_(*control), assembler_(assembler), writer_(writer) {}
  Status find_rings(bool last);
  Status take_until(uint64_t horizon, bool last);
  bool advance(Source& source, bool last);
  Status take_one(Source& source);
  Status retire(bool last);
  Status write_taken();
  Status write_own_times();
  void find_beginning(RingFile& ring);
  Status lost(const Source& source, uint64_t events, const std::string& why);

  std::string dir_;
  wire::Control* control_;
  RingClock clock_;
  Assembler& assembler_;
  Writer& writer_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::unordered_set<std::string> known_;
  uint64_t first_index_ = writer_.last_index();  // what the log had before this collector
  bool in_doubt_ = false;                        // whether the log has what a collector before us was about to write
  uint64_t rings_seen_ = 0;
  uint64_t lost_seen_ = 0;
  bool complete_scan_ = false;
};

// Makes the control file of a new recording in `dir`.
Status make_control(const std::string& dir, uint64_t limit_bytes);

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// Steps that read, write, lock and map.
#pragma once

#include "replay/plan/things/descriptors.h"
#include "replay/plan/things/files.h"
#include "replay/plan/things/flows.h"
#include "replay/plan/things/names.h"
#include "replay/plan/things/walk.h"

namespace reel::replay {

class DataSteps {
 public:
  DataSteps(Walk& walk, Names& names, Files& files, Flows& flows, Descriptors& descriptors)
      : walk_(walk), names_(names), files_(files), flows_(flows), descriptors_(descriptors) {}

  void transfer(At& at);  // reads, writes, seeks, syncs, listings
  void copy(At& at);
  void lock(At& at);
  void map(At& at);

 private:
  void transfer_by_socket(At& at);
  void read(At& at, SlotId slot, uint64_t offset, uint64_t length, int64_t result);
  void write(At& at, SlotId slot, uint64_t offset, int64_t result);

  Walk& walk_;
  Names& names_;
  Files& files_;
  Flows& flows_;
  Descriptors& descriptors_;
};

}  // namespace reel::replay

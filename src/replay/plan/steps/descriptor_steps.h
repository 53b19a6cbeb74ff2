// SPDX-License-Identifier: Apache-2.0
//
// Steps that give out, copy and close descriptors.
#pragma once

#include "replay/plan/things/descriptors.h"
#include "replay/plan/things/flows.h"
#include "replay/plan/things/walk.h"

namespace reel::replay {

class DescriptorSteps {
 public:
  DescriptorSteps(Walk& walk, Flows& flows, Descriptors& descriptors)
      : walk_(walk), flows_(flows), descriptors_(descriptors) {}

  void plan(At& at);

 private:
  void close(At& at);
  void close_range(At& at);
  void copy(At& at);
  void make_pair(At& at);
  void control(At& at);
  void make_other(At& at);

  Walk& walk_;
  Flows& flows_;
  Descriptors& descriptors_;
};

}  // namespace reel::replay

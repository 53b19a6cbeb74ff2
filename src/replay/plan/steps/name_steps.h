// SPDX-License-Identifier: Apache-2.0
//
// Steps by name.
#pragma once

#include "replay/plan/things/descriptors.h"
#include "replay/plan/things/files.h"
#include "replay/plan/things/flows.h"
#include "replay/plan/things/names.h"
#include "replay/plan/things/walk.h"

namespace reel::replay {

class NameSteps {
 public:
  NameSteps(Walk& walk, Names& names, Files& files, Flows& flows, Descriptors& descriptors)
      : walk_(walk), names_(names), files_(files), flows_(flows), descriptors_(descriptors) {}

  void open(At& at);
  void make(At& at);      // mkdir, mknod, symlink, bind
  void remove(At& at);    // unlink, rmdir
  void move(At& at);      // rename, link
  void question(At& at);  // by path, or by descriptor
  void truncate(At& at);
  // The name, with all that decides where it leads used. 0: it leads nowhere (then the step is skipped).
  NodeId look(At& at, trace::StringId path, bool follow);

 private:
  bool place(At& at, NodeId node, bool second);
  bool by_proc(At& at, trace::StringId path);
  void open_node(At& at, NodeId node, Description& opened);

  Walk& walk_;
  Names& names_;
  Files& files_;
  Flows& flows_;
  Descriptors& descriptors_;
};

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Seeded random operations on a ModelFs: a small tree that is created, renamed, linked, written,
// migrated and removed again, with files held open and closes that a client keeps back.
#pragma once

#include <string>
#include <vector>

#include "model_mdt/model_fs.h"

namespace reel::model {

class Workload {
 public:
  Workload(ModelFs& fs, uint64_t seed) : fs_(fs), random_(seed * 2 + 1) {}

  void step();                      // one operation, which may fail
  void close_all();                 // everything open is closed, and what clients kept back is told
  void forget() { open_.clear(); }  // the client is gone, and its handles with it

 private:
  uint64_t next();
  uint64_t below(uint64_t limit) { return next() % limit; }
  std::string dir();
  std::string any();
  void names();
  void objects();
  void handles();
  void hsm(const std::string& path);

  ModelFs& fs_;
  uint64_t random_;
  std::vector<Handle> open_;
};

}  // namespace reel::model

// SPDX-License-Identifier: Apache-2.0
//
// A directory for what a dry run has to write: made under $TMPDIR or /var/tmp, gone with this object.
#pragma once

#include <memory>
#include <string>

#include "reel/result.h"

namespace reel::service {

class Scratch {
 public:
  static Result<std::unique_ptr<Scratch>> create();
  ~Scratch();

  const std::string& dir() const { return dir_; }

 private:
  explicit Scratch(std::string dir) : dir_(std::move(dir)) {}
  const std::string dir_;
};

}  // namespace reel::service

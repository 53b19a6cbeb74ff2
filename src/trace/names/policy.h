// SPDX-License-Identifier: Apache-2.0
//
// What becomes of the fields of a trace that may name somebody, field by field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reel/result.h"

namespace reel::trace {

// keep: as it is. hash: a keyed hash of it (of paths and xattrs: component by component; of ids: another number;
// 0 stays). extension: of paths: hash, but what follows a name's first dot stays. drop: it is not there.
enum class Treat : uint8_t { keep, hash, extension, drop };

struct Policy {
  Treat paths = Treat::keep;     // and texts of symlinks, the working directory, mount points
  Treat args = Treat::keep;      // of exec, and the recorded command
  Treat programs = Treat::keep;  // names of threads
  Treat xattrs = Treat::keep;    // names of extended attributes, behind their namespace
  Treat ids = Treat::keep;       // of users and groups
  Treat host = Treat::keep;

  // A trace that names nobody: all hashed.
  static Policy nobody();
  bool changes() const { return !(*this == Policy()); }
  std::string text() const;  // "paths=hash,args=drop,..." with every field
  friend bool operator==(const Policy&, const Policy&) = default;
};

// "paths=hash,args=drop,env=drop,uid=map,host=drop": fields that are not named stay as in `base`. `uid` and `user` are
// ids, `map` is hash. `env` can only be dropped: environments are never recorded. invalid: what is wrong, and what may
// be.
Result<Policy> parse_policy(std::string_view text, const Policy& base);

}  // namespace reel::trace

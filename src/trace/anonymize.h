// SPDX-License-Identifier: Apache-2.0
//
// A trace that names nobody: names of files, programs, arguments, hosts and users become keyed
// hashes. The same component of a path always becomes the same word, so the shape of the tree stays.
#pragma once

#include <string>

#include "base/env.h"
#include "reel/result.h"

namespace reel::trace {

struct AnonymizeOptions {
  std::string key;               // any bytes; who has it can tell whether a guess is right
  bool keep_extensions = false;  // ".tar.gz" of "secret.tar.gz" stays
};

// Copies the trace in `from` to a new log `to`. Errors: not_found, exists, io, no_space, corrupt (damage
// that was gone around is a loss in the copy).
Status anonymize(Env& env, const std::string& from, const std::string& to, const AnonymizeOptions& options);

// One path, component by component; "", "/", "." and ".." stay.
std::string anonymous_path(const std::string& path, const AnonymizeOptions& options);

// 32 random bytes as hexadecimal: a key that nobody has.
Result<std::string> random_key();

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// A trace that names nobody: names of files, programs, arguments, hosts and users become keyed
// hashes. The same component of a path always becomes the same word, so the shape of the tree stays.
// While it is recorded or afterwards: with one key and one policy the trace is the same.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "reel/result.h"
#include "reel/trace.h"
#include "trace/names/policy.h"

namespace reel::trace {

struct AnonymizeOptions {
  std::string key;  // any bytes; who has it can tell whether a guess is right
  Policy policy = Policy::nobody();
};

// What is written to it goes to `to`, changed as the policy says; the clear text goes nowhere. It is kept in memory.
std::unique_ptr<Writer> anonymous_writer(std::unique_ptr<Writer> to, const AnonymizeOptions& options);

// Says in the trace what was done: the facts "policy" and, when nothing that may name somebody was kept, "anonymized".
Status mark_anonymous(Writer& writer, const Policy& policy);

// Copies the trace in `from` (encrypted with `key`, if there is one) to a new log `to`, which is not encrypted. Errors:
// not_found, exists, io, no_space, corrupt (damage that was gone around is a loss in the copy).
Status anonymize(Env& env, const std::string& from, const std::string& to, const AnonymizeOptions& options,
                 const LogKey* key = nullptr);

// One path, component by component; "", "/", "." and ".." stay.
std::string anonymous_path(const std::string& path, const AnonymizeOptions& options);

// 32 random bytes as hexadecimal: a key that nobody has.
Result<std::string> random_key();

}  // namespace reel::trace

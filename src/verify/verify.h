// SPDX-License-Identifier: Apache-2.0
//
// Compares a source and a target tree without trusting anything the mirror knows: no index, no FIDs,
// just two directories walked side by side. Each difference is told as it is found.
//
// Memory does not grow with the tree, but for one entry per object with several names: only from
// these can be seen whether the same names belong together on both sides.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "reel/result.h"

namespace reel::mirror {

enum class VerifyLevel {
  stat,  // names, types, sizes, modes, owners, mtimes, devices, symlink texts, hard links
  meta,  // and extended attributes, ACLs, inode flags
  full,  // and contents and holes
};

struct VerifyOptions {
  VerifyLevel level = VerifyLevel::full;
  unsigned jobs = 0;  // 0: one for each processor
  // Of a source on a Lustre: contents that are only in the HSM archive are read, which brings them back.
  bool recall = false;
  bool is_lustre = false;  // taken for one whatever its file system says
  // What is there on neither side; may be empty. Called from several threads.
  std::function<bool(const std::string& path, bool is_dir)> excluded;
};

struct Difference {
  enum class Kind { differs, missing, extra };
  Kind kind = Kind::differs;
  std::string path;  // relative to both roots, raw bytes; "" is the root
  // Of `differs`: what, and what it is on either side.
  std::string what, source, target;
};

struct VerifySummary {
  uint64_t objects = 0;   // names on both sides that were compared
  uint64_t bytes = 0;     // of contents
  uint64_t released = 0;  // files whose contents were not compared, because they are only in the HSM archive
  uint64_t differences = 0;
  uint64_t errors = 0;  // objects that could not be compared
};

struct VerifyEvents {
  // Called from several threads, one at a time.
  std::function<void(const Difference&)> difference;
  std::function<void(const Error&)> error;
};

// Fails only when there is nothing to compare: a root that cannot be opened.
Result<VerifySummary> verify(const std::string& source, const std::string& target, const VerifyOptions& options,
                             const VerifyEvents& events);

// "differs PATH: mode 0644 != 0600", "missing PATH", "extra PATH"
std::string to_line(const Difference& difference);

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// After a crash in the middle of a batch the index does not know what the target has. Before a batch
// touches the target it writes down what it may touch (the intent). relearn() looks at exactly that:
// what really lies at those entries and in the park is found by the target's inode numbers and
// written into the index; what was new is removed; contents and attributes count as unknown. It does
// not matter which of the batch's operations happened, nor in which order they became durable.
#pragma once

#include "mirror/plan/plan.h"
#include "mirror/plan/target_dirs.h"

namespace reel::mirror {

struct Intent {
  std::vector<EntryKey> keys;
  std::vector<Fid> objects;

  std::string encode() const;
  static Result<Intent> decode(std::string_view bytes);
  static Intent of(const Plan& plan, const Index& index);
};

struct RelearnOptions {
  uint64_t park_until = 0;  // see Object
  // Directories that are found at another place are scanned in any case: a filter may decide otherwise
  // there about what is in them. (Without, those that the index owes a scan are.)
  bool scan_moved = false;
};

// Changes the index (uncommitted) and removes from the target what is nobody's. Idempotent: it can
// itself be interrupted and run again.
Status relearn(const Intent& intent, Index& index, TargetTree& target, const Fid& source_root,
               const RelearnOptions& options);

}  // namespace reel::mirror

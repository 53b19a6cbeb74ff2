// SPDX-License-Identifier: Apache-2.0
//
// Room 4: runs a plan on the target and writes into the index what was achieved. What fails becomes
// a Trouble and stays out of the index; the rest goes on.
#pragma once

#include <atomic>

#include "mirror/plan/plan.h"
#include "mirror/plan/target_dirs.h"

namespace reel::mirror {

// Counted since the mirror began; read from any thread.
struct Counters {
  std::atomic<uint64_t> records{0}, batches{0};
  std::atomic<uint64_t> created{0}, removed{0}, renames{0}, links{0}, attributes{0};
  std::atomic<uint64_t> files_copied{0}, bytes_copied{0}, bytes_cloned{0}, files_compared{0};
  std::atomic<uint64_t> scanned{0};              // directories
  std::atomic<uint64_t> entries_seen{0};         // in them
  std::atomic<uint64_t> planned{0}, applied{0};  // operations; equal between batches
  // Questions to the source about one name or one object, beside those of scans: at most one for each that a batch's
  // records made dirty.
  std::atomic<uint64_t> lookups{0};
  std::atomic<uint64_t> layouts_lost{0};  // Lustre: made with the target's default striping, not the source's
};

// What was done to the target, for -i and -v. Called from many threads, one call at a time.
struct Done {
  enum class Kind {
    create,
    remove,
    move,
    link,
    contents,
    attributes,
    park,  // out of the tree for a while; a move from there or a remove follows
  } kind;
  FileType type;
  EntryKey key;   // the place (after a move: the new one)
  EntryKey from;  // moves, parks
};
using DoneFn = std::function<void(const Done&)>;
// What is not as it should be, and cannot be mended by trying again. Called by one thread.
using NoteFn = std::function<void(const std::string&)>;

struct ApplyContext {
  Index& index;
  SourceTree& source;
  TargetTree& target;
  TargetDirs& dirs;
  Pool& pool;
  Counters& counters;
  DoneFn done;                              // may be empty
  NoteFn note;                              // may be empty
  bool records_follow;                      // a change after this moment has a record that will come
  bool scanning;                            // a scan is under way
  uint64_t park_until;                      // the barrier after which what is parked now may go
  const std::atomic<bool>* stop = nullptr;  // true: what is not begun yet becomes `again`
};

struct ApplyResult {
  std::vector<Trouble> troubles;
  std::vector<std::string> again;  // retry keys: nothing wrong, but it changed meanwhile
  // Of these, directories that would come to lie inside themselves. The source has no such thing, so the
  // index has a directory of the way there where the source has it no more.
  std::vector<std::string> ringed;
};

// Drops everything below `dir` (not itself) from the index.
Status forget_subtree(Index& index, const Fid& dir);

// Errors: only of the index (the batch must not be committed).
Result<ApplyResult> apply(const Plan& plan, ApplyContext& context);

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// The Lustre source: follows all MDTs of a Lustre at once, one stream of our log per MDT ("mdt0",
// "mdt1", ...), each by its own thread. What it promises: docs/guarantees.md, "Following: Lustre".
// How: mdt_stream.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "log/log.h"
#include "reel/result.h"
#include "source/lustre/changelog_device.h"

namespace reel::source::lustre {

// What happened to a stream. Those marked GAP put a GAP record into it; those marked END stop the
// stream for good (health() then fails), and the next start begins it with a GAP.
enum class EventKind {
  started,           // GAP unless the log goes on where it stopped
  records_missing,   // GAP: indexes are missing and did not come in time
  index_back,        // GAP: the MDT's log begins again, or holds something else than it did
  undecodable,       // GAP: one record that cannot be read as a record
  cleared_by_other,  // GAP: somebody cleared records in our user's name
  user_unverified,   // GAP: a user without a name cannot be told from another after a restart of the MDT.
  user_lost,         // GAP, END: evicted, deregistered, or given to somebody else
  mask_lacks,        // GAP, END: types that a mirror needs are not logged
  audit_off,         // GAP, END: clients of some nodemap are not logged
  mdt_restarted,     // GAP: and clients were missing at its recovery: what they had done was undone
  open_logged,       // GAP: OPEN is logged, so closes of a user are told only with his last one
  not_verified,      // mask and users cannot be asked for (lctl on the MDS is not reachable)
  no_fence,          // waits instead of forcing commits
  mdt_gone,          // cannot be read; tried again
  mdt_back,
  tail_changed,  // what was read had not been committed, and is read again
  failed,        // END: our own log cannot be written, or the format is newer than we are
};
const char* to_string(EventKind kind);

struct SourceEvent {
  EventKind kind;
  std::string mdt;   // "lustre-MDT0001"
  std::string text;  // for people
};

// Types without which a mirror would differ silently.
uint64_t needed_mask();

struct LustreOptions {
  std::string log_dir;    // streams are made in it
  std::string state_dir;  // "<MDT>.origin" files: which index of the MDT is which of the stream
  // The registered user: "cl3-reel", "cl3", or for several MDTs "MDT0000:cl3-reel,MDT0001:cl2-reel".
  // A name alone ("reel") where the server can be asked for its users.
  std::string user;
  std::function<void(const SourceEvent&)> event;  // any thread, one call at a time; may be empty
  log::WriterOptions writer;

  size_t batch_bytes = 8u << 20;  // raw records between two commits
  int idle_ms = 1000;             // between looks at an MDT with nothing new; starts at 20 and doubles
  int commit_wait_ms = 15000;     // without a fence: a record is believed when it is this old
  int hole_wait_ms = 3000;        // a missing index is waited for this long before it is a GAP
  int look_s = 30;                // users, mask, audit mode
  int clear_s = 3600;             // a quiet MDT's user is cleared (to where it was) this often
  int stop_grace_ms = 1500;       // then a thread that hangs in a call to a dead MDT is left to itself
};

struct StreamState {
  std::string stream;  // "mdt1"
  std::string mdt;     // "lustre-MDT0001"
  uint64_t last = 0;   // last index of the stream
  // Records up to here may be acted on: they are on our disk, committed at the MDT, and cleared, so
  // that whatever changes after them has a record of its own. A feed must not go further.
  uint64_t released = 0;
  uint64_t mdt_index = 0;  // the MDT's index of the stream's last record
  std::string problem;     // why it does not go on, for people; empty when all is well
};

struct StreamEnd {
  std::string stream;
  uint64_t index = 0;
};

// Not a Source: it has an end per stream, and a Source one.
class LustreSource {
 public:
  virtual ~LustreSource() = default;  // stops it

  // Everything whose record an MDT had written before this call is in the log, and released, up to
  // these ends. Any thread. Errors: the source's own (sticky), timeout (an MDT is away: says which),
  // cancelled.
  virtual Result<std::vector<StreamEnd>> barrier() = 0;
  // The error that ended a stream, or ok.
  virtual Status health() = 0;
  virtual std::vector<StreamState> streams() const = 0;  // by MDT; any thread
};

// The MDTs of what is mounted at `mount`. Errors: unsupported (not a Lustre), not_found (no device,
// says which), permission.
struct SiteOptions {
  std::string lctl = "lctl";  // how to ask the servers; "ssh mds1 lctl" asks there. Empty: never
};
Result<Site> open_site(const std::string& mount, const SiteOptions& options);

// Starts to follow. Errors: permission, not_found, invalid (user), and whatever the log has.
Result<std::unique_ptr<LustreSource>> watch_lustre(Site site, const LustreOptions& options, Env& env);

}  // namespace reel::source::lustre

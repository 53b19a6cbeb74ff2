// SPDX-License-Identifier: Apache-2.0
//
// The seam between the Lustre source and a Lustre: what one MDT offers to a client, call by call. The
// real thing (site_mount.cpp) sits on /dev/changelog-FSNAME-MDTxxxx, which mdc/mdc_changelog.c of
// Lustre makes; tests put a model MDT in its place.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reel/record.h"
#include "reel/result.h"

namespace reel::source::lustre {

// set_flags(); also what the device calls them.
inline constexpr uint32_t kFollow = 0x01;  // at the end wait for more (looks once a second)
inline constexpr uint32_t kNidBe = 0x10;   // nid extensions in the form that holds every network

// The largest record there can be: a read with less room may give 0 although there is one.
inline constexpr size_t kRecordMax = 4096;

// One open descriptor of a changelog device. One thread. Every error has its errno.
class ChangelogDevice {
 public:
  virtual ~ChangelogDevice() = default;

  struct Poll {
    bool readable = false;  // records are there
    bool error = false;     // reading has failed for good; read() says how
    bool end = false;       // all there was has been read (or is still readable)
  };

  // Before the first read or poll, or without effect.
  virtual Status set_flags(uint32_t flags) = 0;
  // The next record read is the first with an index of at least this. Only forward (invalid).
  virtual Status seek(uint64_t index) = 0;
  // Starts the kernel's reading ahead. Returns at once when something is set, or after timeout_ms
  // with nothing set. EINTR is a return with nothing set.
  virtual Result<Poll> poll(int timeout_ms) = 0;
  // Whole records only, as many as are there and fit. 0: the end; final for this descriptor, a new
  // one sees what came later. Also 0 when the next record does not fit. Does not wait: EAGAIN.
  // Other errors are sticky; records that were read ahead before one still come first.
  virtual Result<size_t> read(void* to, size_t size) = 0;
};

// A registered changelog user: what follows `cl` and, if it has one, its name.
struct MdtUser {
  uint32_t id = 0;
  std::string name;              // without "clN-"; empty when registered without
  uint64_t cleared = 0;          // only in an MdtView
  std::optional<uint64_t> mask;  // only in an MdtView, and only when registered with one
  std::string text() const;      // "cl3", "cl3-reel"
};

// What the server says of one MDT, as far as it can be asked (see mdt_view.h). Nothing is set that
// was not answered.
struct MdtView {
  std::optional<uint64_t> incarnation;    // another number each time the MDT was mounted
  std::optional<uint64_t> current_index;  // of the last record
  std::optional<uint64_t> mask;           // types that are logged
  std::optional<std::vector<MdtUser>> users;
  std::optional<bool> audit;        // false: some nodemap has audit_mode off
  std::optional<uint64_t> evicted;  // clients that were missing when the MDT recovered last
};

enum class Fence {
  committed,  // every change that was visible before the call is on the MDT's disk
  none,       // this MDT has nothing to force a commit with
};

// One MDT as a client sees it. Every method from one thread at a time; all may block while the MDT
// is away. Errors carry errno.
class Mdt {
 public:
  virtual ~Mdt() = default;

  virtual const std::string& name() const = 0;  // "lustre-MDT0001"
  virtual unsigned index() const = 0;           // 1
  // Errors: not_found (no such device: not mounted), permission, io.
  virtual Result<std::unique_ptr<ChangelogDevice>> open_device() = 0;
  // "Done with everything up to `index`", never 0. Errors by errno: EINVAL beyond the last record;
  // ENOENT no such user, or it has cleared further already; EINPROGRESS not just now.
  virtual Status clear(uint32_t user_id, uint64_t index) = 0;
  // Is there a user with this id, and (if given) one with this name? Errors: not_found; unsupported
  // when it cannot be known (users registered without name and mask, and old servers).
  virtual Status check_user(const MdtUser& user) = 0;
  virtual Result<Fence> fence() = 0;
  // What fence() changes to have something to commit; zero when it changes nothing. Its records mean
  // nothing to anybody.
  virtual Fid fence_object() const = 0;
  // What can be asked now. An unreachable server is an empty view, not an error.
  virtual MdtView view() = 0;
};

struct Site {
  std::string fsname;
  std::vector<std::unique_ptr<Mdt>> mdts;  // by index
};

}  // namespace reel::source::lustre

// SPDX-License-Identifier: Apache-2.0
//
// What stands behind SOURCE: a directory of this machine, a recorded Lustre changelog, a mounted
// Lustre. It knows who the source is, opens it as a tree, and fills a log with what happens there.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "service/origin/inflow.h"
#include "service/state/state.h"
#include "tree/tree.h"

namespace reel::service {

struct OriginOptions {
  std::string state_dir;          // hidden from the mirror where it lies inside the source
  int hold_seconds = 600;         // directories: see source::LocalOptions
  bool recall = false;            // on a Lustre: contents that are only in the HSM archive are read
  std::string user;               // Lustre: the registered changelog user, see source::lustre::LustreOptions
  std::vector<std::string> mdts;  // Lustre: the MDTs that there must be; empty: whichever there are
  std::function<void(const std::string&)> note;  // for people; may be empty
};

// Where an object was last seen: its directory and its name there.
using Locator = std::function<std::optional<std::pair<Fid, std::string>>(const Fid&)>;

class Origin {
 public:
  virtual ~Origin() = default;

  // A path that must not lie inside a target, nor a target inside it.
  virtual const std::string& path() const = 0;
  // Who it is now; asked again and again. not_found: it is gone.
  virtual Result<SourceIdentity> identify() = 0;
  // May be called several times; the trees are independent of each other.
  virtual Result<std::unique_ptr<mirror::SourceTree>> open_tree(Locator locator) = 0;
  // The streams that fill() fills.
  virtual Result<std::vector<std::string>> streams() = 0;
  // Begins to fill the log in `log_dir`. Errors: permission (says what is missing), unsupported, io.
  virtual Result<std::unique_ptr<Inflow>> fill(const std::string& log_dir) = 0;
  // True: the records are all there already, so that --once takes them, too.
  virtual bool is_recorded() const { return false; }
  // Threads that are worth having although they only wait: questions to a server that are on their way.
  virtual unsigned questions() const { return 1; }
};

// SOURCE as it is given: DIR, recorded:DIR or lustre:MOUNT. Errors: those of the origin.
// "recorded:", "lustre:", or "" for a directory.
std::string kind_of_source(const std::string& source);
Result<std::unique_ptr<Origin>> open_origin(const std::string& source, const OriginOptions& options);

}  // namespace reel::service

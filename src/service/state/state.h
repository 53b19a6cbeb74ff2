// SPDX-License-Identifier: Apache-2.0
//
// The state directory of one mirror: who its source is, which targets it has, and where log and
// indexes lie. Layout:
//   lock                 held by the running reel
//   source               version, path and identity of the source ("key value" lines)
//   log/                 the changelog
//   targets/ID/target    path of the target; ID is also written in TARGET/.reel/id
//   targets/ID/index/    its index
//   targets/ID/adopt     (when there) what TARGET held before has still to be compared
//   targets/ID/rescan    (when there) the log may have forgotten what this target has not seen
//   control.sock, hold.sock, status.json
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "reel/record.h"
#include "reel/result.h"

namespace reel::service {

// 2: indexes know several streams, and barriers. Version 1 is brought up to date when it is opened.
inline constexpr int kStateVersion = 2;

// Where a source's state lies unless told: /var/lib/reel/NAME as root, else ~/.local/state/reel/NAME.
std::string default_state_base();
// "/srv/data" → "srv-data"
std::string name_of_source(const std::string& path);
// The state directory that `--state`, `--name` or the only one under the default base names.
Result<std::string> find_state(const std::string& state, const std::string& name);

struct SourceIdentity {
  Fid root;
  std::string file_system;  // type and, where the kernel tells it, UUID
  std::string born;         // birth time of the root directory
  friend bool operator==(const SourceIdentity&, const SourceIdentity&) = default;
};
Result<SourceIdentity> identify_source(const std::string& path);

struct TargetState {
  std::string id, path;
};

class State {
 public:
  enum class Open {
    create,    // when there is none
    existing,  // not_found when there is none
  };
  // Opens and locks. Errors: busy, conflict (state of another source, or no state at all), newer,
  // corrupt, not_found, permission, io.
  static Result<std::unique_ptr<State>> open(const std::string& dir, const std::string& source_path,
                                             const SourceIdentity& identity, Open how);

  const std::string& dir() const { return dir_; }
  std::string log_dir() const { return dir_ + "/log"; }
  std::string index_dir(const TargetState& target) const { return target_dir(target) + "/index"; }
  std::string rescan_mark(const TargetState& target) const { return target_dir(target) + "/rescan"; }
  std::string adopt_mark(const TargetState& target) const { return target_dir(target) + "/adopt"; }
  // Before anything is written to a target that holds something; stays until all of it was compared.
  Status mark_adopt(const TargetState& target);
  // Before the log is told to keep records for a target anew; stays until its index knows of the scan.
  Status mark_rescan(const TargetState& target);

  // The target with this path as this state knows it; id empty: not known.
  Result<TargetState> find_target(const std::string& path);
  // A new target becomes one of this state in two steps, and its marker is written between them: a
  // start that dies anywhere leaves either a target that is as new, or one whose id was_begun().
  Result<TargetState> begin_target(const std::string& path);
  Status finish_target(const TargetState& target);
  bool was_begun(const std::string& id) const;

 private:
  explicit State(std::string dir) : dir_(std::move(dir)) {}
  static Status check(const std::string& dir, const std::string& text, const std::string& source_path,
                      const SourceIdentity& identity);
  std::string target_dir(const TargetState& target) const { return dir_ + "/targets/" + target.id; }

  std::string dir_;
  std::unique_ptr<Lock> lock_;
};

}  // namespace reel::service

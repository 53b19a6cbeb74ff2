// SPDX-License-Identifier: Apache-2.0
//
// What a mirror is asked for, and what it tells of itself.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mirror/engine.h"

namespace reel::service {

enum class Adopt { no, yes };

struct MirrorReport;

struct MirrorOptions {
  std::string source;  // as open_origin() takes it
  std::vector<std::string> targets;
  std::string state_dir;  // resolved, never empty
  bool once = false;      // scan, bring up to date, end
  bool dry_run = false;   // once, and change nothing
  Adopt adopt = Adopt::no;
  unsigned jobs = 0;              // threads per target; 0: as many as processors
  uint64_t bytes_per_second = 0;  // 0: no limit
  uint64_t max_delete = UINT64_MAX;
  int hold_seconds = 600;
  bool recall = false;  // this and the next two: see OriginOptions
  std::string user;
  std::vector<std::string> mdts;
  std::string status_log;  // of the lustre_rsync whose mirror is taken over; empty: none
  mirror::ExcludeFn exclude;
  std::string filter_text;  // the same filter, the same text
  // Not a run of its own but a repair: only what is at these paths of the one target is looked at.
  std::optional<std::vector<std::string>> repair;
  // Called by the engines' threads, one at a time.
  std::function<void(const std::string& target, const mirror::Done&, const std::string& path, const std::string& from)>
      done;
  std::function<void(const std::string& text)> note;  // for people: what happens, on stderr
  std::function<void(const MirrorReport&)> progress;  // several times a second; may be empty
};

enum class Stop { none, terminate, interrupt };

struct TargetReport {
  std::string path;
  mirror::Progress progress;
  uint64_t records = 0, created = 0, removed = 0, renames = 0, links = 0, attributes = 0;
  uint64_t files_copied = 0, bytes_copied = 0, bytes_cloned = 0, files_compared = 0, batches = 0, scanned = 0;
  uint64_t entries_seen = 0, planned = 0, applied = 0, lookups = 0, layouts_lost = 0;
  uint64_t bytes_moved = 0;  // as bytes_copied, and what is on its way
  bool scan_done = false;
  uint64_t backlog = 0;  // records in the log that are not applied
  std::vector<std::string> troubles;
};

struct MirrorReport {
  std::string source, state_dir;
  bool running = false;
  log::Position log_end;
  int64_t now_s = 0;
  std::vector<TargetReport> targets;
};

}  // namespace reel::service

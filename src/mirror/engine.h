// SPDX-License-Identifier: Apache-2.0
//
// The mirror of one target: takes records (and what is left to scan or to retry) through the five
// rooms, a batch at a time. One thread; state that others may ask for is in `progress()`.
//
// A batch:  fold → survey → plan → [intent, durable] → apply → [index and cursor, one atomic write]
// A durable point, now and then: target.sync() → [intents forgotten, durable] → the log is cleared.
// At any moment: what the index says was applied, or an intent tells what may differ from it.
#pragma once

#include <mutex>

#include "mirror/apply/apply.h"
#include "mirror/barriers.h"
#include "mirror/mend/lost_writes.h"
#include "mirror/mend/recover.h"

namespace reel::mirror {

// Where records come from: one or several streams, with no order between them. Only records that a
// crash of the machine cannot take back.
class Feed {
 public:
  virtual ~Feed() = default;
  virtual const std::vector<std::string>& streams() const = 0;  // the same ones as long as it lives
  // The next record of one of the streams, and which (a position in streams()). False: no more of any
  // of them for now. Every stream that has records gets its turn.
  virtual Result<bool> next(Record& record, size_t& stream) = 0;
  // Goes on behind `position`; before the first next().
  virtual Status start_after(const log::Position& position) = 0;
  virtual log::Position last() = 0;  // of the log as it is now
};

struct EngineHooks {
  // Opens the target and makes sure that it is the right one. Errors: not_found (absent: unmounted),
  // conflict (something else lies there), io.
  std::function<Result<std::unique_ptr<TargetTree>>()> open_target;
  // All that happened until now is in the log; its end. Empty when there is no log.
  std::function<Result<log::Position>()> barrier;
  // The log may forget records up to here, for this target.
  std::function<Status(const log::Position&)> clear;
  std::function<int64_t()> now_s;  // realtime seconds
  std::function<int64_t()> monotonic_ms;
  DoneFn done;
  NoteFn note;
  ExcludeFn exclude;
  std::function<void(const Plan&)> planned;  // sees every plan before it is applied
  const std::atomic<bool>* stop = nullptr;   // true: a batch ends early, what is left of it is kept as retries
};

struct EngineOptions {
  size_t batch_changes = 50000;      // of a batch, by records; and by scans, at most
  size_t scan_changes = 16384;       // by scans, usually: the target writes one batch while the next is made
  uint64_t max_delete = UINT64_MAX;  // more removals than this in all: stop with Code::too_many
  int durable_ms = 5000;             // a durable point at least this often while there is work
  std::string boot_id;               // changes when the machine was restarted; no spaces
  LostWrites::Limits lost_writes;
};

inline constexpr size_t kTroubleTexts = 1000;

struct Progress {
  std::string phase = "starting";  // starting, scanning, following, idle, absent
  log::Position cursor;            // applied so far
  log::Position durable;           // durable on the target so far
  uint64_t cursor_time = 0;        // time of the last record applied, packed
  uint64_t scans_pending = 0, retries_pending = 0, troubles = 0, parked = 0;
  bool settled = false;                    // nothing left to do up to `durable` but troubles
  std::string problem;                     // why it does not go on, for people
  int64_t settled_s = 0;                   // when it last was settled
  std::vector<std::string> trouble_texts;  // the first kTroubleTexts of them
};

class Engine {
 public:
  Engine(Store& store, SourceTree& source, Feed* feed, Pool& pool, EngineHooks hooks, EngineOptions options);

  // Recovers from what an earlier run left and finds the place in the log. Again after an error of
  // step(): then what had not been synced is in doubt.
  Status start();
  // One batch. True: there was something to do, call again at once. False: nothing to do now (all is
  // applied and durable). Errors: not_found, conflict (the target is away; call again later),
  // too_many, corrupt, io.
  Result<bool> step();
  // Takes over what lies on the target already; after start(), before the first step().
  Status adopt();
  // Forgets the open target, so that it can be unmounted.
  void release_target();
  // Scan everything again (what reel --once does first).
  Status request_scan();
  // The filter in other words than last time: everything is scanned again.
  Status set_filter(const std::string& text);
  // Troubles are tried again in the next step, however long they would have waited. Between two steps.
  Status retry_troubles();
  // These paths of the target are not what the index has: they are looked at there and made right.
  // After start(), between two steps. Errors: as of step().
  Status repair(const std::vector<std::string>& paths);

  Progress progress() const;
  Counters& counters() { return counters_; }
  Index& index() { return index_; }

 private:
  Status open_target();
  std::string epoch() const { return options_.boot_id + " " + target_->mounting(); }
  Status recover();
  RelearnOptions relearn_options();
  Status init_root();
  Status load_progress();
  Status upgrade();
  Status find_place();
  void begin_numbered_batch(const log::Position& barrier);
  void put_progress();

  Status fill_from_feed();
  Status take_gaps();
  Status end_suspicion();
  Status scan_everything();
  Status take_retries();
  Status reap(Survey& survey);
  SurveyLimits survey_limits();
  Result<bool> run_batch(std::vector<Fid> scans);
  Status check_deletions(const Plan& plan);
  Status begin_batch(const Plan& plan);
  Status finish_batch(const Survey& survey, const ApplyResult& applied);
  Status end_retries(const Survey& survey, const std::unordered_set<std::string>& bad);
  Status break_rings(const std::vector<std::string>& ringed);
  Status end_scan(const Fid& dir);
  void note_trouble(const std::string& key, int sys_errno, const std::string& text);
  void begin_sync();
  Status make_durable();
  Status update_progress();

  Store& store_;
  SourceTree& source_;
  Feed* feed_;
  Pool& pool_;
  EngineHooks hooks_;
  EngineOptions options_;
  Index index_;
  Counters counters_;
  std::unique_ptr<TargetTree> target_;
  std::unique_ptr<TargetDirs> dirs_;

  Barriers barriers_;
  LostWrites lost_writes_;
  bool started_ = false;

  DirtySet dirty_;
  log::Position reached_;  // the cursor when what is in dirty_ has been applied
  log::Position cursor_, durable_;
  uint64_t batch_ = 0, removed_before_ = 0;
  bool looked_ = false;     // since start(): there was nothing left to do once
  bool undurable_ = false;  // applied batches wait for a durable point
  int64_t last_durable_ms_ = 0;
  int64_t next_retry_s_ = 0;  // no retry is due before this
  mutable std::mutex progress_mutex_;
  Progress progress_;
};

}  // namespace reel::mirror

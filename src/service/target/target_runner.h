// SPDX-License-Identifier: Apache-2.0
//
// One target's thread: starts its engine, keeps it going, waits while the target is away.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <thread>

#include "log/log.h"
#include "service/origin/origin.h"
#include "service/state/mirror.h"
#include "service/target/target_gate.h"

namespace reel::service {

struct RunnerSetup {
  const MirrorOptions* options = nullptr;
  PreparedTarget target;
  std::string adopt_mark;   // a file: what the target held before has still to be compared
  std::string rescan_mark;  // a file: the log may have forgotten what this target has not seen
  std::string state_dir;
  std::string index_dir;    // empty: there is none yet, and none may be made
  std::string scratch_dir;  // not empty: a dry run, which writes only here
  std::string log_dir;      // empty: no log (once)
  std::string boot_id;
  Origin* origin = nullptr;
  Inflow* inflow = nullptr;  // null: no log
  std::string log_user;      // of every stream
};

class TargetRunner {
 public:
  // Opens the index; the options must outlive the runner. Errors: corrupt, busy, io.
  static Result<std::unique_ptr<TargetRunner>> create(RunnerSetup setup);
  ~TargetRunner();

  void start();
  void ask_to_stop();
  // Whoever waits wants it now: no pause between batches until the next settle.
  void hurry();
  bool finished() const { return finished_; }
  const std::string& path() const { return setup_.target.state.path; }
  // Whoever waits wants to know it now: troubles are tried again as soon as all there is in the log has
  // been applied. settled() is false until they were.
  void retry_troubles() { retry_asked_ = true; }
  // Has the engine look at these paths of the target; returns when it knows of them. Errors: its own,
  // cancelled (`gone` turned true).
  Status repair(std::vector<std::string> paths, const std::function<bool()>& gone);
  // After finished(): what ended it, if it was an error.
  std::optional<Error> take_error();

  // Everything up to here is durable, and nothing is left but troubles.
  bool settled(const log::Position& end) const;
  TargetReport report() const;

 private:
  explicit TargetRunner(RunnerSetup setup);
  Status build();
  Status open_store();
  mirror::EngineHooks hooks();
  Status begin();
  Status adopt();
  Status check_age();
  Status clear_log(const log::Position& end);
  Status take_repair();
  void run();
  Status go();
  bool wait_for_news(int64_t pause_ms);
  bool handle(Error error);
  bool once_done() const;
  Result<std::string> path_of(const mirror::EntryKey& key);
  void show(const mirror::Done& done);

  const RunnerSetup setup_;
  std::unique_ptr<mirror::Throttle> throttle_;
  std::unique_ptr<mirror::SourceTree> source_;
  std::unique_ptr<mirror::Store> store_;
  std::unique_ptr<mirror::Feed> feed_;
  std::map<std::string, std::unique_ptr<log::Users>> users_;  // by stream
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<mirror::Engine> engine_;

  std::thread thread_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::atomic<bool> hurry_{false}, finished_{false}, stopping_{false}, scan_done_{false}, retry_asked_{false};
  struct Repair {
    std::vector<std::string> paths;
    std::optional<Status> done;
  };
  std::shared_ptr<Repair> repair_;  // guarded by mutex_; waits to be taken, one at a time
  std::string problem_;             // guarded by mutex_
  bool absent_ = false;             // guarded by mutex_
  std::optional<Error> error_;
  bool prepared_ = false;
  bool noted_ = false;
  std::map<std::string, std::string> parked_from_;  // paths of what was parked, by its name in the park
  int64_t pause_ms_ = 0;
  int64_t quiet_since_ms_ = 0;
};

}  // namespace reel::service

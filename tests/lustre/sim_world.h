// SPDX-License-Identifier: Apache-2.0
//
// A model Lustre, the streams that follow it, and a small mirror that reads objects when their records
// are released; all in one thread, seeded, with crashes of everything.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "log/fault_env.h"
#include "model_mdt/model_mdt.h"
#include "model_mdt/workload.h"
#include "source/lustre/stream/mdt_stream.h"

namespace reel::model {

using source::lustre::EventKind;
using source::lustre::LustreOptions;
using source::lustre::MdtStream;
using source::lustre::MdtUser;
using source::lustre::Step;

struct SimPlan {
  unsigned mdts = 1;
  bool kills = true;  // of reel; also of its machine
  bool mds_crashes = true;
  bool call_faults = true;
  bool admin = true;  // users evicted and registered anew, masks changed, the log wiped
  bool holes = true;
  bool other_users = true;
  bool bad_bytes = false;
  bool open_logged = false;
  bool clears_late = false;  // every second clear fails
  bool named = true;         // our user
  bool has_view = true;
  bool can_fence = true;
  // Canaries: what must be found.
  bool clears_before_commit = false;  // our log says that it is on disk, and is not
  bool acts_before_clear = false;     // the mirror takes records that are not released
};
SimPlan random_plan(log::Random& random);

class SimWorld {
 public:
  SimWorld(uint64_t seed, SimPlan plan);
  virtual ~SimWorld();

  // Runs it all. Empty: all is well; else what is wrong.
  std::string run(int rounds);
  uint64_t gaps() const { return gaps_; }
  uint64_t records() const { return consumed_; }
  std::set<EventKind> seen;  // events

 protected:
  struct Follow {
    std::unique_ptr<ModelMdt> mdt;
    MdtUser user;
    std::unique_ptr<MdtStream> stream;
    uint64_t cursor = 0;             // of the mirror, in the stream
    std::set<std::string> consumed;  // raw records the mirror has seen
    uint64_t gaps = 0;
    EntryPtr asked_for;  // the newest record when the ticket was drawn
    uint64_t gaps_when_asked = 0;
    bool wiped = false;  // since the mirror last had a GAP of this stream
  };
  struct Snap {
    std::set<std::pair<Fid, std::string>> links;
    uint64_t data, attrs, times, xattrs;
    bool operator==(const Snap&) const = default;
  };

  // Another mirror beside the small one: reel was started (again), has died, may work, must be equal.
  virtual void started() {}
  virtual void died(bool machine) { (void)machine; }
  virtual void work() {}
  virtual void becomes_quiet() {}
  virtual std::string settle_mirror() { return ""; }

  void open_streams();
  void close_streams();
  void step(size_t which);
  void consume(Follow& follow);
  void look(const Fid& fid);
  void scan();
  void disturb();
  void disturb_admin(Follow& follow);
  void restart(bool machine);
  void new_user(Follow& follow);
  Status on_call(Follow& follow, const std::string& call);
  std::string settle();
  std::string check_mirror();
  std::string check_log(Follow& follow);
  void trace(const std::string& text) const;
  void complain(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }
  Fid hidden() const { return fs_.lookup(".reel"); }
  bool is_hidden(const Inode& inode) const;

  const uint64_t seed_;
  const SimPlan plan_;
  log::Random random_;
  log::FaultEnv env_;
  ModelFs fs_;
  Workload workload_;
  LustreOptions options_;
  std::vector<Follow> follows_;
  std::map<Fid, Snap> mirror_;
  uint64_t ticket_ = 0, kill_in_ = 0, gaps_ = 0, consumed_ = 0, committed_ns_ = 0;
  bool quiet_ = false;  // no more faults
  std::string wrong_;
};

}  // namespace reel::model

// SPDX-License-Identifier: Apache-2.0
//
// SimWorld with a whole mirror at its end: model MDTs, the real streams into a real log, its feed, the
// real engine, and a simulated target and store (tests/sim/world.h says what goes wrong in those). Still one
// thread: whoever looks at the source may find that the world has moved on since the last look.
#pragma once

#include "lustre/sim_world.h"
#include "mirror/engine.h"
#include "service/origin/inflow.h"
#include "sim/world.h"

namespace reel::model {

struct MirrorPlan {
  double crash = 0, source_error = 0, target_error = 0, move_under_feet = 0;
  // Canaries.
  bool takes_unreleased = false;  // the engine acts on records that were not cleared at the MDT yet
  bool drops_records = false;     // every 20th record does not reach it
};
MirrorPlan random_mirror_plan(log::Random& random);

class MirrorWorld final : public SimWorld, private service::Inflow {
 public:
  MirrorWorld(uint64_t seed, SimPlan plan, MirrorPlan mirror_plan);
  ~MirrorWorld() override { engine_.reset(); }

  uint64_t batches() const { return batches_; }

 private:
  // SimWorld
  void started() override;
  void died(bool machine) override;
  void work() override;
  void becomes_quiet() override;
  std::string settle_mirror() override;
  // Inflow
  const std::vector<std::string>& streams() const override { return names_; }
  uint64_t last(const std::string& stream) const override { return find(stream).last; }
  uint64_t released(const std::string& stream) const override;
  Result<log::Position> barrier() override;
  Status health() override { return ok(); }

  const source::lustre::StreamState& find(const std::string& stream) const;
  void remember();
  Status before_look();
  void start_engine();
  Result<bool> step_engine();
  std::string settle_engine();

  MirrorPlan mirror_plan_;
  sim::World world_;
  std::vector<std::string> names_;
  std::map<std::string, source::lustre::StreamState> states_;  // as last seen
  Pool pool_{0};
  std::unique_ptr<mirror::SourceTree> tree_;
  std::unique_ptr<mirror::Store> store_;
  std::unique_ptr<mirror::Feed> feed_;
  std::unique_ptr<mirror::Engine> engine_;
  uint64_t batches_ = 0;
};

}  // namespace reel::model

// SPDX-License-Identifier: Apache-2.0
//
// A team of one.
#include "replay/play/team.h"

#include <errno.h>
#include <sys/mman.h>

#include <optional>

#include "replay/play/pacing.h"

namespace reel::replay {
namespace {

class OneProcess : public Team {
 public:
  ~OneProcess() override { release(); }
  bool leads() const override { return true; }
  bool leads_node() const override { return true; }
  Status agree(Status mine) override { return mine; }
  bool of_leader(bool what) override { return what; }
  void wait_for_all() override {}

  Result<Board*> begin(const trace::Trace&, const Plan& plan) override {
    release();
    size_ = Board::room(plan);
    // Populated: no step shall pay for the first touch of a page.
    memory_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory_ == MAP_FAILED) {
      memory_ = nullptr;
      return Error::from_errno(errno, "replay: memory for what becomes of " + std::to_string(plan.steps) + " calls");
    }
    return &board_.emplace(plan, memory_);
  }
  bool plays(uint32_t) const override { return true; }
  uint64_t start_ns() override { return now_ns(); }
  void over(uint32_t, uint32_t, uint64_t) override {}
  void arrived(uint32_t, uint64_t) override {}
  void stop() override {}
  uint64_t steps_elsewhere() override { return 0; }
  Status end(const Plan&, Played&) override {
    release();
    return ok();
  }

 private:
  void release() {
    if (memory_) ::munmap(memory_, size_);
    memory_ = nullptr;
  }

  void* memory_ = nullptr;
  size_t size_ = 0;
  std::optional<Board> board_;
};

}  // namespace

std::unique_ptr<Team> one_process() {
  return std::make_unique<OneProcess>();
}

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
#include "replay/play/board.h"

#include <type_traits>

namespace reel::replay {
namespace {

// Zeros are what these begin with, so nobody has to construct them in memory that others use already.
static_assert(std::is_trivially_destructible_v<Meeting> && std::is_trivially_destructible_v<Sample>);
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

constexpr size_t kLine = 64;

// Takes room for `count` of T at `at`, which goes on behind it.
template <class T>
size_t take(size_t& at, size_t count) {
  size_t begin = at;
  at += (count * sizeof(T) + kLine - 1) / kLine * kLine;
  return begin;
}

struct Places {
  size_t stop, progress, meetings, samples, end = 0;

  explicit Places(const Plan& plan) {
    stop = take<std::atomic<bool>>(end, 1);
    progress = take<Progress>(end, plan.threads.size() + 1);
    meetings = take<Meeting>(end, plan.groups.size() + 1);
    size_t steps = 0;
    for (const auto& thread : plan.threads) steps += thread.size();
    samples = take<Sample>(end, steps);
  }
};

}  // namespace

size_t Board::room(const Plan& plan) {
  return Places(plan).end;
}

Board::Board(const Plan& plan, void* memory) : threads_(plan.threads.size()), groups_(plan.groups.size()) {
  Places places(plan);
  auto* bytes = static_cast<char*>(memory);
  stop_ = reinterpret_cast<std::atomic<bool>*>(bytes + places.stop);
  progress_ = reinterpret_cast<Progress*>(bytes + places.progress);
  meetings_ = reinterpret_cast<Meeting*>(bytes + places.meetings);
  auto* sample = reinterpret_cast<Sample*>(bytes + places.samples);
  for (const auto& thread : plan.threads) {
    samples_.push_back(sample);
    sample += thread.size();
  }
}

uint64_t Board::steps_done() const {
  uint64_t sum = 0;
  for (size_t i = 1; i <= threads_; ++i) sum += progress_[i].count();
  return sum;
}

void Board::wake_everybody() {
  for (size_t i = 1; i <= threads_; ++i) progress_[i].wake_all();
  for (size_t i = 1; i <= groups_; ++i) meetings_[i].arrived.wake_all();
}

}  // namespace reel::replay

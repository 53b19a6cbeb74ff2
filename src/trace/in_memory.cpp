// SPDX-License-Identifier: Apache-2.0
//
// See in_memory.h.
#include "trace/in_memory.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "trace/ops.h"

namespace reel::trace {
namespace {

// Memory that is no file's is shared by processes that came from each other by forks alone: an *image*.
class Matching {
 public:
  explicit Matching(const Trace& trace) : trace_(trace) {}

  InMemory run() {
    for (const auto& [time, index] : in_order()) take(index);
    for (const auto& [place, semaphore] : semaphores_) {
      for (size_t k = semaphore.initial; k < semaphore.waits.size(); ++k)
        out_.after[semaphore.waits[k]] = {semaphore.posts[k - semaphore.initial]};
    }
    for (const auto& [place, arrived] : barriers_) out_.unmatched += arrived.size();
    return std::move(out_);
  }

 private:
  using Place = std::tuple<Fid, uint64_t, uint64_t>;  // the file and the offset, or nothing, the address and the image

  struct Lock {
    std::optional<uint32_t> alone;        // who gave it up last that had it alone
    std::map<uint32_t, uint32_t> shared;  // since then: by thread, the last time it gave it up
  };
  struct Semaphore {
    std::vector<uint32_t> posts, waits;
    size_t initial = 0;  // what it had at first: at least as much as was taken before it was given
  };

  // What gives something counts from its entry, what gets it from its exit; who comes to a barrier from his entry.
  static uint64_t effect_ns(const Event& event) {
    bool waits = event.op == Op::mutex_lock || event.op == Op::sem_wait || event.op == Op::futex_wait;
    return waits ? event.exit_ns() : event.enter_ns;
  }

  std::vector<std::pair<uint64_t, uint32_t>> in_order() const {
    std::vector<std::pair<uint64_t, uint32_t>> order;
    for (uint32_t i = 0; i < trace_.events.size(); ++i) {
      const Event& event = trace_.events[i];
      bool images = event.op == Op::fork || event.op == Op::vfork || event.op == Op::exec;
      bool known = event.thread > 0 && event.thread <= trace_.threads.size();
      if (known && !event.failed() && (images || family_of(event.op) == Family::memory))
        order.emplace_back(effect_ns(event), i);
    }
    std::sort(order.begin(), order.end());
    return order;
  }

  uint64_t& image_of(uint32_t process) { return images_.try_emplace(process, process).first->second; }

  Place place_of(const Event& event) {
    if (!event.object.is_zero()) return {event.object, event.offset, 0};
    return {Fid{}, event.arg, image_of(trace_.threads[event.thread - 1].process)};
  }

  void take(uint32_t index) {
    const Event& event = trace_.events[index];
    switch (event.op) {
      case Op::fork:
      case Op::vfork: {
        uint64_t image = image_of(trace_.threads[event.thread - 1].process);
        images_[static_cast<uint32_t>(event.arg)] = image;
        return;
      }
      case Op::exec:
        image_of(trace_.threads[event.thread - 1].process) = (1ull << 32) + index;
        return;
      case Op::mutex_lock:
        return lock(index, locks_[place_of(event)]);
      case Op::mutex_unlock:
        return unlock(index, locks_[place_of(event)]);
      case Op::sem_post:
        semaphores_[place_of(event)].posts.push_back(index);
        return;
      case Op::sem_wait: {
        Semaphore& semaphore = semaphores_[place_of(event)];
        semaphore.waits.push_back(index);
        if (semaphore.waits.size() > semaphore.posts.size())
          semaphore.initial = std::max(semaphore.initial, semaphore.waits.size() - semaphore.posts.size());
        return;
      }
      case Op::barrier_wait:
        return meet(index);
      case Op::futex_wake:
        wakes_[{event.thread, event.arg2}] = index;
        return;
      case Op::futex_wait:
        if (auto wake = wakes_.find({static_cast<uint32_t>(event.arg), event.arg2}); wake != wakes_.end())
          out_.after[index] = {wake->second};
        return;
      default:
        return;
    }
  }

  void lock(uint32_t index, const Lock& lock) {
    std::vector<uint32_t> after;
    if (lock.alone) after.push_back(*lock.alone);
    if (trace_.events[index].arg2 != kHeldToRead)
      for (const auto& [thread, last] : lock.shared) after.push_back(last);
    if (!after.empty()) out_.after[index] = std::move(after);
  }

  void unlock(uint32_t index, Lock& lock) {
    const Event& event = trace_.events[index];
    if (event.arg2 == kHeldInVain) return;
    if (event.arg2 == kHeldToRead) {
      lock.shared[event.thread] = index;
      return;
    }
    lock.alone = index;
    lock.shared.clear();
  }

  // Nobody can come to a barrier's next turn before all of this one have come.
  void meet(uint32_t index) {
    std::vector<uint32_t>& arrived = barriers_[place_of(trace_.events[index])];
    arrived.push_back(index);
    if (arrived.size() < trace_.events[index].arg2) return;
    for (uint32_t member : arrived) out_.meeting[member] = static_cast<uint32_t>(out_.meetings.size());
    out_.meetings.push_back(std::exchange(arrived, {}));
  }

  const Trace& trace_;
  InMemory out_;
  std::unordered_map<uint32_t, uint64_t> images_;  // by process
  std::map<Place, Lock> locks_;
  std::map<Place, Semaphore> semaphores_;
  std::map<Place, std::vector<uint32_t>> barriers_;  // who has come and not all
  std::map<std::pair<uint32_t, uint64_t>, uint32_t> wakes_;
};

}  // namespace

InMemory match_in_memory(const Trace& trace) {
  return Matching(trace).run();
}

}  // namespace reel::trace

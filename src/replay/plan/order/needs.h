// SPDX-License-Identifier: Apache-2.0
//
// What a step needs to be over before it begins, why, and what its thread knows by then to be over
// anyway.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace reel::replay {

// What two calls have in common, that makes one wait for the other.
enum class Why : uint8_t {
  none,
  descriptor,  // it is opened, used, closed; the position that copies share
  name,        // a name is made, found, listed, removed
  size,        // a file's end
  order,       // calls on a file, one after the other (PlanOptions::strict)
  data,        // one read what the other wrote
  lock,
  process,  // fork and the child, exit and wait, vfork's parent
  stream,   // bytes of a pipe or a socket
  message,  // of MPI
  found,    // by throttling
  memory,   // one let the other go on in memory
};
inline constexpr size_t kWhys = 12;
const char* why_text(Why why);  // one word

// A thread's first `count` steps are over. count 0: nothing is needed.
struct Need {
  uint32_t thread = 0;
  uint32_t count = 0;
  Why why = Why::none;
};

// Gathers the needs of one step, and leaves out what the thread knows by what it has waited for before. With up to
// kMostClocks threads it knows all that those knew whom it waited for: then the needs of all steps are the fewest that
// have the same order (the transitive reduction). With more that would take too much memory, and it knows only whom it
// waited for itself.
class Needs {
 public:
  static constexpr size_t kMostClocks = 64;

  explicit Needs(size_t threads);

  void begin(uint32_t thread) {
    thread_ = thread;
    found_.clear();
  }
  // Of what is added from now on.
  Needs& because(Why why) {
    why_ = why;
    return *this;
  }
  void add(Need need);
  // The step that was begun is its thread's `count`-th.
  void finish(uint32_t count);
  // The needs of the step that was begun, one per thread; as few as can be after finish().
  const std::vector<Need>& found() const { return found_; }
  // Somebody waits for this by other means (a barrier): known, not needed. Before finish().
  void learn(Need need);
  // `child`, which `maker` makes, knows what its maker knows by then.
  void inherit(Need maker, uint32_t child);

 private:
  using Counts = std::unordered_map<uint32_t, uint32_t>;     // by thread
  using Clock = std::vector<std::pair<uint32_t, uint32_t>>;  // the same, sorted by thread
  struct Moment {
    uint32_t count;  // from this step of the thread on
    Clock clock;
  };
  static Clock clock_of(const Counts& counts);
  uint32_t known_at(const Need& need, uint32_t thread) const;
  const Clock* clock_at(const Need& need) const;
  void merge(const Need& need);

  uint32_t thread_ = 0;
  Why why_ = Why::none;
  bool full_;
  std::vector<Need> found_, learned_;
  std::vector<Counts> known_;                 // by thread: the others' counts
  std::vector<std::vector<Moment>> moments_;  // by thread, full_ only
};

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Where a replay takes place: the directories below --into and the --maps, and the descriptors that
// steps share. Names are found by directory handle and one component, and directories with
// RESOLVE_IN_ROOT, so that no symlink leads out.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "reel/result.h"
#include "replay/plan/plan.h"

namespace reel::replay {

// Bytes that are written: one pattern, mapped again and again so that any length is there at once.
class Pattern {
 public:
  static Result<Pattern> make(uint64_t length);
  Pattern() = default;
  Pattern(Pattern&& other) noexcept : bytes_(other.bytes_), size_(other.size_) { other.bytes_ = nullptr; }
  Pattern& operator=(Pattern&& other) noexcept;
  ~Pattern();
  // At least the `length` it was made for.
  const void* bytes() const { return bytes_; }

 private:
  void* bytes_ = nullptr;
  size_t size_ = 0;
};

// A directory's handle for one call: kept open, or closed behind it.
class DirHandle {
 public:
  DirHandle(int fd, bool owned) : fd_(fd), owned_(owned) {}
  DirHandle(DirHandle&& other) noexcept : fd_(other.fd_), owned_(other.owned_) { other.owned_ = false; }
  DirHandle(const DirHandle&) = delete;
  DirHandle& operator=(const DirHandle&) = delete;
  ~DirHandle();
  int fd() const { return fd_; }  // negative: -errno

 private:
  int fd_;
  bool owned_;
};

class World {
 public:
  // Opens the tops: `into`, then each map's directory. Errors: not_found, permission, io.
  static Result<std::unique_ptr<World>> open(const Plan& plan, const std::vector<std::string>& tops);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Any thread from here on.
  DirHandle directory(const Dir& dir);
  // The directory is gone (or about to be found gone).
  void forget(uint32_t instance);
  // A name in the whole tree, its symlinks followed within it; for opens. The descriptor or -errno.
  int open_within(const Dir& dir, const std::string& name, int flags, uint32_t mode);

  int fd(SlotId slot) const { return slots_[slot].load(std::memory_order_acquire); }
  void set(SlotId slot, int fd) { slots_[slot].store(fd, std::memory_order_release); }
  // Takes it out: who gets it closes it.
  int take(SlotId slot) { return slots_[slot].exchange(-1, std::memory_order_acq_rel); }

  int top(uint32_t root) const { return tops_[root]; }
  const Pattern& pattern() const { return pattern_; }

 private:
  World(size_t slots, size_t instances);

  std::vector<int> tops_;
  std::vector<std::atomic<int>> slots_, directories_;
  std::atomic<uint64_t> kept_{0};
  uint64_t most_kept_ = 0;
  Pattern pattern_;
};

}  // namespace reel::replay

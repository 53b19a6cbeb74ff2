// SPDX-License-Identifier: Apache-2.0
//
// Makes one step's system call, and gives what it returned. One Caller for each thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "replay/plan/plan.h"
#include "replay/play/world.h"

namespace reel::replay {

// What a recorded process has mapped: recorded address -> ours. Shared by its threads.
class Mappings {
 public:
  ~Mappings();
  void add(uint64_t recorded, void* ours, uint64_t length, bool writes);
  // Of a range: what munmap or msync gave; 0 for what was never mapped here.
  int64_t unmap(uint64_t recorded, uint64_t length);
  int64_t sync(uint64_t recorded, uint64_t length, int flags);

 private:
  struct One {
    char* ours = nullptr;
    uint64_t length = 0;
    bool writes = false;  // stores reach the file
  };
  std::mutex mutex_;
  std::map<uint64_t, One> mapped_;
};

class Caller {
 public:
  // The thread that makes it has a umask (and working directory) of its own from then on, where that is allowed.
  Caller(const trace::Trace& trace, const Plan& plan, World& world, Mappings& mappings);
  ~Caller();
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // What goes with a step whose call is not made (copies and ends of descriptors), and before one.
  void effects(const Step& step);
  // The result or -errno.
  int64_t play(const Step& step);

 private:
  using Event = trace::Event;
  struct Place {
    DirHandle dir;
    const char* name;
  };
  Place place(const Step& step, bool second) const;

  int64_t by_name(const Step& step, const Event& event);
  int64_t by_descriptor(const Step& step, const Event& event);
  int64_t attribute_of(const Step& step, const Event& event, int fd);
  int64_t list(const Step& step, const Event& event, int fd);
  int64_t move_data(const Step& step, const Event& event, int fd);
  int64_t open(const Step& step, const Event& event);
  int64_t attribute(const Step& step, const Event& event);
  int64_t by_path(const char* path, const Event& event);
  int64_t pair(const Step& step, const Event& event);
  int64_t copy_descriptor(const Step& step, const Event& event);
  int64_t fcntl(const Step& step, const Event& event);
  int64_t copy(const Step& step, const Event& event);
  int64_t map(const Step& step, const Event& event);
  int64_t lock(const Step& step, const Event& event);
  int64_t read_stream(const Event& event, int fd);
  char* buffer(uint64_t size);
  uint32_t mode_of(const Step& step);
  const void* value_of(const Event& event);  // of setxattr; until the next one

  const trace::Trace& trace_;
  const Plan& plan_;
  World& world_;
  Mappings& mappings_;
  char* buffer_ = nullptr;
  uint64_t buffer_size_ = 0;
  std::string xattr_value_;
  const bool has_umask_;                    // of its own
  uint32_t umask_ = 0;                      // then: what it is now
  std::map<SlotId, int64_t> listed_ahead_;  // bytes of a directory more than the recorded calls gave so far
};

// A time of utimens (docs/trace-format.md): nanoseconds since 1970, signed, or what stands for now and for leaving it.
timespec time_of(uint64_t ns);

// Whether what a replayed call returned is what the recorded one did, as far as it can be told:
// descriptors and addresses differ, listings are as long as the file system makes them, and where names are hashed the
// texts of symlinks are longer.
bool same_result(const trace::Trace& trace, const trace::Event& event, int64_t result);

}  // namespace reel::replay

// SPDX-License-Identifier: Apache-2.0
//
// Brings a file system to disk beside everything else.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace reel::mirror {

// One thread uses it. It has an open file of its own, so that the kernel tells it of an error without forgetting to
// tell others that sync.
class Flusher {
 public:
  ~Flusher();
  // Returns at once. `failed` is called, from another thread, when it could not be done. Asked again while it runs, it
  // does it once more; after an error it does nothing any more.
  void begin(int rootfd, std::function<void()> failed);
  int wait();  // 0, or errno of what failed

 private:
  std::thread thread_;
  std::atomic<unsigned> asked_{0};  // since the thread had nothing left to do
  int error_ = 0;                   // of the thread, until it is joined
};

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// A fixed set of threads that works through index ranges. With zero threads everything runs in the
// caller, in order: that is how the simulation stays deterministic.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace reel {

class Pool {
 public:
  explicit Pool(unsigned threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Calls work(i) once for every i in [0, count), from the pool's threads and the caller, in any
  // order; returns when all are done. Not reentrant.
  void run(size_t count, const std::function<void(size_t)>& work);

 private:
  void serve();
  void take(const std::function<void(size_t)>& work, std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(size_t)>* work_ = nullptr;
  size_t next_ = 0, count_ = 0, running_ = 0, chunk_ = 1;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace reel

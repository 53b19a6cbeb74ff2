// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <algorithm>

namespace reel {

Pool::Pool(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

Pool::~Pool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Pool::run(size_t count, const std::function<void(size_t)>& work) {
  if (threads_.empty() || count < 2) {
    for (size_t i = 0; i < count; ++i) work(i);
    return;
  }
  std::unique_lock lock(mutex_);
  work_ = &work;
  next_ = 0;
  count_ = count;
  // Small enough that the last chunk does not leave the others idle, large enough to be cheap.
  chunk_ = std::clamp<size_t>(count / (threads_.size() * 16 + 1), 1, 64);
  wake_.notify_all();
  take(work, lock);
  done_.wait(lock, [this] { return running_ == 0 && next_ >= count_; });
  work_ = nullptr;
}

// Works through chunks until none is left. Called and left with the lock held.
void Pool::take(const std::function<void(size_t)>& work, std::unique_lock<std::mutex>& lock) {
  while (next_ < count_) {
    size_t begin = next_;
    size_t end = std::min(count_, begin + chunk_);
    next_ = end;
    ++running_;
    lock.unlock();
    for (size_t i = begin; i < end; ++i) work(i);
    lock.lock();
    --running_;
  }
}

void Pool::serve() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    wake_.wait(lock, [this] { return stop_ || (work_ && next_ < count_); });
    if (stop_) return;
    take(*work_, lock);
    if (running_ == 0) done_.notify_all();
  }
}

}  // namespace reel

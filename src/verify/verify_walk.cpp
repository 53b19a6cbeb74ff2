// SPDX-License-Identifier: Apache-2.0
#include "verify/verify_walk.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace reel::mirror {
namespace {

constexpr size_t kNamesAtOnce = 32;  // taken by a thread; large enough to pay for opening the path
constexpr unsigned kJobsMax = 64;

class Walk {
 public:
  using List = std::function<void(const std::string&, std::vector<std::string>&)>;
  using Visit = std::function<void(const std::string&, const std::vector<std::string>&, std::vector<std::string>&)>;
  Walk(const List& list, const Visit& visit) : list_(list), visit_(visit) { waiting_.push_back({"", {}, false}); }

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return !waiting_.empty() || busy_ == 0; });
      if (waiting_.empty()) break;
      Dir piece = take();
      busy_++;
      lock.unlock();
      std::vector<Dir> found;
      if (piece.listed) {
        std::vector<std::string> below;
        visit_(piece.path, piece.names, below);
        for (std::string& path : below) found.push_back({std::move(path), {}, false});
      } else {
        list_(piece.path, piece.names);
        if (!piece.names.empty()) found.push_back({piece.path, std::move(piece.names), true});
      }
      lock.lock();
      busy_--;
      for (Dir& dir : found) waiting_.push_back(std::move(dir));
      changed_.notify_all();
    }
  }

 private:
  struct Dir {
    std::string path;
    std::vector<std::string> names;  // still to be visited
    bool listed;
  };

  // A directory to list, or some names of one that was listed.
  Dir take() {
    Dir& top = waiting_.back();
    if (!top.listed || top.names.size() <= kNamesAtOnce) {
      Dir whole = std::move(top);
      waiting_.pop_back();
      return whole;
    }
    Dir some{top.path, {}, true};
    auto from = top.names.end() - kNamesAtOnce;
    some.names.assign(std::make_move_iterator(from), std::make_move_iterator(top.names.end()));
    top.names.erase(from, top.names.end());
    return some;
  }

  const List& list_;
  const Visit& visit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Dir> waiting_;  // the last is taken first
  unsigned busy_ = 0;
};

}  // namespace

void walk_pairs(unsigned jobs, const Walk::List& list, const Walk::Visit& visit) {
  if (jobs == 0) jobs = std::max(1u, std::thread::hardware_concurrency());
  Walk walk(list, visit);
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < std::min(jobs, kJobsMax); i++) threads.emplace_back([&] { walk.work(); });
  walk.work();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace reel::mirror

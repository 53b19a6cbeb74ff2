// SPDX-License-Identifier: Apache-2.0
#include "tree/posix/flusher.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "tree/posix/posix_attributes.h"

namespace reel::mirror {

Flusher::~Flusher() {
  if (thread_.joinable()) thread_.join();
}

void Flusher::begin(int rootfd, std::function<void()> failed) {
  if (asked_++ > 0) return;
  if (wait() != 0) return;
  Fd own(open_at(rootfd, ".", O_RDONLY | O_DIRECTORY));
  if (!own) {
    asked_ = 0;
    return;
  }
  thread_ = std::thread([this, fd = std::move(own), failed = std::move(failed)] {
    unsigned asked = asked_;
    do {
      if (::syncfs(fd.get()) == 0) continue;
      error_ = errno;
      failed();
      return;
    } while (!asked_.compare_exchange_strong(asked, 0));
  });
}

int Flusher::wait() {
  if (thread_.joinable()) thread_.join();
  return error_;
}

}  // namespace reel::mirror

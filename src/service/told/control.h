// SPDX-License-Identifier: Apache-2.0
//
// How `reel wait`, `reel status` and `reel verify --repair` talk to the running reel: a Unix socket in the state
// directory. A request is one line ("status", "wait", "repair FILE"); the answer is a line with the exit code, then
// text until the end.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "reel/result.h"

namespace reel::service {

struct Answer {
  int exit_code = 0;
  std::string text;
};

class ControlServer {
 public:
  // Answers are made in a thread per request; `gone` turns true when the asker hung up or the server
  // is stopping.
  using Handler = std::function<Answer(const std::string& request, const std::function<bool()>& gone)>;

  static Result<std::unique_ptr<ControlServer>> start(const std::string& path, Handler handler);
  ~ControlServer();

 private:
  ControlServer() = default;
  void accept_loop();
  void serve(int fd);

  std::string path_;
  int listener_ = -1;
  Handler handler_;
  std::atomic<bool> stop_{false};
  std::atomic<int> serving_{0};
  std::thread thread_;
};

// Errors: not_found (no reel is running there), io, cancelled (it ended before it answered).
Result<Answer> ask(const std::string& path, const std::string& request);

}  // namespace reel::service

// SPDX-License-Identifier: Apache-2.0
//
// Running the recorded command: started, its signals passed on, its exit code.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "reel/result.h"

namespace reel::trace {

// What came of a recorded command.
struct Ran {
  int exit_code = 0;       // the command's
  Status recorded = ok();  // an error: why nothing was recorded from some moment on, though the command went on
};

class Command {
 public:
  // Called in the child before the exec; only what may be done between fork and exec.
  using Prepare = std::function<void()>;

  // Blocks the signals that are passed on, in this thread.
  Command();
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  // `environment`: entries that are set over reel's own. Errors: not_found, permission, io.
  Status start(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
               const Prepare& prepare = {});
  // The two halves of start, for who has to do something between fork and exec: the child exists;
  // then, whether its exec worked (only once it has tried).
  Status launch(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                const Prepare& prepare);
  Status launched();
  pid_t pid() const { return pid_; }
  // Waits up to `ms` for a signal and passes it on. True when the command has ended.
  Result<bool> wait(int ms);
  // Only that, for who waits for processes himself; any thread. A child's end does not wake it.
  void pass_signals(int ms) { pass(passed_, ms); }
  // Until it has ended, only passing signals.
  Status let_it_end();
  int exit_code() const { return exit_code_; }  // 128 + N: by signal N

 private:
  bool reap();
  void pass(const sigset_t& wanted, int ms);

  pid_t pid_ = -1;
  int exit_code_ = 0;
  bool ended_ = false;
  int failed_ = -1;  // tells errno when the exec did not work
  std::string name_;
  sigset_t before_{}, ours_{}, passed_{};  // ours_: passed_ and SIGCHLD
};

// "$PATH" searched as execvp does; the argument when it has a slash. Empty: nowhere.
std::string find_program(const std::string& name);
// As a shell would have to be told it.
std::string shell_quoted(const std::vector<std::string>& arguments);

}  // namespace reel::trace

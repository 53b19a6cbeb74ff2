// SPDX-License-Identifier: Apache-2.0
//
// Running the recorded command.
#include "trace/recording/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace reel::trace {
namespace {

constexpr int kPassedOn[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH, SIGALRM};

}  // namespace

Command::Command() {
  ::sigemptyset(&ours_);
  for (int number : kPassedOn) ::sigaddset(&ours_, number);
  passed_ = ours_;
  ::sigaddset(&ours_, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &ours_, &before_);
}

Command::~Command() {
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  if (failed_ >= 0) ::close(failed_);
}

Status Command::launch(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                       const Prepare& prepare) {
  int failed[2];
  if (::pipe2(failed, O_CLOEXEC) != 0) return Error::from_errno(errno, "pipe");
  std::vector<char*> list;
  for (const std::string& argument : arguments) list.push_back(const_cast<char*>(argument.c_str()));
  list.push_back(nullptr);
  name_ = arguments[0];
  pid_ = ::fork();
  if (pid_ == 0) {
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    for (const std::string& entry : environment) ::putenv(const_cast<char*>(entry.c_str()));
    if (prepare) prepare();
    ::execvp(list[0], list.data());
    int error = errno;
    ssize_t told = ::write(failed[1], &error, sizeof error);
    ::_exit(told > 0 ? 127 : 126);
  }
  int error = errno;
  ::close(failed[1]);
  failed_ = failed[0];
  if (pid_ < 0) return Error::from_errno(error, "fork");
  return ok();
}

Status Command::launched() {
  int error = 0;
  ssize_t got = ::read(failed_, &error, sizeof error);
  ::close(failed_);
  failed_ = -1;
  if (got != sizeof error) return ok();
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  return Error::from_errno(error, "run " + name_);
}

Status Command::start(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                      const Prepare& prepare) {
  TRY(launch(arguments, environment, prepare));
  return launched();
}

bool Command::reap() {
  int status = 0;
  pid_t pid = ::waitpid(pid_, &status, WNOHANG | WUNTRACED);
  if (pid != pid_ || WIFSTOPPED(status)) return false;
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  ended_ = true;
  return true;
}

void Command::pass(const sigset_t& wanted, int ms) {
  struct timespec timeout = {ms / 1000, (ms % 1000) * 1'000'000l};
  siginfo_t info;
  int number = ::sigtimedwait(&wanted, &info, &timeout);
  // What the terminal sends goes to the command as well; only what somebody sent to us is passed on.
  if (number > 0 && number != SIGCHLD && info.si_code <= 0) ::kill(pid_, number);
}

Result<bool> Command::wait(int ms) {
  if (ended_ || reap()) return true;
  pass(ours_, ms);
  return reap();
}

Status Command::let_it_end() {
  constexpr int kMs = 100;
  for (;;) {
    TRY_ASSIGN(bool ended, wait(kMs));
    if (ended) return ok();
  }
}

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = ::getenv("PATH");
  std::string all = path ? path : "/bin:/usr/bin";
  for (size_t at = 0; at <= all.size();) {
    size_t end = std::min(all.find(':', at), all.size());
    std::string file = all.substr(at, end - at) + "/" + name;
    if (::access(file.c_str(), X_OK) == 0) return file;
    at = end + 1;
  }
  return "";
}

std::string shell_quoted(const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) {
    if (!text.empty()) text += ' ';
    bool plain = !argument.empty() && argument.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789_-./=:,@%+") == std::string::npos;
    if (plain) {
      text += argument;
      continue;
    }
    text += '\'';
    for (char c : argument) {
      if (c == '\'')
        text += "'\\''";
      else
        text += c;
    }
    text += '\'';
  }
  return text;
}

}  // namespace reel::trace

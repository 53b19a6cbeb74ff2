// SPDX-License-Identifier: Apache-2.0
//
// The holder's side. Everything here runs after fork: no allocation, no locks, no exit handlers.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "source/holder_wire.h"

namespace reel::source {
namespace {

constexpr int kClients = 8;     // connections at a time; more wait in the backlog
constexpr int kCheckMs = 1000;  // how often the socket's name is looked for
constexpr const char kTitle[] = "reel-holder";

// What `ps` shows is the parent's command line until this. Without effect where it is not allowed.
void set_title() {
  (void)::prctl(PR_SET_NAME, kTitle, 0, 0, 0);
  void* page = ::mmap(nullptr, sizeof kTitle, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  std::memcpy(page, kTitle, sizeof kTitle);
  auto begin = reinterpret_cast<unsigned long>(page);
  unsigned long end = begin + sizeof kTitle;
  // The kernel wants begin <= end at every moment, and the page lies below or above the old text.
  if (::prctl(PR_SET_MM, PR_SET_MM_ARG_START, begin, 0, 0) == 0) {
    (void)::prctl(PR_SET_MM, PR_SET_MM_ARG_END, end, 0, 0);
  } else if (::prctl(PR_SET_MM, PR_SET_MM_ARG_END, end, 0, 0) == 0) {
    (void)::prctl(PR_SET_MM, PR_SET_MM_ARG_START, begin, 0, 0);
  }
}

// Keeps only the descriptors of the charge; 0 to 2 become /dev/null.
void close_others(HolderCharge& charge) {
  int* kept[] = {&charge.listening, &charge.state_dir, &charge.group, &charge.memfd};
  for (int* fd : kept)
    if (*fd <= STDERR_FILENO) *fd = ::fcntl(*fd, F_DUPFD, STDERR_FILENO + 1);
  std::sort(std::begin(kept), std::end(kept), [](const int* a, const int* b) { return *a < *b; });
  int last = STDERR_FILENO;
  for (const int* fd : kept) {
    if (*fd > last + 1) (void)::close_range(static_cast<unsigned>(last) + 1, static_cast<unsigned>(*fd) - 1, 0);
    last = *fd;
  }
  (void)::close_range(static_cast<unsigned>(last) + 1, ~0U, 0);
  int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) (void)::dup2(null, fd);
  if (null > STDERR_FILENO) ::close(null);
}

void forget_signals() {
  for (int number = 1; number < NSIG; ++number) (void)::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
  (void)::signal(SIGPIPE, SIG_IGN);
}

int64_t monotonic_ms() {
  struct timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

class Holder {
 public:
  explicit Holder(const HolderCharge& charge) : charge_(charge) {}

  void serve() {
    int mounts = ::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (!still_watched(charge_.group, charge_.fs)) return;  // changes from here on are reported
    alone_since_ = monotonic_ms();
    while (true) {
      struct pollfd fds[kClients + 2];
      fds[0] = {charge_.listening, POLLIN, 0};
      fds[1] = {mounts, POLLPRI, 0};
      std::copy_n(clients_, kClients, fds + 2);
      int ready = ::poll(fds, kClients + 2, kCheckMs);
      if (ready < 0 && errno != EINTR) return;
      if (ready > 0) {
        if (fds[0].revents) accept_one();
        if (fds[1].revents && !still_watched(charge_.group, charge_.fs)) return;
        for (int i = 0; i < kClients; ++i)
          if (fds[i + 2].revents && fds[i + 2].fd == clients_[i].fd && !answer(i)) return;
      }
      if (!socket_is_there()) return;
      if (attached_ < 0 && monotonic_ms() - alone_since_ >= int64_t{charge_.hold_seconds} * 1000) return;
    }
  }

  bool socket_is_there() const {
    struct stat st;
    return ::fstatat(charge_.state_dir, kHolderSocket, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_ino == charge_.socket_ino;
  }

 private:
  void accept_one() {
    int client = ::accept4(charge_.listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;
    for (struct pollfd& slot : clients_) {
      if (slot.fd >= 0 || !peer_is_trusted(client)) continue;
      slot = {client, POLLIN, 0};
      return;
    }
    ::close(client);
  }

  // False when told to quit.
  bool answer(int who) {
    HolderRequest request;
    ssize_t got = ::recv(clients_[who].fd, &request, sizeof request, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (got != sizeof request || request.magic != kHolderMagic) {
      drop(who);
      return true;
    }
    bool busy = attached_ >= 0 && attached_ != who;
    if (busy) {
      HolderReply reply{kHolderMagic, HolderAnswer::busy};
      (void)::send(clients_[who].fd, &reply, sizeof reply, MSG_NOSIGNAL | MSG_DONTWAIT);
      return true;
    }
    if (request.command == HolderCommand::quit) return false;
    charge_.hold_seconds = request.hold_seconds;
    attached_ = who;
    if (!hand_over(clients_[who].fd)) drop(who);
    return true;
  }

  bool hand_over(int client) const {
    HolderReply reply;
    struct iovec part = {&reply, sizeof reply};
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kHolderFds)] = {};
    struct msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * kHolderFds);
    const int fds[kHolderFds] = {charge_.group, charge_.memfd};
    std::memcpy(CMSG_DATA(rights), fds, sizeof fds);
    return ::sendmsg(client, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof reply;
  }

  void drop(int who) {
    ::close(clients_[who].fd);
    clients_[who].fd = -1;
    if (attached_ != who) return;
    attached_ = -1;
    alone_since_ = monotonic_ms();
  }

  HolderCharge charge_;
  struct pollfd clients_[kClients] = {{-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0},
                                      {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}};
  int attached_ = -1;
  int64_t alone_since_ = 0;
};

}  // namespace

void run_holder(HolderCharge charge) {
  // First of all: among the descriptors is the lock of the log, and if reel is killed this very moment
  // the next one would find it held.
  close_others(charge);
  forget_signals();
  set_title();
  (void)::chdir("/");
  // A process of its own, nobody's child that must be waited for.
  ::setsid();
  pid_t holder_pid = ::fork();
  if (holder_pid != 0) ::_exit(holder_pid < 0 ? 1 : 0);
  Holder holder(charge);
  holder.serve();
  if (holder.socket_is_there()) (void)::unlinkat(charge.state_dir, kHolderSocket, 0);
  ::_exit(0);
}

}  // namespace reel::source

// SPDX-License-Identifier: Apache-2.0
//
// Reel's side of the holder.
#include "source/holder.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "base/kill_point.h"
#include "source/holder_wire.h"

namespace reel::source {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kAnswerSeconds = 5;            // a holder answers at once; one that does not is broken
constexpr milliseconds kBusyPatience(3000);  // a killed predecessor may take a moment to be gone
constexpr milliseconds kBusyPause(20);
constexpr int kBacklog = 8;

Result<Fd> open_state_dir(const std::string& state_dir) {
  Fd dir(::open(state_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return Error::from_errno(errno, state_dir);
  return dir;
}

// Socket names have room for 107 bytes; going by the directory's descriptor they always fit.
struct sockaddr_un address_in(const Fd& dir) {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir.get(), kHolderSocket);
  return address;
}

Result<Fd> connect_in(const Fd& dir) {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return Error::from_errno(errno, "socket");
  struct timeval patience = {kAnswerSeconds, 0};
  for (int option : {SO_RCVTIMEO, SO_SNDTIMEO})
    if (::setsockopt(socket.get(), SOL_SOCKET, option, &patience, sizeof patience) != 0)
      return Error::from_errno(errno, "setsockopt");
  struct sockaddr_un address = address_in(dir);
  if (::connect(socket.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT) return Error(Code::not_found, "no holder listens");
    return Error::from_errno(errno, "connect");
  }
  if (!peer_is_trusted(socket.get())) return Error(Code::conflict, "another user listens there");
  return socket;
}

Status send_request(const Fd& connection, HolderCommand command, int hold_seconds) {
  HolderRequest request;
  request.command = command;
  request.hold_seconds = hold_seconds;
  if (::send(connection.get(), &request, sizeof request, MSG_NOSIGNAL) != sizeof request)
    return Error::from_errno(errno, "asking the holder");
  return ok();
}

Result<Holding> receive_reply(Fd connection) {
  HolderReply reply = {};
  struct iovec part = {&reply, sizeof reply};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kHolderFds)] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got;
  do {
    got = ::recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Error::from_errno(errno, "waiting for the holder");
  if (got == 0) return Error(Code::not_found, "the holder ended");
  Holding holding;
  struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
  if (rights && rights->cmsg_type == SCM_RIGHTS && rights->cmsg_len == CMSG_LEN(sizeof(int) * kHolderFds)) {
    int fds[kHolderFds];
    std::memcpy(fds, CMSG_DATA(rights), sizeof fds);
    holding.group = Fd(fds[0]);
    holding.memfd = Fd(fds[1]);
  }
  if (got != sizeof reply || reply.magic != kHolderMagic)
    return Error(Code::conflict, "what listens there is not a holder of this version");
  if (reply.answer == HolderAnswer::busy) return Error(Code::busy, "another reel follows with this state");
  if (!holding.group || !holding.memfd) return Error(Code::conflict, "the holder gave no descriptors");
  holding.connection = std::move(connection);
  return holding;
}

Result<Fd> listen_in(const Fd& dir) {
  if (::unlinkat(dir.get(), kHolderSocket, 0) != 0 && errno != ENOENT)
    return Error::from_errno(errno, "removing the old socket");
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Error::from_errno(errno, "socket");
  // The name gets the mode that the socket has when it is bound: no moment at which others could connect.
  if (::fchmod(socket.get(), S_IRUSR | S_IWUSR) != 0) return Error::from_errno(errno, "fchmod");
  struct sockaddr_un address = address_in(dir);
  if (::bind(socket.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0)
    return Error::from_errno(errno, "bind");
  if (::listen(socket.get(), kBacklog) != 0) return Error::from_errno(errno, "listen");
  return socket;
}

// The child forks once more and ends.
Status fork_holder(const HolderCharge& charge) {
  pid_t child = ::fork();
  if (child < 0) return Error::from_errno(errno, "fork");
  if (child == 0) run_holder(charge);
  int how = 0;
  pid_t waited;
  do {
    waited = ::waitpid(child, &how, 0);
  } while (waited < 0 && errno == EINTR);
  if (waited == child && how != 0) return Error(Code::io, "fork of the holder failed");
  return ok();
}

}  // namespace

Result<Holding> attach_holder(const std::string& state_dir, int hold_seconds) {
  TRY_ASSIGN(Fd dir, open_state_dir(state_dir));
  auto deadline = steady_clock::now() + kBusyPatience;
  while (true) {
    TRY_ASSIGN(Fd connection, connect_in(dir));
    TRY(send_request(connection, HolderCommand::attach, hold_seconds));
    Result<Holding> holding = receive_reply(std::move(connection));
    if (!holding.is(Code::busy) || steady_clock::now() > deadline) return holding;
    std::this_thread::sleep_for(kBusyPause);
  }
}

Result<Fd> start_holder(const std::string& state_dir, int hold_seconds, int group, int memfd, const FileSystem& fs) {
  TRY_ASSIGN(Fd dir, open_state_dir(state_dir));
  TRY_ASSIGN(Fd listening, listen_in(dir));
  // Connected before there is anyone to answer: the holder never sees itself without a reel.
  TRY_ASSIGN(Fd connection, connect_in(dir));
  TRY(send_request(connection, HolderCommand::attach, hold_seconds));
  struct stat st;
  if (::fstatat(dir.get(), kHolderSocket, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return Error::from_errno(errno, "the holder's socket");
  kill_point("holder.before");
  TRY(fork_holder({listening.get(), dir.get(), group, memfd, st.st_ino, hold_seconds, fs}));
  kill_point("holder.after");
  TRY_ASSIGN(Holding holding, receive_reply(std::move(connection)));
  return std::move(holding.connection);
}

void dismiss_holder(Fd connection) {
  if (!send_request(connection, HolderCommand::quit, 0)) return;  // it is gone already
  char byte;
  (void)::recv(connection.get(), &byte, sizeof byte, 0);  // returns when it has closed its end
}

}  // namespace reel::source

// SPDX-License-Identifier: Apache-2.0
#include "service/told/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace reel::service {
namespace {

constexpr int kPollMs = 100;
constexpr size_t kRequestMax = 256;

// A socket's path is limited to 107 bytes; through /proc a directory of any length fits.
struct Address {
  sockaddr_un address{};
  int dirfd = -1;
  ~Address() {
    if (dirfd >= 0) ::close(dirfd);
  }
};
Status make_address(const std::string& path, Address& to) {
  to.address.sun_family = AF_UNIX;
  std::string text = path;
  if (text.size() >= sizeof to.address.sun_path) {
    size_t slash = path.rfind('/');
    to.dirfd = ::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (to.dirfd < 0) return Error::from_errno(errno, path);
    text = "/proc/self/fd/" + std::to_string(to.dirfd) + path.substr(slash);
  }
  std::memcpy(to.address.sun_path, text.c_str(), text.size() + 1);
  return ok();
}

bool hung_up(int fd) {
  struct pollfd poll_fd {
    fd, POLLIN | POLLRDHUP, 0
  };
  return ::poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR | POLLRDHUP));
}

void send_all(int fd, const std::string& text) {
  size_t sent = 0;
  while (sent < text.size()) {
    ssize_t n = ::send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n <= 0 && errno != EINTR) return;  // whoever asked is gone
    if (n > 0) sent += static_cast<size_t>(n);
  }
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& path, Handler handler) {
  std::unique_ptr<ControlServer> server(new ControlServer());
  server->path_ = path;
  server->handler_ = std::move(handler);
  server->listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (server->listener_ < 0) return Error::from_errno(errno, "socket");
  ::unlink(path.c_str());  // of a reel that died; we hold the state's lock
  Address address;
  TRY(make_address(path, address));
  if (::bind(server->listener_, reinterpret_cast<sockaddr*>(&address.address), sizeof address.address) != 0 ||
      ::listen(server->listener_, 16) != 0)
    return Error::from_errno(errno, path);
  ::chmod(path.c_str(), 0600);
  server->thread_ = std::thread([raw = server.get()] { raw->accept_loop(); });
  return server;
}

ControlServer::~ControlServer() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  while (serving_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (listener_ >= 0) ::close(listener_);
  ::unlink(path_.c_str());
}

void ControlServer::accept_loop() {
  while (!stop_) {
    struct pollfd poll_fd {
      listener_, POLLIN, 0
    };
    if (::poll(&poll_fd, 1, kPollMs) <= 0) continue;
    int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ++serving_;
    std::thread([this, fd] {
      serve(fd);
      ::close(fd);
      --serving_;
    }).detach();
  }
}

void ControlServer::serve(int fd) {
  std::string request;
  char byte;
  while (request.size() < kRequestMax && !stop_) {
    struct pollfd poll_fd {
      fd, POLLIN, 0
    };
    if (::poll(&poll_fd, 1, kPollMs) == 0) continue;
    if (::read(fd, &byte, 1) != 1 || byte == '\n') break;
    request += byte;
  }
  Answer answer = handler_(request, [this, fd] { return stop_ || hung_up(fd); });
  send_all(fd, std::to_string(answer.exit_code) + "\n" + answer.text);
}

Result<Answer> ask(const std::string& path, const std::string& request) {
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error::from_errno(errno, "socket");
  Address address;
  Status made = make_address(path, address);
  if (!made || ::connect(fd, reinterpret_cast<sockaddr*>(&address.address), sizeof address.address) != 0) {
    int why = errno;
    ::close(fd);
    if (!made) return std::move(made).error();
    if (why == ENOENT || why == ECONNREFUSED) return Error(Code::not_found, "no reel is running on this state");
    return Error::from_errno(why, path);
  }
  send_all(fd, request + "\n");
  std::string text;
  char buffer[4096];
  ssize_t n;
  while ((n = ::read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))
    if (n > 0) text.append(buffer, static_cast<size_t>(n));
  ::close(fd);
  size_t line = text.find('\n');
  if (line == std::string::npos) return Error(Code::cancelled, "reel ended before it answered");
  return Answer{std::atoi(text.c_str()), text.substr(line + 1)};
}

}  // namespace reel::service

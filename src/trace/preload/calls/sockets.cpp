// SPDX-License-Identifier: Apache-2.0
//
// Connections, by a name that is the same at both ends (docs/trace-format.md, "Connections"), and names of sockets that
// are files.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "trace/preload/shim.h"

using namespace reel::trace;        // NOLINT: the whole file is about them
using namespace reel::trace::shim;  // NOLINT

namespace {

// Room for two ends of up to a unix socket's name, in hexadecimal.
using Name = char[2 * 2 * sizeof(struct sockaddr_un) + 8];

struct Address {
  struct sockaddr_storage at;
  unsigned size = 0;
};

Address address_of(int fd, long getter) {
  Address address;
  socklen_t size = sizeof address.at;
  if (kernel(getter, fd, reinterpret_cast<long>(&address.at), reinterpret_cast<long>(&size)) == 0)
    address.size = size < sizeof address.at ? size : sizeof address.at;
  return address;
}

// What tells the end from others: port and address, or the name. 0 bytes: nothing does.
unsigned significant(const Address& address, const char** bytes) {
  auto at = [&](size_t offset, size_t size) {
    *bytes = reinterpret_cast<const char*>(&address.at) + offset;
    return address.size >= offset + size ? static_cast<unsigned>(size) : 0u;
  };
  switch (address.at.ss_family) {
    case AF_INET:
      return at(offsetof(struct sockaddr_in, sin_port), 6);
    case AF_INET6:  // port, flow and address
      return at(offsetof(struct sockaddr_in6, sin6_port), 2 + 4 + 16);
    case AF_UNIX: {
      constexpr size_t kName = offsetof(struct sockaddr_un, sun_path);
      if (address.size <= kName) return 0;
      auto room = static_cast<unsigned>(address.size - kName);
      unsigned used = at(kName, room);
      bool is_path = **bytes != '\0';  // with or without the NUL behind it; else an abstract name, all of it
      return is_path ? static_cast<unsigned>(strnlen(*bytes, room)) : used;
    }
    default:
      return 0;
  }
}

char* put_hex(char* to, const char* bytes, unsigned size) {
  for (unsigned i = 0; i < size; ++i) {
    *to++ = "0123456789abcdef"[bytes[i] >> 4 & 0xf];
    *to++ = "0123456789abcdef"[bytes[i] & 0xf];
  }
  return to;
}

// The lower end first, so that both ends give it one name. A unix socket's is its listener's, who alone has one.
bool name_connection(const Address& one, const Address& other, Name& name) {
  const char *a = nullptr, *b = nullptr;
  unsigned size_a = significant(one, &a), size_b = significant(other, &b);
  if (size_a == 0 && size_b == 0) return false;
  unsigned common = size_a < size_b ? size_a : size_b;
  int order = memcmp(a ? a : "", b ? b : "", common);
  bool swap = order > 0 || (order == 0 && size_a > size_b);
  char* end = put_hex(name, swap ? b : a, swap ? size_b : size_a);
  *end++ = '-';
  end = put_hex(end, swap ? a : b, swap ? size_a : size_b);
  *end = '\0';
  return true;
}

// Who connected, where the kernel knows it: of a unix socket.
int32_t peer_of(int fd) {
  struct ucred peer = {};
  socklen_t size = sizeof peer;
  long error =
      kernel(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, reinterpret_cast<long>(&peer), reinterpret_cast<long>(&size));
  return error == 0 && peer.pid > 0 ? peer.pid : 0;
}

int accepted(Call& call, int made) {
  uint64_t exit = now();
  int error = errno;
  call.fd2 = made;
  Name name;
  if (call.on() && made >= 0 &&
      name_connection(address_of(made, SYS_getsockname), address_of(made, SYS_getpeername), name))
    call.path2(name);
  int32_t peer = call.on() && made >= 0 ? peer_of(made) : 0;
  if (peer != 0) call.args(static_cast<uint64_t>(peer));
  if (call.on()) call.finish(made < 0 ? -static_cast<long>(error) : made, exit);
  errno = error;
  return made;
}

}  // namespace

// The address is looked at once the kernel has read it, so that a bad pointer stays the kernel's to refuse.
REEL_EXPORT int bind(int fd, const struct sockaddr* address, socklen_t size) noexcept {
  REEL_REAL(int (*)(int, const struct sockaddr*, socklen_t), bind);
  constexpr size_t kName = offsetof(struct sockaddr_un, sun_path);
  Call call(Op::bind);
  int result = real(fd, address, size);
  uint64_t exit = now();
  int error = result < 0 ? errno : 0;
  bool was_read = error != EFAULT && error != EBADF && error != ENOTSOCK && size <= sizeof(struct sockaddr_un);
  if (call.on() && was_read && size > kName && address->sa_family == AF_UNIX) {
    char name[sizeof(struct sockaddr_un)] = {};
    memcpy(name, reinterpret_cast<const char*>(address) + kName, size - kName);
    call.path(name);
    call.fd = AT_FDCWD;
    call.fd2 = fd;
    call.mode = 0777;
    if (name[0] != '\0') call.finish(result < 0 ? -static_cast<long>(error) : result, exit);
  }
  if (result < 0) errno = error;
  return result;
}
REEL_EXPORT int accept(int fd, struct sockaddr* address, socklen_t* size) {
  REEL_REAL(int (*)(int, struct sockaddr*, socklen_t*), accept);
  Call call(Op::accept);
  call.fd = fd;
  return accepted(call, real(fd, address, size));
}
REEL_EXPORT int accept4(int fd, struct sockaddr* address, socklen_t* size, int flags) {
  REEL_REAL(int (*)(int, struct sockaddr*, socklen_t*, int), accept4);
  Call call(Op::accept);
  call.fd = fd;
  call.flags = static_cast<uint32_t>(flags);
  return accepted(call, real(fd, address, size, flags));
}
REEL_EXPORT int connect(int fd, const struct sockaddr* address, socklen_t size) {
  REEL_REAL(int (*)(int, const struct sockaddr*, socklen_t), connect);
  Call call(Op::connect);
  call.fd = fd;
  int result = real(fd, address, size);
  uint64_t exit = now();
  int error = errno;
  Name name;
  if (call.on() && (result == 0 || error == EINPROGRESS)) {
    Address peer;
    peer.size = size < sizeof peer.at ? size : sizeof peer.at;
    memcpy(&peer.at, address, peer.size);
    if (name_connection(address_of(fd, SYS_getsockname), peer, name)) call.path2(name);
  }
  if (call.on()) call.finish(result < 0 ? -static_cast<long>(error) : result, exit);
  errno = error;
  return result;
}

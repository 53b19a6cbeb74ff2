// SPDX-License-Identifier: Apache-2.0
#include "source/lustre/char_device.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace reel::source::lustre {
namespace {

struct FilterRequest {
  uint64_t mask;
  uint32_t user_id;
  uint32_t padding;
  char name[30];
};
constexpr unsigned long kSetFlags = _IOR('f', 233, long);
constexpr unsigned long kFilter = _IOW('f', 179, FilterRequest);
static_assert(sizeof(FilterRequest) == 48 && kSetFlags == 0x800866e9UL + (sizeof(long) - 8) && kFilter == 0x403066b3UL);

class CharDevice final : public ChangelogDevice {
 public:
  CharDevice(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Status set_flags(uint32_t flags) override {
    if (::ioctl(fd_.get(), kSetFlags, static_cast<unsigned long>(flags)) == 0) return ok();
    return Error::from_errno(errno, "setting the flags of " + path_);
  }
  Status seek(uint64_t index) override {
    if (::lseek(fd_.get(), static_cast<off_t>(index), SEEK_SET) >= 0) return ok();
    return Error::from_errno(errno, "going to index " + std::to_string(index) + " of " + path_);
  }
  Result<Poll> poll(int timeout_ms) override {
    struct pollfd fd = {fd_.get(), POLLIN, 0};
    int got = ::poll(&fd, 1, timeout_ms);
    if (got < 0 && errno != EINTR) return Error::from_errno(errno, "waiting for " + path_);
    Poll result;
    if (got <= 0) return result;
    result.readable = (fd.revents & POLLIN) != 0;
    result.error = (fd.revents & (POLLERR | POLLNVAL)) != 0;
    result.end = (fd.revents & POLLHUP) != 0;
    return result;
  }
  Result<size_t> read(void* to, size_t size) override {
    ssize_t got = ::read(fd_.get(), to, size);
    if (got < 0) return Error::from_errno(errno, "reading " + path_);
    return static_cast<size_t>(got);
  }

 private:
  const std::string path_;
  Fd fd_;
};

Status ask(int fd, const std::string& path, uint32_t id, const std::string& name) {
  FilterRequest request = {};
  request.user_id = id;
  std::memcpy(request.name, name.data(), std::min(name.size(), sizeof request.name - 1));
  if (::ioctl(fd, kFilter, &request) == 0) return ok();
  if (errno == ENOENT) return Error::from_errno(ENOENT, path + ": user " + (id ? "cl" + std::to_string(id) : name));
  bool unknown = errno == EINVAL || errno == ENOTTY || errno == EPROTO || errno == EOPNOTSUPP || errno == ENOSYS;
  if (unknown) return Error(Code::unsupported, path + ": this Lustre cannot be asked for users", errno);
  return Error::from_errno(errno, path + ": asking for a user");
}

}  // namespace

Result<std::unique_ptr<ChangelogDevice>> open_char_device(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return Error::from_errno(errno, path);
  return std::unique_ptr<ChangelogDevice>(std::make_unique<CharDevice>(path, std::move(fd)));
}

Status clear_char_device(const std::string& path, uint32_t user_id, uint64_t index) {
  if (index == 0) return Error(Code::invalid, "clearing index 0 would clear everything", ERANGE);
  Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return Error::from_errno(errno, path);
  std::string command = "clear:cl" + std::to_string(user_id) + ":" + std::to_string(index);
  ssize_t done = 0;
  do done = ::write(fd.get(), command.data(), command.size());
  while (done < 0 && errno == EINTR);
  if (done >= 0) return ok();
  return Error::from_errno(errno, path + ": " + command);
}

Status check_char_device_user(const std::string& path, const MdtUser& user) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return Error::from_errno(errno, path);
  Status by_id = ask(fd.get(), path, user.id, "");
  // Those registered without name and mask are not found this way.
  if (by_id.is(Code::not_found) && user.name.empty()) return Error(Code::unsupported, by_id.error().text());
  if (!by_id || user.name.empty()) return by_id;
  return ask(fd.get(), path, 0, user.name);
}

}  // namespace reel::source::lustre

// SPDX-License-Identifier: Apache-2.0
#include "tree/lustre_calls.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/codec.h"
#include "tree/lustre_layout.h"

namespace reel::mirror {
namespace {

// The value of trusted.hsm: u32 compatible bits, u32 flags, u64 archive, u64 version.
constexpr size_t kHsmFlagsAt = 4;
constexpr size_t kHsmSize = 24;
constexpr uint32_t kHsmReleased = 0x4;  // 0x1 exists, 0x2 dirty, 0x8 archived: those still have their contents

struct DataVersion {
  uint64_t version;
  uint32_t layout_version;
  uint32_t flags;
};
const unsigned long kAskDataVersion = _IOR('f', 218, DataVersion);
constexpr uint32_t kSendWhatIsWritten = 0x1;
constexpr int kNotSupported = 524;  // ENOTSUPP of the kernel, which has no name outside

constexpr size_t kLayoutMax = 65536;  // XATTR_SIZE_MAX of the kernel

// Two names of one attribute. `lustre.lov` needs no privilege; `trusted.lov` can also be had on what plays Lustre in
// tests.
const char* layout_name() {
  return ::geteuid() == 0 ? "trusted.lov" : "lustre.lov";
}

// Empty when there is none.
Result<std::string> read_layout(int fd) {
  static thread_local std::vector<char> value(kLayoutMax);
  ssize_t size = ::fgetxattr(fd, layout_name(), value.data(), value.size());
  if (size >= 0) return std::string(value.data(), static_cast<size_t>(size));
  if (errno == ENODATA || errno == EOPNOTSUPP) return std::string();
  return Error::from_errno(errno, "read the layout");
}

}  // namespace

const int kLayoutLater = O_NOCTTY | O_ASYNC;

bool is_lustre(int fd) {
  struct statfs fs;
  return ::fstatfs(fd, &fs) == 0 && static_cast<unsigned long>(fs.f_type) == kLustreMagic;
}

bool is_released(int fd) {
  unsigned char value[256];
  ssize_t size = ::fgetxattr(fd, "trusted.hsm", value, sizeof value);
  if (size >= static_cast<ssize_t>(kHsmSize)) return (load_le<uint32_t>(value + kHsmFlagsAt) & kHsmReleased) != 0;
  if (::geteuid() == 0) return false;
  Result<std::string> layout = read_layout(fd);  // without root trusted.hsm is not shown
  return layout && is_released_layout(*layout);
}

Result<std::optional<uint64_t>> data_version(int fd) {
  DataVersion asked = {0, 0, kSendWhatIsWritten};
  if (::ioctl(fd, kAskDataVersion, &asked) == 0) return std::optional(asked.version);
  switch (errno) {
    case ENOTTY:
    case EINVAL:
    case EOPNOTSUPP:
    case ENODATA:
    case ENOSYS:
    case kNotSupported:
      return std::optional<uint64_t>();
    default:
      return Error::from_errno(errno, "ask for the data version");
  }
}

Result<std::string> layout_of(int fd) {
  TRY_ASSIGN(std::string layout, read_layout(fd));
  if (layout.empty()) return layout;
  return portable_layout(layout);
}

Status set_layout_of(int fd, const std::string& layout) {
  if (::fsetxattr(fd, layout_name(), layout.data(), layout.size(), 0) == 0) return ok();
  return Error::from_errno(errno, "set the layout");
}

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
#include "tree/lustre_calls.h"

#include <sys/vfs.h>
#include <sys/xattr.h>

#include "base/codec.h"

namespace reel::mirror {
namespace {

// The value of trusted.hsm: u32 compatible bits, u32 flags, u64 archive, u64 version.
constexpr size_t kHsmFlagsAt = 4;
constexpr size_t kHsmSize = 24;
constexpr uint32_t kHsmReleased = 0x4;  // 0x1 exists, 0x2 dirty, 0x8 archived: those still have their contents

}  // namespace

bool is_lustre(int fd) {
  struct statfs fs;
  return ::fstatfs(fd, &fs) == 0 && static_cast<unsigned long>(fs.f_type) == kLustreMagic;
}

bool is_released(int fd) {
  unsigned char value[256];
  ssize_t size = ::fgetxattr(fd, "trusted.hsm", value, sizeof value);
  return size >= static_cast<ssize_t>(kHsmSize) && (load_le<uint32_t>(value + kHsmFlagsAt) & kHsmReleased) != 0;
}

}  // namespace reel::mirror

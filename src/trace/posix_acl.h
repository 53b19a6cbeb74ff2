// SPDX-License-Identifier: Apache-2.0
//
// The values of system.posix_acl_access and system.posix_acl_default (linux/posix_acl_xattr.h): a version of four
// bytes, then entries of eight: tag, permissions, id. Nothing of std: the preloaded library has it too.
#pragma once

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include "base/codec.h"
#include "trace/wire.h"

namespace reel::trace {

inline constexpr char kPosixAcl[] = "system.posix_acl_";  // then "access" or "default"
inline constexpr uint64_t kAclHeader = 4, kAclEntry = 8;
inline constexpr uint8_t kAclSeen = 60;  // bytes of a value that recorders look at: seven entries
// Of an event's mode: it is that of the ACL.
inline constexpr uint32_t kModeOfAcl = 1u << 16;

// The permissions that it gives to the owner, the group (or whom it names: the mask) and others, with kModeOfAcl. 0: it
// is none, or longer than kAclSeen. `size`: as the call has it; of `value` no more is read than it or kAclSeen.
inline uint32_t mode_of_acl(const void* value, uint64_t size) {
  const auto* at = static_cast<const unsigned char*>(value);
  if (size < kAclHeader || size > kAclSeen || (size - kAclHeader) % kAclEntry != 0 ||
      load_le<uint32_t>(at) != POSIX_ACL_XATTR_VERSION)
    return 0;
  uint32_t mode = 0, group = 0, mask = 8;
  for (const auto* entry = at + kAclHeader; entry < at + size; entry += kAclEntry) {
    uint32_t permissions = load_le<uint16_t>(entry + 2) & 7u;
    switch (load_le<uint16_t>(entry)) {
      case ACL_USER_OBJ:
        mode |= permissions << 6;
        break;
      case ACL_GROUP_OBJ:
        group = permissions;
        break;
      case ACL_MASK:
        mask = permissions;
        break;
      case ACL_OTHER:
        mode |= permissions;
        break;
      default:
        break;
    }
  }
  return kModeOfAcl | mode | (mask < 8 ? mask : group) << 3;
}

}  // namespace reel::trace

// SPDX-License-Identifier: Apache-2.0
//
// See xattr_value.h.
#include "replay/play/xattr_value.h"

#include <linux/capability.h>

#include "trace/posix_acl.h"

namespace reel::replay {
namespace {

constexpr uint32_t kNobodysFirst = 0x7fff0000, kNoId = ~0u;

void put(std::string& to, uint16_t tag, uint64_t permissions, uint32_t id) {
  to.resize(to.size() + trace::kAclEntry);
  char* at = to.data() + to.size() - trace::kAclEntry;
  store_le<uint16_t>(at, tag);
  store_le<uint16_t>(at + 2, static_cast<uint16_t>(permissions & 7));
  store_le<uint32_t>(at + 4, id);
}

// Three entries are a mode; a fourth is the mask, those beyond it are of users with names.
std::string acl(uint64_t size, uint64_t mode) {
  if (size < trace::kAclHeader || (size - trace::kAclHeader) % trace::kAclEntry != 0) return "";
  uint64_t entries = (size - trace::kAclHeader) / trace::kAclEntry;
  std::string value(trace::kAclHeader, '\0');
  store_le<uint32_t>(value.data(), POSIX_ACL_XATTR_VERSION);
  if (entries < 3) return value;  // removes it
  put(value, ACL_USER_OBJ, mode >> 6, kNoId);
  for (uint32_t i = 0; i + 4 < entries; ++i) put(value, ACL_USER, mode >> 3, kNobodysFirst + i);
  put(value, ACL_GROUP_OBJ, mode >> 3, kNoId);
  if (entries > 3) put(value, ACL_MASK, mode >> 3, kNoId);
  put(value, ACL_OTHER, mode, kNoId);
  return value;
}

// It gives nothing.
std::string capabilities(uint64_t size) {
  std::string value(size, '\0');
  if (size == XATTR_CAPS_SZ_2)
    store_le<uint32_t>(value.data(), VFS_CAP_REVISION_2);
  else if (size == XATTR_CAPS_SZ_3)
    store_le<uint32_t>(value.data(), VFS_CAP_REVISION_3);
  else
    return "";
  return value;
}

}  // namespace

std::string xattr_value(std::string_view name, uint64_t size, uint64_t mode) {
  if (name.starts_with(trace::kPosixAcl)) return acl(size, mode);
  if (name == "security.capability") return capabilities(size);
  return "";
}

}  // namespace reel::replay

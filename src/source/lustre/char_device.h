// SPDX-License-Identifier: Apache-2.0
//
// /dev/changelog-FSNAME-MDTxxxx: the calls of the seam as system calls. The numbers are those of
// Lustre's lustre_ioctl.h.
#pragma once

#include <memory>
#include <string>

#include "source/lustre/changelog_device.h"

namespace reel::source::lustre {

// Errors: not_found, permission, io.
Result<std::unique_ptr<ChangelogDevice>> open_char_device(const std::string& path);
Status clear_char_device(const std::string& path, uint32_t user_id, uint64_t index);
// As Mdt::check_user.
Status check_char_device_user(const std::string& path, const MdtUser& user);

}  // namespace reel::source::lustre

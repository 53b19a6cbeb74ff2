// SPDX-License-Identifier: Apache-2.0
//
// What Lustre tells of an open file beyond what every file system does. Numbers and layouts of bytes: Lustre's
// public user headers (lustre_user.h), study of the format and recordings; nothing of Lustre is needed to build.
// Thread-safe; on another file system they say "no".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "reel/result.h"

namespace reel::mirror {

inline constexpr unsigned long kLustreMagic = 0x0bd00bd0;  // f_type of statfs, on clients

// Whether what `fd` (O_PATH will do) is lies on a Lustre.
bool is_lustre(int fd);

// Whether the contents of an open file are only in the HSM archive: reading would bring them back.
bool is_released(int fd);

}  // namespace reel::mirror

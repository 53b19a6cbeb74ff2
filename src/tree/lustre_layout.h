// SPDX-License-Identifier: Apache-2.0
//
// Layouts of Lustre files (the value of `lustre.lov`, `trusted.lov`): over how many OSTs, in pieces of which size, and
// for composite ones (PFL, SEL, mirrors) which part of the file has which. Source of the format: struct lov_user_md_v1,
// _v3, lov_comp_md_v1 and lov_foreign_md of lustre_user.h, and layouts that a real 2.17 had (tests/mirror/
// lustre_layout_test.cpp). Pure; little-endian, as servers and the clients that Reel runs on are.
#pragma once

#include <string>
#include <string_view>

#include "reel/result.h"

namespace reel::mirror {

// What of a layout another Lustre can be asked for, as it may be set on a file that has none, or on a directory for its
// new files. Kept: patterns (RAID0, Data-on-MDT, overstriping), stripe sizes and counts, extents of components, the
// extension components of SEL. Not kept, since it is the other file system's business: objects, the OST to begin with,
// pools, generations and ids; of mirrors one that is up to date is kept, and that the contents had been released.
// Equal when asked of its own result.
// Errors: unsupported (foreign, parity, or a kind that is not known), corrupt (cut off or contradictory).
Result<std::string> portable_layout(std::string_view layout);

// Whether its contents are only in the HSM archive. False also for what is no layout.
bool is_released_layout(std::string_view layout);

}  // namespace reel::mirror

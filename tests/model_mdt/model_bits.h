// SPDX-License-Identifier: Apache-2.0
//
// Bits of records, as Lustre has them (A.2 of the study), for the files of the model.
#pragma once

#include <cstdint>

namespace reel::model {

inline constexpr uint32_t kRead = 0x1, kWrite = 0x2, kCreated = 0x8, kCreat = 0x40, kExcl = 0x80, kTrunc = 0x200,
                          kAppend = 0x400;
inline constexpr uint32_t kModeBits = 0x7;
inline constexpr uint16_t kAtime = 0x1, kMtime = 0x2, kCtime = 0x4, kSize = 0x8, kTimes = kAtime | kMtime | kCtime;
inline constexpr uint16_t kHsmRelease = 0x180, kHsmRestore = 0x80, kHsmRemove = 0x200, kHsmDirty = 0x680;
inline constexpr const char* kByFid = ".lustre/fid/";

}  // namespace reel::model

// SPDX-License-Identifier: Apache-2.0
//
// Lustre's binary changelog record, as read(2) on /dev/changelog-FS-MDTxxxx gives it: a packed
// 64-byte head, extensions as the flags say, the name; one record right behind the other, at any
// alignment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "reel/record.h"
#include "reel/result.h"

namespace reel::log {

// Decodes the record at `data` (its views point into it) and gives how many bytes it takes.
// Errors: corrupt (cut off, or a name no directory can hold), unsupported (an extension or a type
// this version does not know: where the record ends is not known either).
Result<size_t> decode_lustre(const void* data, size_t size, Record& record);

// Appends the bytes of the record to `out`. Errors: invalid (a record Lustre has no form for).
Status encode_lustre(const Record& record, std::string& out);

}  // namespace reel::log

// SPDX-License-Identifier: Apache-2.0
//
// The bits that say how a record is written in a block: shared by encoder and decoder, nothing
// else.
#pragma once

#include <cstdint>

#include "reel/record.h"

namespace reel::log {

inline constexpr uint8_t kTypeEscape = 255;

// How a FID is written (three bits each).
inline constexpr uint32_t kFidZero = 0;
inline constexpr uint32_t kFidSame = 1;  // as this field of the record before
inline constexpr uint32_t kFidBack = 2;  // u8 distance among the FIDs spelled out
inline constexpr uint32_t kFidNear = 3;  // the last one spelled out, oid + svarint
inline constexpr uint32_t kFidFull = 4;  // seq + svarint, oid + svarint, ver varint
inline constexpr uint32_t kFidMask = 7;
inline constexpr unsigned kFidSecond = 3;  // shift of the second FID of a pair

// The u16 after the type. Bits 0-2 target, 3-5 parent.
inline constexpr uint32_t kShapeJump = 1u << 6;    // index is not the one before + 1
inline constexpr uint32_t kShapeFlags = 1u << 7;   // flags or extra flags differ from this type's last
inline constexpr uint32_t kShapeCaller = 1u << 8;  // caller differs from the last
inline constexpr uint32_t kShapeName = 1u << 9;
inline constexpr uint32_t kShapePrev = 1u << 10;  // cr_prev is not zero
inline constexpr uint32_t kShapeIo = 1u << 11;
inline constexpr uint32_t kShapeKnown = 0xfff;
// Only in a form (of blocks with kBlockColumns).
inline constexpr uint32_t kShapeCall = 1u << 12;
inline constexpr uint32_t kShapeAtOnce = 1u << 13;  // the time is what it is told from
inline constexpr uint32_t kShapeKnownInForm = 0x3fff;

// The byte before the I/O extension.
inline constexpr uint32_t kIoAdjacent = 1;  // offset = the last one's offset + length
inline constexpr uint32_t kIoLength = 2;    // length as the last one's
inline constexpr uint32_t kIoWhole = 4;     // result = length
inline constexpr uint32_t kIoThread = 8;    // thread as the last one's
inline constexpr uint32_t kIoKnown = 15;
// Only in a form.
inline constexpr uint32_t kIoNone = 16;   // offset and length are 0; the last ones stay
inline constexpr uint32_t kIoPages = 32;  // of what is no call: length = offset, rounded up to kIoPage
inline constexpr uint32_t kIoNoDuration = 64;
inline constexpr uint32_t kIoKnownInForm = 127;
inline constexpr uint64_t kIoPage = 4096;

// Columns of a block with kBlockColumns, in this order behind what is left of the records. Numbers pack well only
// beside their own kind.
enum Column : uint32_t {
  kForms,        // which form each record has
  kNewForms,     // forms that are spelled out
  kTimeLow,      // the lowest byte of the time's svarint
  kTimeHigh,     // the rest of it, as varint
  kDurationLow,  // the same of durations
  kDurationHigh,
  kOffsets,
  kLengths,
  kResults,
  kThreads,
  kNameShared,  // how many bytes a name has of the last one
  kNameSizes,   // and how many of its own
  kNames,       // those
  kFidBacks,    // distances of FIDs that are not spelled out
  kFidSeqs,     // of those that are
  kFidRests,
  kFields,  // the first of the call extension's fields; the others follow in their order
  kColumns = kFields + 12,
};
inline constexpr size_t kColumnSize = 4;  // bytes at the payload's end that tell the size of a column

inline uint64_t in_pages(uint64_t bytes) {
  return (bytes + kIoPage - 1) & ~(kIoPage - 1);
}
inline bool has_jobid(const Record& record) {
  return (record.flags & kFlagJobid) != 0;
}
inline bool has_extra(const Record& record, uint64_t bit) {
  return (record.flags & kFlagExtra) != 0 && (record.extra_flags & bit) != 0;
}
inline bool has_caller(const Record& record) {
  return has_jobid(record) || has_extra(record, kExtraUidGid | kExtraNid);
}

}  // namespace reel::log

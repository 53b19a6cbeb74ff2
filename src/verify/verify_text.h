// SPDX-License-Identifier: Apache-2.0
//
// How verify names what it compares, for people.
#pragma once

#include <string>

#include "tree/tree.h"

namespace reel::mirror {

const char* text_of_type(FileType type);
std::string text_of_time(const Time& time);     // ISO 8601, UTC, with nanoseconds
std::string text_of_mode(uint32_t mode);        // "0644"
std::string text_of_device(uint64_t rdev);      // "8:1"
std::string text_of_flags(uint32_t flags);      // the letters of chattr(1), or "none"
std::string text_of_value(const Xattr* xattr);  // quoted and cut; null: "absent"

}  // namespace reel::mirror

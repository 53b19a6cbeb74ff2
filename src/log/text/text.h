// SPDX-License-Identifier: Apache-2.0
//
// A record as text: the line that `lfs changelog` prints, byte for byte, and an object of JSON.
#pragma once

#include <string>
#include <string_view>

#include "reel/record.h"

namespace reel::log {

// Appends the line with its newline. Names are raw: a newline in a name splits the line, as with
// lfs.
void append_lfs_line(const Record& record, std::string& out);

// Appends one JSON object and a newline. Bytes that are not UTF-8 become "\udc80".."\udcff"
// (Python's surrogateescape), so every name can be told from every other.
void append_json_line(const Record& record, std::string& out);

// "10.0.0.1@tcp", "0@lo"; `field` is the raw nid field, `big_endian` whether kExtraNidBe was set.
std::string nid_text(std::string_view field, bool big_endian);
// Up to the first NUL: what a jobid or xattr field says. What comes after it is garbage.
std::string_view text_of_field(std::string_view field);

void append_json_string(std::string_view bytes, std::string& out);

}  // namespace reel::log

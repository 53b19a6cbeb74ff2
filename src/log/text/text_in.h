// SPDX-License-Identifier: Apache-2.0
//
// Records out of files: the raw bytes of a changelog device, the lines of `lfs changelog`, the
// objects of `reel log --json`. Nothing is guessed: a line that could be read in two ways, or that is
// no record (a name with a newline splits its line), is a problem with its line number.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "reel/record.h"
#include "reel/result.h"

namespace reel::log {

// What the views of a record point to that was read from text.
struct TextFields {
  std::array<char, 32> jobid{};
  std::array<char, 24> nid{};
  std::array<char, 256> xattr{};
  std::string name, source_name;
};

// One line without its newline. The record's views point into `fields`. A line that is taken prints
// again (append_lfs_line) as it is. Errors: invalid (the text says what is wrong or ambiguous).
Status parse_lfs_line(std::string_view line, TextFields& fields, Record& record);

// One object as append_json_line() writes it; unknown members are left out. Errors: invalid.
Status parse_json_line(std::string_view line, TextFields& fields, Record& record);

// "10.0.0.1@tcp" -> the raw field. False: no such text.
bool parse_nid(std::string_view text, bool big_endian, std::array<char, 24>& field);

enum class RecordFormat { lustre, lfs, json };
using RecordFn = std::function<Status(const Record&)>;

// Calls `each` for every record. What cannot be read becomes one of `problems` ("line 7: ..."); raw
// bytes end at the first. Errors: those of `each`.
Status each_record(RecordFormat format, std::string_view bytes, const RecordFn& each,
                   std::vector<std::string>& problems);

}  // namespace reel::log

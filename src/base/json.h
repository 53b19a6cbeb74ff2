// SPDX-License-Identifier: Apache-2.0
//
// Reads JSON whose strings are bytes: "\udc80".."\udcff" (Python's surrogateescape) stand for the
// bytes that are not UTF-8, as in what `reel log --json` writes and in manifests. Other libraries
// refuse such strings. One document at a time, into a tree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reel/result.h"

namespace reel {

struct JsonMember;

struct Json {
  enum class Kind { null, boolean, number, string, array, object };

  Kind kind = Kind::null;
  std::string text;                 // string: its bytes; number: as it is written
  bool truth = false;               // boolean
  std::vector<Json> items;          // array
  std::vector<JsonMember> members;  // object, in the order of the text

  // The member of this name (the first of several), null when this is no object or has none.
  const Json* find(std::string_view name) const;
  // A number without fraction that fits, else nullopt.
  std::optional<uint64_t> as_unsigned() const;
  std::optional<int64_t> as_signed() const;
};

struct JsonMember {
  std::string name;
  Json value;
};

// Blanks around the document are skipped. Errors: invalid (says at which byte).
Result<Json> parse_json(std::string_view text);

}  // namespace reel

// SPDX-License-Identifier: Apache-2.0
//
// The notation in which strace prints arguments: numbers, flags by name, strings with escapes,
// [lists], {structures}, descriptors with what they lead to. Pure; no input makes it fail in another
// way than by saying so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reel::trace {

struct StraceField;

// One argument, or a part of one.
struct StraceValue {
  enum class Kind : uint8_t {
    number,     // also flags, NULL, and names of constants that are known
    text,       // "..."
    list,       // [a, b]
    structure,  // {a=1, b=2}
    other,      // a word that means nothing to us: `text` is the word
  };
  Kind kind = Kind::other;
  uint64_t number = 0;
  std::string text;                  // decoded
  bool abridged = false;             // strace left out a part of it ("..."...)
  std::optional<std::string> leads;  // of a descriptor, with -y: the path or what strace calls it, decoded
  bool deleted = false;              // ... and strace says that it has no name any more
  std::vector<StraceField> items;    // of lists and structures

  bool is_number() const { return kind == Kind::number; }
  bool is_null() const { return is_number() && number == 0; }
  const StraceValue* field(std::string_view key) const;  // nullptr: there is none
};

struct StraceField {
  std::string key;  // empty: it has none
  StraceValue value;
};

// The arguments of a call, from behind its '(' to its ')'. `at` is moved behind that; false: the text is
// no list of arguments.
bool parse_strace_arguments(std::string_view text, size_t& at, std::vector<StraceField>& arguments);

// A result: a number, and of a descriptor what it leads to. `at` is moved behind it.
bool parse_strace_result(std::string_view text, size_t& at, StraceValue& value);

}  // namespace reel::trace

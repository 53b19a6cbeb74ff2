// SPDX-License-Identifier: Apache-2.0
//
// Sets and maps of texts that are looked up by parts of others, without a copy.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace reel {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

using TextSet = std::unordered_set<std::string, TextHash, std::equal_to<>>;
template <class T>
using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

}  // namespace reel

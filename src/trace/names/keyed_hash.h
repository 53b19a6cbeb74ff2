// SPDX-License-Identifier: Apache-2.0
//
// SipHash-2-4 with 128 bits of key, which is made to be keyed: without the key a guess cannot be tried.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reel::trace {

class KeyedHash {
 public:
  explicit KeyedHash(std::string_view key);  // any bytes
  uint64_t of(std::string_view bytes) const;
  std::string word_of(std::string_view bytes) const;  // 16 hexadecimal digits

 private:
  uint64_t a_, b_;
};

}  // namespace reel::trace

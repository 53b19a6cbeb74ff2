// SPDX-License-Identifier: Apache-2.0
//
// See keyed_hash.h.
#include "trace/names/keyed_hash.h"

#include "base/codec.h"

namespace reel::trace {
namespace {

struct Key {
  uint64_t a = 0, b = 0;
};

uint64_t rotated(uint64_t value, int bits) {
  return value << bits | value >> (64 - bits);
}

class SipHash {
 public:
  explicit SipHash(Key key)
      : v0_(key.a ^ 0x736f6d6570736575ull),
        v1_(key.b ^ 0x646f72616e646f6dull),
        v2_(key.a ^ 0x6c7967656e657261ull),
        v3_(key.b ^ 0x7465646279746573ull) {}

  uint64_t of(std::string_view bytes) {
    size_t size = bytes.size(), at = 0;
    for (; at + 8 <= size; at += 8) take(load_le<uint64_t>(bytes.data() + at));
    uint64_t last = static_cast<uint64_t>(size) << 56;
    for (size_t i = 0; at + i < size; ++i)
      last |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
    take(last);
    v2_ ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void take(uint64_t word) {
    v3_ ^= word;
    round();
    round();
    v0_ ^= word;
  }
  void round() {
    v0_ += v1_;
    v1_ = rotated(v1_, 13) ^ v0_;
    v0_ = rotated(v0_, 32);
    v2_ += v3_;
    v3_ = rotated(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = rotated(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = rotated(v1_, 17) ^ v2_;
    v2_ = rotated(v2_, 32);
  }
  uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace

// A key of any length becomes one of 128 bits.
KeyedHash::KeyedHash(std::string_view key) : a_(SipHash({1, 2}).of(key)), b_(SipHash({3, 4}).of(key)) {}

uint64_t KeyedHash::of(std::string_view bytes) const {
  return SipHash({a_, b_}).of(bytes);
}

std::string KeyedHash::word_of(std::string_view bytes) const {
  static const char kDigits[] = "0123456789abcdef";
  uint64_t hash = of(bytes);
  std::string word;
  for (int i = 0; i < 16; ++i) word += kDigits[hash >> (4 * i) & 15];
  return word;
}

}  // namespace reel::trace

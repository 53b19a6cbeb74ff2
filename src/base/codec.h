// SPDX-License-Identifier: Apache-2.0
//
// Little-endian loads and stores, varints, and a reader that never runs past its end. Only
// <cstdint>, <cstring> and <cstddef>: the preload shim includes this file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace reel {

template <class T>
inline T load_le(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;  // every machine Reel runs on is little-endian; asserted below
}
template <class T>
inline void store_le(void* to, T value) {
  std::memcpy(to, &value, sizeof value);
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Reel's formats are little-endian");

inline uint64_t zigzag(int64_t v) {
  return (static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63);
}
inline int64_t unzigzag(uint64_t v) {
  return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
}

inline constexpr size_t kVarintMax = 10;  // bytes

// LEB128. `to` has room for kVarintMax bytes; returns the end of what was written.
inline uint8_t* store_varint(uint8_t* to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<uint8_t>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<uint8_t>(value);
  return to;
}

// Reads fields from [begin, end). After a read past the end `failed()` is true, every later read
// gives zero, and the position does not move: check once, at the end of a record.
class ByteReader {
 public:
  ByteReader() : ByteReader(nullptr, 0) {}
  ByteReader(const void* begin, size_t size) : at_(static_cast<const uint8_t*>(begin)), end_(at_ + size) {}

  bool failed() const { return failed_; }
  void fail() { failed_ = true; }
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  const uint8_t* at() const { return at_; }

  template <class T>
  T fixed() {
    const uint8_t* p = bytes(sizeof(T));
    return p ? load_le<T>(p) : T{};
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint8_t* p = bytes(1);
      if (!p) return 0;
      value |= static_cast<uint64_t>(*p & 0x7f) << shift;
      if (!(*p & 0x80)) return value;
    }
    failed_ = true;
    return 0;
  }
  // The next `size` bytes, or nullptr.
  const uint8_t* bytes(size_t size) {
    if (failed_ || left() < size) {
      failed_ = true;
      return nullptr;
    }
    const uint8_t* p = at_;
    at_ += size;
    return p;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
  bool failed_ = false;
};

}  // namespace reel

// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 (FIPS 180-4), to compare contents with what a manifest says.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

namespace reel::recorded {

class Sha256 {
 public:
  static std::string hex(std::string_view bytes) {
    Sha256 sum;
    std::string padded(bytes);
    padded += '\x80';
    while (padded.size() % 64 != 56) padded += '\0';
    for (int shift = 56; shift >= 0; shift -= 8) padded += static_cast<char>(uint64_t{bytes.size()} * 8 >> shift);
    for (size_t at = 0; at < padded.size(); at += 64) sum.block(reinterpret_cast<const uint8_t*>(padded.data()) + at);
    std::string text;
    for (uint32_t word : sum.state_)
      for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
    return text;
  }

 private:
  static uint32_t rotate(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

  // The first 32 bits of the fractions of the roots of the first 64 primes: of the square roots the state that it
  // begins with, of the cube roots the constants of the rounds.
  struct Constants {
    std::array<uint32_t, 64> square{}, cube{};
    Constants() {
      for (uint32_t number = 2, found = 0; found < 64; ++number) {
        bool prime = true;
        for (uint32_t d = 2; d * d <= number; ++d) prime = prime && number % d != 0;
        if (!prime) continue;
        square[found] = fraction(std::sqrt(static_cast<long double>(number)));
        cube[found++] = fraction(std::cbrt(static_cast<long double>(number)));
      }
    }
    static uint32_t fraction(long double root) {
      return static_cast<uint32_t>((root - std::floor(root)) * 4294967296.0L);
    }
  };
  static const Constants& constants() {
    static const Constants made;
    return made;
  }

  Sha256() {
    for (size_t i = 0; i < 8; ++i) state_[i] = constants().square[i];
  }
  void block(const uint8_t* bytes) {
    std::array<uint32_t, 64> w;
    for (size_t i = 0; i < 16; ++i)
      w[i] = uint32_t{bytes[i * 4]} << 24 | uint32_t{bytes[i * 4 + 1]} << 16 | uint32_t{bytes[i * 4 + 2]} << 8 |
             bytes[i * 4 + 3];
    for (size_t i = 16; i < 64; ++i) {
      uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
      uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    std::array<uint32_t, 8> s = state_;
    for (size_t i = 0; i < 64; ++i) {
      uint32_t big = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
      uint32_t t1 = s[7] + big + ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants().cube[i] + w[i];
      uint32_t t2 =
          (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      s = {t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]};
    }
    for (size_t i = 0; i < 8; ++i) state_[i] += s[i];
  }

  std::array<uint32_t, 8> state_;
};

}  // namespace reel::recorded

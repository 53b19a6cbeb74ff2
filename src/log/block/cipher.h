// SPDX-License-Identifier: Apache-2.0
//
// Encryption of a log's blocks: XChaCha20-Poly1305 of libsodium, each block by itself, its header as
// associated data. docs/log-format.md, "Encryption".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/env.h"
#include "log/block/format.h"
#include "reel/log_key.h"
#include "reel/result.h"

namespace reel::log {

inline constexpr size_t kNonceSize = 24, kTagSize = 16;
inline constexpr size_t kSealOverhead = kNonceSize + kTagSize;  // bytes that a sealed payload is longer

// The key that a file's bytes stand for. Errors: not_found, permission, io; invalid: fewer than 16 bytes.
Result<LogKey> read_log_key(Env& env, const std::string& path);

// Tells keys apart, and says nothing about the key; never 0.
uint64_t id_of(const LogKey& key);

// Seals blocks of one writer. Nonces never repeat: each begins with 128 bits that were picked at random for this
// object, and ends with a counter. One thread.
class Sealer {
 public:
  explicit Sealer(const LogKey& key);
  // `size` bytes from `payload` become kSealOverhead more. The header is the block's, all of it set but payload_sum.
  std::vector<uint8_t> seal(const BlockHeader& header, const uint8_t* payload, size_t size);

 private:
  LogKey key_;
  uint8_t nonce_[kNonceSize];
};

// False: it was not sealed with this key, or it, or its header, was changed since. `out` has room for size -
// kSealOverhead.
bool open_sealed(const LogKey& key, const BlockHeader& header, const uint8_t* stored, size_t size, uint8_t* out);

}  // namespace reel::log

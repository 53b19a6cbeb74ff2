// SPDX-License-Identifier: Apache-2.0
//
// The only place that knows libsodium.
#include "log/block/cipher.h"

#include <sodium.h>

#include <array>
#include <cstring>

#include "base/codec.h"

namespace reel::log {
namespace {

constexpr size_t kLeastKeyBytes = 16, kMostKeyBytes = 1u << 20;
constexpr size_t kBoundBytes = 64;  // of the header: all but its checksums

static_assert(kNonceSize == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(kTagSize == crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(sizeof(LogKey) == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

// libsodium must have looked at the machine; it may be asked any number of times.
void begin() {
  if (::sodium_init() < 0) std::abort();  // no source of random numbers: nothing could be kept secret
}

std::array<uint8_t, kBlockHeaderSize> bound(const BlockHeader& header) {
  BlockHeader plain = header;
  plain.payload_sum = 0;
  std::array<uint8_t, kBlockHeaderSize> bytes;
  encode(plain, bytes.data());
  return bytes;
}

void hash(std::string_view purpose, const void* data, size_t size, uint8_t* out, size_t out_size) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, reinterpret_cast<const uint8_t*>(purpose.data()), purpose.size(), out_size);
  crypto_generichash_update(&state, static_cast<const uint8_t*>(data), size);
  crypto_generichash_final(&state, out, out_size);
}

}  // namespace

Result<LogKey> read_log_key(Env& env, const std::string& path) {
  TRY_ASSIGN(std::string bytes, read_file(env, path, kMostKeyBytes));
  if (bytes.size() < kLeastKeyBytes)
    return Error(Code::invalid,
                 path + ": a key file has at least 16 bytes; `head -c 32 /dev/urandom > FILE` makes one");
  begin();
  LogKey key;
  hash("reel log key v1.", bytes.data(), bytes.size(), key.bytes.data(), key.bytes.size());
  return key;
}

uint64_t id_of(const LogKey& key) {
  begin();
  std::array<uint8_t, 16> id;
  hash("reel log key id.", key.bytes.data(), key.bytes.size(), id.data(), id.size());
  uint64_t number = load_le<uint64_t>(id.data());
  return number == 0 ? 1 : number;
}

Sealer::Sealer(const LogKey& key) : key_(key) {
  begin();
  std::memset(nonce_, 0, sizeof nonce_);
  ::randombytes_buf(nonce_, 16);
}

std::vector<uint8_t> Sealer::seal(const BlockHeader& header, const uint8_t* payload, size_t size) {
  store_le(nonce_ + 16, load_le<uint64_t>(nonce_ + 16) + 1);
  std::vector<uint8_t> sealed(size + kSealOverhead);
  std::memcpy(sealed.data(), nonce_, kNonceSize);
  auto with = bound(header);
  crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data() + kNonceSize, nullptr, payload, size, with.data(),
                                             kBoundBytes, nullptr, nonce_, key_.bytes.data());
  return sealed;
}

bool open_sealed(const LogKey& key, const BlockHeader& header, const uint8_t* stored, size_t size, uint8_t* out) {
  if (size < kSealOverhead) return false;
  begin();
  auto with = bound(header);
  return crypto_aead_xchacha20poly1305_ietf_decrypt(out, nullptr, nullptr, stored + kNonceSize, size - kNonceSize,
                                                    with.data(), kBoundBytes, stored, key.bytes.data()) == 0;
}

}  // namespace reel::log

// SPDX-License-Identifier: Apache-2.0
#include "base/handle.h"

#include <xxhash.h>

#include <cerrno>

#include "base/codec.h"

namespace reel {
namespace {

constexpr int kTypeIno32Gen = 0x01;
constexpr int kTypeIno64Gen = 0x81;
constexpr int kTypeBtrfs = 0x4d;
constexpr int kTypeLustre = 0x97;
constexpr uint32_t kLustreFid = 16;  // bytes
constexpr uint32_t kLustreFidAndParent = 32;

void fill(FileHandle& handle, int type, uint32_t bytes) {
  std::memset(handle.storage, 0, sizeof handle.storage);
  handle.raw()->handle_type = type;
  handle.raw()->handle_bytes = bytes;
}

}  // namespace

HandleFormat handle_format(int type, uint32_t bytes) {
  if (type == kTypeIno32Gen && bytes == 8) return HandleFormat::ino32_gen;
  if (type == kTypeIno32Gen && bytes == 12) return HandleFormat::tmpfs;
  if (type == kTypeIno64Gen && bytes == 12) return HandleFormat::ino64_gen;
  if (type == kTypeBtrfs && bytes == 20) return HandleFormat::btrfs;
  if (type == kTypeLustre && (bytes == kLustreFid || bytes == kLustreFidAndParent)) return HandleFormat::lustre;
  return HandleFormat::opaque;
}

bool is_inode_of(HandleFormat format, const Fid& fid, uint64_t ino) {
  // Lustre folds a FID into 64 bits.
  if (format == HandleFormat::lustre) return ino == (fid.seq << 24) + ((fid.seq >> 24) & 0xffffff0000ull) + fid.oid;
  return ino == fid.seq;
}

Fid fid_of_handle(int type, const unsigned char* data, uint32_t bytes) {
  switch (handle_format(type, bytes)) {
    case HandleFormat::ino32_gen:
      return {load_le<uint32_t>(data), load_le<uint32_t>(data + 4), 0};
    case HandleFormat::tmpfs:
      return {load_le<uint64_t>(data + 4), load_le<uint32_t>(data), 0};
    case HandleFormat::ino64_gen:
      return {load_le<uint64_t>(data), load_le<uint32_t>(data + 8), 0};
    case HandleFormat::btrfs:
      return {load_le<uint64_t>(data), load_le<uint32_t>(data + 16),
              static_cast<uint32_t>(load_le<uint64_t>(data + 8))};
    case HandleFormat::lustre:
      return {load_le<uint64_t>(data), load_le<uint32_t>(data + 8), load_le<uint32_t>(data + 12)};
    case HandleFormat::opaque:
      break;
  }
  XXH128_hash_t hash = XXH3_128bits_withSeed(data, bytes, static_cast<XXH64_hash_t>(type));
  return {hash.low64, static_cast<uint32_t>(hash.high64), static_cast<uint32_t>(hash.high64 >> 32)};
}

std::optional<FileHandle> handle_of_fid(HandleFormat format, const Fid& fid) {
  FileHandle handle;
  unsigned char* data = handle.raw()->f_handle;
  switch (format) {
    case HandleFormat::ino32_gen:
      fill(handle, kTypeIno32Gen, 8);
      store_le(data, static_cast<uint32_t>(fid.seq));
      store_le(data + 4, fid.oid);
      return handle;
    case HandleFormat::tmpfs:
      fill(handle, kTypeIno32Gen, 12);
      store_le(data, fid.oid);
      store_le(data + 4, fid.seq);
      return handle;
    case HandleFormat::ino64_gen:
      fill(handle, kTypeIno64Gen, 12);
      store_le(data, fid.seq);
      store_le(data + 8, fid.oid);
      return handle;
    case HandleFormat::btrfs:
      fill(handle, kTypeBtrfs, 20);
      store_le(data, fid.seq);
      store_le(data + 8, uint64_t{fid.ver});
      store_le(data + 16, fid.oid);
      return handle;
    case HandleFormat::lustre:
      fill(handle, kTypeLustre, kLustreFidAndParent);
      store_le(data, fid.seq);
      store_le(data + 8, fid.oid);
      store_le(data + 12, fid.ver);
      return handle;
    case HandleFormat::opaque:
      break;
  }
  return std::nullopt;
}

Result<FidAndMount> fid_at(int dirfd, const char* name) {
  FileHandle handle;
  handle.raw()->handle_bytes = 128;
  FidAndMount found;
  int flags = name[0] == '\0' ? AT_EMPTY_PATH : 0;
  if (::name_to_handle_at(dirfd, name, handle.raw(), &found.mount_id, flags) != 0)
    return Error::from_errno(errno, "name_to_handle_at");
  const struct file_handle* raw = handle.raw();
  found.format = handle_format(raw->handle_type, raw->handle_bytes);
  found.fid = fid_of_handle(raw->handle_type, raw->f_handle, raw->handle_bytes);
  return found;
}

}  // namespace reel

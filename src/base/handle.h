// SPDX-License-Identifier: Apache-2.0
//
// Kernel file handles <-> FIDs. A FID of a local file system is made of what the kernel's handle
// holds: seq = inode number, oid = inode generation, ver = subvolume (btrfs) or 0. The mapping is
// reversible for the formats below, so a FID is enough to open the object again.
//   ext2/3/4, f2fs  type 0x01,  8 bytes: ino32 gen32
//   tmpfs           type 0x01, 12 bytes: gen32 ino64 (low word first)
//   xfs             type 0x81, 12 bytes: ino64 gen32
//   btrfs           type 0x4d, 20 bytes: objectid64 root64 gen32
//   Lustre          type 0x97, 16 bytes: its FID {seq64 oid32 ver32}, and then, in 32, the parent's;
//                   such a FID is taken as it is
// Any other format (overlay, NFS, ...) is hashed to a FID that cannot be turned back.
// (Source: name_to_handle_at(2) and the handles that Linux 5.17 to 6.18 produce.)
#pragma once

#include <fcntl.h>

#include <string>

#include "reel/record.h"
#include "reel/result.h"

namespace reel {

enum class HandleFormat { ino32_gen, tmpfs, ino64_gen, btrfs, lustre, opaque };

struct FileHandle {
  alignas(8) unsigned char storage[sizeof(struct file_handle) + 128];
  struct file_handle* raw() {
    return reinterpret_cast<struct file_handle*>(storage);
  }
  const struct file_handle* raw() const { return reinterpret_cast<const struct file_handle*>(storage); }
};

// The format of handles of this type and size.
HandleFormat handle_format(int type, uint32_t bytes);

// The FID in a handle's bytes (type and bytes as in struct file_handle).
Fid fid_of_handle(int type, const unsigned char* data, uint32_t bytes);

// Whether an object with this FID has this inode number. Where it does not, they are two objects.
bool is_inode_of(HandleFormat format, const Fid& fid, uint64_t ino);

// The handle of a FID; nullopt when the format is opaque.
std::optional<FileHandle> handle_of_fid(HandleFormat format, const Fid& fid);

struct FidAndMount {
  Fid fid;
  int mount_id = 0;
  HandleFormat format = HandleFormat::opaque;
};

// The FID of `name` in `dirfd` (never followed if it is a symlink); "" means dirfd itself.
// Errors: not_found, unsupported (the file system gives no handles), io.
Result<FidAndMount> fid_at(int dirfd, const char* name);

}  // namespace reel

// SPDX-License-Identifier: Apache-2.0
//
// What both real trees need of the kernel: stat with nanoseconds, extended attributes of any kind of object, inode
// flags, directory listings. Every call takes a descriptor and at most one component of a path.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "reel/result.h"
#include "tree/tree.h"

namespace reel::mirror {

// The real File of both trees.
class PosixFile : public File {
 public:
  explicit PosixFile(Fd fd) : fd_(std::move(fd)) {}
  PosixFile(Fd fd, const Attributes& found) : fd_(std::move(fd)) { as_opened = found; }
  int fd() const override { return fd_.get(); }

 private:
  Fd fd_;
};

// One component, neither "." nor "..": the only names that reach a system call.
bool is_plain_name(std::string_view name);
Status check_name(std::string_view name);

// A name or path as a person may read it: control bytes and invalid UTF-8 as C escapes.
std::string printable(std::string_view bytes);

struct Found {
  Attributes attributes;  // inode_flags: only those statx tells (kStatxFlags)
  uint64_t device = 0;
  uint64_t mount_id = 0;  // 0 on kernels before 5.8
};

// `name` in `dirfd`, never followed, no automount; "" means dirfd itself.
Result<Found> find_at(int dirfd, const char* name);

// Inode flags. A mirror carries those that another file system could have as well; NOCOW, EXTENTS,
// COMPR, CASEFOLD and the like say how one file system stores the object, and PROJINHERIT means
// nothing without project ids.
extern const uint32_t kMirroredFlags;  // IMMUTABLE APPEND NODUMP NOATIME SYNC DIRSYNC
extern const uint32_t kStatxFlags;     // of these, what statx tells without opening the object
extern const uint32_t kLockingFlags;   // those that forbid changes: IMMUTABLE APPEND

// Which of kMirroredFlags can be set on the file system of `fd`, a file or directory open for
// reading; 0 where that is not known.
uint32_t settable_flags(int fd);
// The mirrored flags of a file or directory open for reading; 0 where the file system has none.
// DIRSYNC is only a directory's: some file systems keep it of files, others refuse to.
Result<uint32_t> get_flags(int fd);
// Sets the flags in `mask` to those of `flags`; all others stay.
Status set_flags(int fd, uint32_t flags, uint32_t mask);

// Also of an O_PATH descriptor. -1 and errno as chmod.
int change_mode(int fd, uint32_t mode);

// "/proc/self/fd/N": reaches the object of an O_PATH descriptor, also when it is a symlink.
std::string proc_path(int fd);

// Whether a mirror copies an attribute of this name (not: what only the file system it lives on
// understands).
bool is_mirrored_xattr(std::string_view name);

// All mirrored attributes of what `fd` (O_PATH will do) is, sorted by name.
Result<std::vector<Xattr>> read_xattrs(int fd);

// The names in the directory open at `fd` (from where it stands), but "." and "..".
Status each_name(int fd, const std::function<Status(const char* name)>& each);

// Restarts the open when a signal interrupts it. -1 and errno as open does.
int open_at(int dirfd, const char* name, int flags, uint32_t mode = 0);
// The same, and neither symlinks nor mounts are crossed, even when `name` is being swapped.
int open_beneath(int dirfd, const char* name, int flags);
// A path below `rootfd` of any length, none of whose parts is a symlink; "" is rootfd itself.
Fd open_below(int rootfd, const std::string& path, int flags);
// For reading, without a trace in the access time where that is permitted.
int open_no_atime(int dirfd, const char* name, int flags);

// A private read-only copy of the mount at `path` (empty: at `dirfd`), without the mounts on top of it: an O_PATH
// descriptor of `path` in it, with which the copy goes away. Empty where that is not permitted.
Fd clone_mount(int dirfd, const char* path);

}  // namespace reel::mirror

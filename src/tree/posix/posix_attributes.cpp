// SPDX-License-Identifier: Apache-2.0
#include "tree/posix/posix_attributes.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace reel::mirror {

const uint32_t kMirroredFlags =
    FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL;
const uint32_t kStatxFlags = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL;
const uint32_t kLockingFlags = FS_IMMUTABLE_FL | FS_APPEND_FL;

namespace {

constexpr size_t kXattrMax = 65536;  // XATTR_SIZE_MAX and XATTR_LIST_MAX of the kernel
constexpr size_t kXattrFew = 512;    // bytes of names that most objects do with

FileType type_of(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return FileType::directory;
    case S_IFLNK:
      return FileType::symlink;
    case S_IFIFO:
      return FileType::fifo;
    case S_IFSOCK:
      return FileType::socket;
    case S_IFCHR:
      return FileType::char_device;
    case S_IFBLK:
      return FileType::block_device;
    default:
      return FileType::regular;
  }
}

Time time_of(const statx_timestamp& t) {
  return {t.tv_sec, t.tv_nsec};
}

uint32_t statx_flags(const struct statx& s) {
  uint32_t flags = 0;
  if (s.stx_attributes & STATX_ATTR_IMMUTABLE) flags |= FS_IMMUTABLE_FL;
  if (s.stx_attributes & STATX_ATTR_APPEND) flags |= FS_APPEND_FL;
  if (s.stx_attributes & STATX_ATTR_NODUMP) flags |= FS_NODUMP_FL;
  return flags;
}

// Length of the valid UTF-8 sequence of two or more bytes at the start of `s`, or 0.
size_t utf8_sequence(std::string_view s) {
  auto lead = static_cast<unsigned char>(s[0]);
  size_t length = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead >= 0xf5 || s.size() < length) return 0;
  uint32_t point = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    auto byte = static_cast<unsigned char>(s[i]);
    if ((byte & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte & 0x3fu);
  }
  bool shortest = point >= (length == 4 ? 0x10000u : length == 3 ? 0x800u : 0x80u);
  bool control = point < 0xa0;  // U+0080 to U+009F drive terminals
  bool surrogate = point >= 0xd800 && point < 0xe000;
  return shortest && !control && !surrogate && point < 0x110000 ? length : 0;
}

// The value of one attribute; nullopt when it is gone meanwhile. `path`: where the descriptor is an
// O_PATH one; else empty.
Result<std::optional<std::string>> xattr_value(int fd, const std::string& path, const char* name,
                                               std::vector<char>& buffer) {
  ssize_t size = path.empty() ? ::fgetxattr(fd, name, buffer.data(), buffer.size())
                              : ::getxattr(path.c_str(), name, buffer.data(), buffer.size());
  if (size >= 0) return std::optional(std::string(buffer.data(), static_cast<size_t>(size)));
  if (errno == ENODATA) return std::optional<std::string>();
  return Error::from_errno(errno, std::string("read extended attribute ") + name);
}

}  // namespace

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos && name.find('\0') == name.npos;
}

Status check_name(std::string_view name) {
  if (is_plain_name(name)) return ok();
  return Error(Code::invalid, "\"" + printable(name) + "\" is not the name of a directory entry");
}

std::string printable(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    auto byte = static_cast<unsigned char>(bytes[i]);
    size_t length = byte >= 0x80 ? utf8_sequence(bytes.substr(i)) : 1;
    static constexpr std::string_view kNamed = "\a\b\t\n\v\f\r";
    char octal[5];
    if (byte == '\\') {
      out += "\\\\";
    } else if (size_t at = kNamed.find(bytes[i]); at != kNamed.npos) {
      out += {'\\', "abtnvfr"[at]};
    } else if (length == 0 || byte < 0x20 || byte == 0x7f) {
      std::snprintf(octal, sizeof octal, "\\%03o", byte);
      out += octal;
      length = 1;
    } else {
      out += bytes.substr(i, length);
    }
    i += length;
  }
  return out;
}

Result<Found> find_at(int dirfd, const char* name) {
  struct statx s;
  int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name == '\0' ? AT_EMPTY_PATH : 0);
  if (::statx(dirfd, name, flags, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &s) != 0)
    return Error::from_errno(errno, "stat");
  Found found;
  Attributes& a = found.attributes;
  a.type = type_of(s.stx_mode);
  a.mode = s.stx_mode & 07777;
  a.uid = s.stx_uid;
  a.gid = s.stx_gid;
  a.size = s.stx_size;
  a.blocks = s.stx_blocks;
  a.nlink = s.stx_nlink;
  a.rdev = makedev(s.stx_rdev_major, s.stx_rdev_minor);
  a.mtime = time_of(s.stx_mtime);
  a.ctime = time_of(s.stx_ctime);
  a.atime = time_of(s.stx_atime);
  a.ino = s.stx_ino;
  if (s.stx_mask & STATX_BTIME) a.born = time_of(s.stx_btime);
  a.inode_flags = statx_flags(s);
  found.device = makedev(s.stx_dev_major, s.stx_dev_minor);
  found.mount_id = s.stx_mask & STATX_MNT_ID ? s.stx_mnt_id : 0;
  return found;
}

uint32_t settable_flags(int fd) {
  struct statfs s;
  int flags = 0;
  if (::fstatfs(fd, &s) != 0 || ::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return 0;
  switch (static_cast<uint32_t>(s.f_type)) {
    case 0xEF53:      // ext2, ext3, ext4
    case 0x9123683E:  // btrfs
    case 0xF2F52010:  // f2fs
      return kMirroredFlags;
    case 0x58465342:  // xfs
      return kMirroredFlags & ~static_cast<uint32_t>(FS_DIRSYNC_FL);
    case 0x01021994:  // tmpfs
      return FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL;
    default:
      return 0;
  }
}

Result<uint32_t> get_flags(int fd) {
  int flags = 0;  // the kernel writes an int, whatever the ioctl's number says
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
    struct stat s;
    if ((flags & FS_DIRSYNC_FL) && ::fstat(fd, &s) == 0 && !S_ISDIR(s.st_mode)) flags &= ~FS_DIRSYNC_FL;
    return static_cast<uint32_t>(flags) & kMirroredFlags;
  }
  if (errno == ENOTTY || errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS) return 0u;
  return Error::from_errno(errno, "read inode flags");
}

Status set_flags(int fd, uint32_t flags, uint32_t mask) {
  int now = 0;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &now) != 0) return Error::from_errno(errno, "read inode flags");
  int wanted = static_cast<int>((static_cast<uint32_t>(now) & ~mask) | (flags & mask));
  if (wanted == now) return ok();
  if (::ioctl(fd, FS_IOC_SETFLAGS, &wanted) != 0) return Error::from_errno(errno, "set inode flags");
  return ok();
}

int change_mode(int fd, uint32_t mode) {
  int result = ::fchmod(fd, mode);
  return result != 0 && errno == EBADF ? ::chmod(proc_path(fd).c_str(), mode) : result;
}

std::string proc_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

bool is_mirrored_xattr(std::string_view name) {
  // security.evm signs inode number and generation, so it is true on one file system only; xfs shows
  // its ACLs a second time in the form it keeps them.
  static constexpr std::array<std::string_view, 12> kInternal = {
      "security.evm", "trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT",
      "trusted.lov",  "trusted.lma",          "trusted.link",
      "trusted.fid",  "trusted.som",          "trusted.hsm",
      "trusted.dmv",  "trusted.lmv",          "trusted.version"};
  if (std::find(kInternal.begin(), kInternal.end(), name) != kInternal.end()) return false;
  if (name.starts_with("trusted.overlay.") || name.starts_with("trusted.lov.")) return false;
  if (name.starts_with("user.") || name.starts_with("trusted.") || name.starts_with("security.")) return true;
  return name == "system.posix_acl_access" || name == "system.posix_acl_default" || name == "system.nfs4_acl";
}

Result<std::vector<Xattr>> read_xattrs(int fd) {
  static thread_local std::vector<char> names(kXattrMax), value(kXattrMax);
  std::string path;  // the long way costs several times as much
  std::vector<Xattr> found;
  // The kernel allocates as much as it may fill, so all of it is offered only when that is needed.
  ssize_t size = ::flistxattr(fd, names.data(), kXattrFew);
  if (size < 0 && errno == ERANGE) size = ::flistxattr(fd, names.data(), names.size());
  if (size < 0 && errno == EBADF) {
    path = proc_path(fd);
    size = ::listxattr(path.c_str(), names.data(), names.size());
  }
  if (size < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) return found;
  if (size < 0) return Error::from_errno(errno, "list extended attributes");
  for (const char* name = names.data(); name < names.data() + size; name += std::strlen(name) + 1) {
    if (!is_mirrored_xattr(name)) continue;
    TRY_ASSIGN(std::optional<std::string> text, xattr_value(fd, path, name, value));
    if (text) found.push_back({name, std::move(*text)});
  }
  std::sort(found.begin(), found.end());
  return found;
}

Status each_name(int fd, const std::function<Status(const char* name)>& each) {
  std::vector<char> buffer(32768);
  while (true) {
    ssize_t size = ::getdents64(fd, buffer.data(), buffer.size());
    if (size < 0) return Error::from_errno(errno, "read directory");
    if (size == 0) return ok();
    for (ssize_t at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const struct dirent64*>(buffer.data() + at);
      at += entry->d_reclen;
      if (is_plain_name(entry->d_name)) TRY(each(entry->d_name));
    }
  }
}

int open_at(int dirfd, const char* name, int flags, uint32_t mode) {
  while (true) {
    int fd = ::openat(dirfd, name, flags | O_CLOEXEC, mode);
    if (fd >= 0 || errno != EINTR) return fd;
  }
}

int open_beneath(int dirfd, const char* name, int flags) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  // O_PATH|O_NOFOLLOW opens a symlink itself; only without O_PATH is a symlink an error.
  if (!(flags & O_PATH)) how.resolve |= RESOLVE_NO_SYMLINKS;
  while (true) {
    long fd = ::syscall(SYS_openat2, dirfd, name, &how, sizeof how);
    // EAGAIN: a rename or mount elsewhere raced with the walk, and nothing can be said.
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return static_cast<int>(fd);
  }
}

Fd open_below(int rootfd, const std::string& path, int flags) {
  constexpr size_t kPieceMax = 2048;  // a path given to the kernel is shorter than 4096
  Fd piece;
  size_t at = 0;
  while (path.size() - at > kPieceMax) {
    size_t end = path.rfind('/', at + kPieceMax);
    std::string part = path.substr(at, end - at);
    piece = Fd(open_beneath(piece ? piece.get() : rootfd, part.c_str(), O_PATH | O_DIRECTORY));
    if (!piece) return piece;
    at = end + 1;
  }
  const char* rest = path.empty() ? "." : path.c_str() + at;
  return Fd(open_beneath(piece ? piece.get() : rootfd, rest, flags));
}

int open_no_atime(int dirfd, const char* name, int flags) {
  int fd = open_at(dirfd, name, flags | O_NOATIME);
  return fd < 0 && errno == EPERM ? open_at(dirfd, name, flags) : fd;
}

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
#include "source/fanotify_group.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "source/mounts.h"

namespace reel::source {
namespace {

constexpr unsigned kInitFlags = FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME_TARGET | FAN_NONBLOCK | FAN_CLOEXEC;
constexpr uint64_t kMask = FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_MODIFY | FAN_ONDIR;
// An event that no mark of ours asks for: removing it from a mark changes nothing, but says whether
// the mark exists.
constexpr uint64_t kNeverMarked = FAN_ACCESS;

// File systems that also change behind the kernel's back: fanotify would see only a part.
struct Remote {
  unsigned long magic;
  const char* name;
};
constexpr Remote kRemote[] = {
    {0x6969, "NFS"},      {0x517b, "SMB"},        {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"}, {0x01021997, "9p"},
    {0x00c36400, "Ceph"}, {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"}, {0x01161970, "GFS2"}, {0x7461636f, "OCFS2"},
    {0x5346414f, "AFS"},  {0x19830326, "BeeGFS"}, {0x65735546, "FUSE"},
};

constexpr const char* kOnceWorks = "`reel mirror --once` works here: it compares instead of following";

// fs.fanotify.max_queued_events is read when a group is made, so it is raised for that moment only.
// The lock keeps two instances from restoring each other's raised value.
class RaisedQueueLimit {
 public:
  explicit RaisedQueueLimit(uint64_t events)
      : fd_(::open("/proc/sys/fs/fanotify/max_queued_events", O_RDWR | O_CLOEXEC)) {
    if (!fd_) return;  // no such file or no right: the limit stays as the admin has it
    while (::flock(fd_.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    char text[32] = {};
    if (::pread(fd_.get(), text, sizeof text - 1, 0) <= 0) return;
    old_ = std::strtoull(text, nullptr, 10);
    raised_ = old_ < events && set(events);
  }
  ~RaisedQueueLimit() {
    if (raised_) set(old_);
  }
  RaisedQueueLimit(const RaisedQueueLimit&) = delete;
  RaisedQueueLimit& operator=(const RaisedQueueLimit&) = delete;

 private:
  bool set(uint64_t events) const {
    char text[32];
    int size = std::snprintf(text, sizeof text, "%llu\n", static_cast<unsigned long long>(events));
    return ::pwrite(fd_.get(), text, static_cast<size_t>(size), 0) == size;
  }

  Fd fd_;
  uint64_t old_ = 0;
  bool raised_ = false;
};

int raw_fsopen(const char* type) {
  return static_cast<int>(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
}
bool raw_fsconfig(int fs, unsigned command, const char* key, const char* value) {
  return ::syscall(SYS_fsconfig, fs, command, key, value, 0) == 0;
}

// fanotify refuses a btrfs subvolume (EXDEV) but takes the top level, and then reports every
// subvolume. So mount the top level where nobody sees it.
Fd mount_btrfs_top(const char* device, bool read_only) {
  Fd fs(raw_fsopen("btrfs"));
  if (!fs) return {};
  if (!raw_fsconfig(fs.get(), FSCONFIG_SET_STRING, "source", device) ||
      !raw_fsconfig(fs.get(), FSCONFIG_SET_STRING, "subvolid", "5"))
    return {};
  if (read_only && !raw_fsconfig(fs.get(), FSCONFIG_SET_FLAG, "ro", nullptr)) return {};
  if (!raw_fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr)) return {};
  return Fd(static_cast<int>(::syscall(SYS_fsmount, fs.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOEXEC)));
}

Fd mount_btrfs_top_of(const char* path) {
  struct statx found;
  if (::statx(AT_FDCWD, path, 0, STATX_MNT_ID, &found) != 0) return {};
  MountReader mounts;
  Mount mount;
  while (mounts.next(mount)) {
    if (static_cast<uint64_t>(mount.id) != found.stx_mnt_id) continue;
    if (std::strcmp(mount.type, "btrfs") != 0) return {};
    return mount_btrfs_top(mount.device, mount.read_only);
  }
  return {};
}

// fanotify_mark of the whole file system of `path`; 0 or errno.
int mark_file_system(int group, unsigned command, uint64_t mask, const char* path) {
  unsigned flags = command | FAN_MARK_FILESYSTEM;
  if (::fanotify_mark(group, flags, mask, AT_FDCWD, path) == 0) return 0;
  if (errno != EXDEV) return errno;
  Fd top = mount_btrfs_top_of(path);
  if (!top) return EXDEV;
  return ::fanotify_mark(group, flags, mask, top.get(), ".") == 0 ? 0 : errno;
}

Error init_error(int sys_errno) {
  if (sys_errno == EPERM)
    return {Code::permission,
            "following a file system needs root, or CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH; "
            "`reel mirror --once` works without them",
            sys_errno};
  if (sys_errno == EINVAL || sys_errno == ENOSYS)
    return {Code::unsupported,
            std::string("this kernel cannot tell which entries of a file system change "
                        "(Linux 5.17 or newer with fanotify can); ") +
                kOnceWorks,
            sys_errno};
  return Error::from_errno(sys_errno, "fanotify_init");
}

Error mark_error(int sys_errno, const std::string& directory) {
  switch (sys_errno) {
    case EPERM:
      return init_error(sys_errno).with(directory);
    case EXDEV:
      return {Code::unsupported,
              directory +
                  ": a btrfs subvolume can be followed only through the top level of its file "
                  "system, which could not be mounted privately; " +
                  kOnceWorks,
              sys_errno};
    case ENODEV:
    case EOPNOTSUPP:
    case EINVAL:
      return {Code::unsupported,
              directory +
                  ": the kernel gives no events that name files on this file system (an overlay "
                  "needs the mount option nfs_export=on); " +
                  kOnceWorks,
              sys_errno};
    default:
      return Error::from_errno(sys_errno, "fanotify_mark " + directory);
  }
}

}  // namespace

Result<FileSystem> file_system_of(const std::string& directory) {
  struct statfs fs;
  if (::statfs(directory.c_str(), &fs) != 0) return Error::from_errno(errno, directory);
  for (const Remote& remote : kRemote)
    if (static_cast<unsigned long>(fs.f_type) == remote.magic)
      return Error(Code::unsupported, directory + ": on " + remote.name +
                                          " the kernel does not see the changes that others make; " + kOnceWorks);
  struct statx found;
  if (::statx(AT_FDCWD, directory.c_str(), 0, STATX_TYPE | STATX_MNT_ID, &found) != 0)
    return Error::from_errno(errno, directory);
  if (!S_ISDIR(found.stx_mode)) return Error(Code::invalid, directory + ": not a directory");
  MountReader mounts;
  Mount mount;
  while (mounts.next(mount))
    if (static_cast<uint64_t>(mount.id) == found.stx_mnt_id) return FileSystem{mount.major, mount.minor};
  return Error(Code::unsupported, directory + ": its mount is not listed in /proc/self/mountinfo; " + kOnceWorks);
}

Result<Fd> make_group(const std::string& directory, uint64_t queue_events) {
  Fd group;
  {
    RaisedQueueLimit limit(queue_events);
    group = Fd(::fanotify_init(kInitFlags, O_RDONLY | O_CLOEXEC | O_LARGEFILE));
    if (!group) return init_error(errno);
  }
  int failed = mark_file_system(group.get(), FAN_MARK_ADD, kMask | FAN_FS_ERROR, directory.c_str());
  if (failed == EINVAL) failed = mark_file_system(group.get(), FAN_MARK_ADD, kMask, directory.c_str());
  if (failed) return mark_error(failed, directory);
  return group;
}

bool watches(int group, const char* path) {
  return mark_file_system(group, FAN_MARK_REMOVE, kNeverMarked, path) == 0;
}

bool still_watched(int group, const FileSystem& fs) {
  MountReader mounts;
  Mount mount;
  while (mounts.next(mount))
    if (mount.major == fs.major && mount.minor == fs.minor && watches(group, mount.point)) return true;
  return false;
}

bool ignore_modify(int group, int file) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  // Evictable: the mark does not keep the inode in memory. If the kernel drops it, events come again.
  constexpr unsigned kFlags = FAN_MARK_ADD | FAN_MARK_IGNORE_SURV | FAN_MARK_EVICTABLE;
  return ::fanotify_mark(group, kFlags, FAN_MODIFY, AT_FDCWD, path) == 0;
}

bool flush_ignores(int group) {
  return ::fanotify_mark(group, FAN_MARK_FLUSH | FAN_MARK_INODE, 0, AT_FDCWD, nullptr) == 0;
}

uint64_t queued_events(int group) {
  int bytes = 0;  // the kernel counts one struct fanotify_event_metadata per event, without its infos
  if (::ioctl(group, FIONREAD, &bytes) != 0 || bytes < 0) return 0;
  return static_cast<uint64_t>(bytes) / sizeof(struct fanotify_event_metadata);
}

}  // namespace reel::source

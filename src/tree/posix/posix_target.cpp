// SPDX-License-Identifier: Apache-2.0
#include "tree/posix/posix_target.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstdio>

#include "tree/lustre_calls.h"

namespace reel::mirror {
namespace {

class PosixDir final : public TargetDir {
 public:
  explicit PosixDir(Fd fd) : fd_(std::move(fd)) {}
  int fd() const { return fd_.get(); }

 private:
  Fd fd_;
};

int fd_of(const TargetDirPtr& dir) {
  return static_cast<const PosixDir&>(*dir).fd();
}

Error failed(const char* what, const std::string& name) {
  return Error::from_errno(errno, std::string(what) + " " + printable(name));
}

mode_t format_of(FileType type) {
  switch (type) {
    case FileType::fifo:
      return S_IFIFO;
    case FileType::socket:
      return S_IFSOCK;
    case FileType::char_device:
      return S_IFCHR;
    case FileType::block_device:
      return S_IFBLK;
    default:
      return 0;
  }
}

constexpr Time kUnknownTime{0, UINT32_MAX};  // no file has it

bool has_flags(const Attributes& a) {
  return a.type == FileType::regular || a.type == FileType::directory;
}

std::string mounting_of(int fd) {
  constexpr unsigned kStatxMntIdUnique = 0x4000;  // STATX_MNT_ID_UNIQUE, of which older headers know nothing
  struct statx s;
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID | kStatxMntIdUnique, &s) != 0) return "";
  return std::to_string(s.stx_dev_major) + ":" + std::to_string(s.stx_dev_minor) + "/" + std::to_string(s.stx_mnt_id);
}

// Keeps the first error of several steps that are all to be tried.
void keep(Status& first, Status next) {
  if (first && !next) first = std::move(next);
}

}  // namespace

Result<std::unique_ptr<PosixTarget>> PosixTarget::open(const std::string& path, Options options) {
  Fd fd(open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY));
  if (!fd) return failed("open the target", path);
  return open(std::move(fd), options);
}

std::unique_ptr<PosixTarget> PosixTarget::open(Fd fd, Options options) {
  std::unique_ptr<PosixTarget> target(new PosixTarget());
  target->settable_flags_ = settable_flags(fd.get());
  if (!options.owners) target->settable_flags_ &= ~kLockingFlags;
  target->mounting_ = mounting_of(fd.get());
  target->is_lustre_ = options.is_lustre || is_lustre(fd.get());
  target->root_ = std::make_shared<PosixDir>(std::move(fd));
  target->owners_ = options.owners;
  target->throttle_ = options.throttle;
  return target;
}

bool PosixTarget::loosen(const Place& place, std::vector<Lifted>* lifted) {
  Result<Found> found = find_at(place.dirfd, place.name);
  if (!found || !has_flags(found->attributes)) return false;
  const Attributes& now = found->attributes;
  bool changed = false;
  uint32_t access = now.type == FileType::directory ? 0700 : 0600;
  if (place.mode_too && !owners_ && (now.mode & access) != access) {
    Fd fd(*place.name ? open_beneath(place.dirfd, place.name, O_PATH) : open_at(place.dirfd, ".", O_PATH));
    changed = fd && ::chmod(proc_path(fd.get()).c_str(), now.mode | access) == 0;
  }
  if (now.inode_flags & kLockingFlags) {
    const char* name = *place.name ? place.name : ".";
    Fd fd(open_at(place.dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    bool taken = fd && set_flags(fd.get(), 0, kLockingFlags);
    changed |= taken;
    if (taken && lifted && *place.name) lifted->push_back({std::move(fd), now.inode_flags & kLockingFlags});
  }
  return changed;
}

int PosixTarget::insist(std::initializer_list<Place> places, const std::function<int()>& attempt,
                        std::vector<Lifted>* lifted) {
  int result = attempt();
  if (result >= 0 || (errno != EPERM && errno != EACCES)) return result;
  int refusal = errno;
  bool changed = false;
  for (const Place& place : places) changed |= loosen(place, lifted);
  if (changed) return attempt();
  errno = refusal;
  return result;
}

Status PosixTarget::change_name(std::initializer_list<Place> places, const char* what, const std::string& name,
                                const std::function<int()>& attempt) {
  std::vector<Lifted> lifted;
  Status status = ok();
  if (insist(places, attempt, &lifted) != 0) status = failed(what, name);
  for (const Lifted& object : lifted) keep(status, set_flags(object.fd.get(), object.flags, object.flags));
  return status;
}

Result<TargetDirPtr> PosixTarget::open_dir(const TargetDirPtr& parent, const std::string& name) {
  TRY(check_name(name));
  int dir = fd_of(parent);
  Fd fd(insist({{dir, "", true}, {dir, name.c_str(), true}},
               [&] { return open_beneath(dir, name.c_str(), O_RDONLY | O_DIRECTORY); }));
  if (!fd) return failed("open directory", name);
  return TargetDirPtr(std::make_shared<PosixDir>(std::move(fd)));
}

Result<Attributes> PosixTarget::stat(const TargetDirPtr& dir, const std::string& name) {
  if (!name.empty()) TRY(check_name(name));
  Result<Found> found = find_at(fd_of(dir), name.c_str());
  if (!found) return std::move(found).error().with(printable(name));
  return found->attributes;
}

Result<Attributes> PosixTarget::stat(File& file) {
  // Of a file that was just made nobody else knows.
  if (file.as_opened) return *file.as_opened;
  TRY_ASSIGN(Found found, find_at(file.fd(), ""));
  if (settable_flags_) {
    TRY_ASSIGN(found.attributes.inode_flags, get_flags(file.fd()));
  }
  return found.attributes;
}

Status PosixTarget::list(const TargetDirPtr& dir, const std::function<Status(const TargetEntry&)>& each) {
  // The shared descriptor has one position only.
  Fd own(open_at(fd_of(dir), ".", O_RDONLY | O_DIRECTORY));
  if (!own) return Error::from_errno(errno, "open directory");
  return each_name(own.get(), [&](const char* name) -> Status {
    Result<Found> found = find_at(own.get(), name);
    if (found.is(Code::not_found)) return ok();
    if (!found) return std::move(found).error().with(printable(name));
    return each(TargetEntry{name, found->attributes});
  });
}

Result<Attributes> PosixTarget::make_dir(const TargetDirPtr& dir, const std::string& name) {
  TRY(check_name(name));
  int fd = fd_of(dir);
  if (insist({{fd, "", true}}, [&] { return ::mkdirat(fd, name.c_str(), 0700); }) != 0)
    return failed("make directory", name);
  return stat(dir, name);
}

Result<Attributes> PosixTarget::make_symlink(const TargetDirPtr& dir, const std::string& name,
                                             const std::string& text) {
  TRY(check_name(name));
  int fd = fd_of(dir);
  if (insist({{fd, "", true}}, [&] { return ::symlinkat(text.c_str(), fd, name.c_str()); }) != 0)
    return failed("make symlink", name);
  return stat(dir, name);
}

Result<Attributes> PosixTarget::make_node(const TargetDirPtr& dir, const std::string& name, FileType type,
                                          uint64_t rdev) {
  TRY(check_name(name));
  mode_t format = format_of(type);
  if (format == 0) return Error(Code::invalid, "make node " + printable(name) + ": not a node");
  int fd = fd_of(dir);
  if (insist({{fd, "", true}}, [&] { return ::mknodat(fd, name.c_str(), format | 0600, rdev); }) != 0)
    return failed("make node", name);
  return stat(dir, name);
}

Status PosixTarget::link(const TargetDirPtr& from, const std::string& from_name, const TargetDirPtr& to,
                         const std::string& to_name) {
  TRY(check_name(from_name));
  TRY(check_name(to_name));
  int from_fd = fd_of(from), to_fd = fd_of(to);
  return change_name({{to_fd, "", true}, {from_fd, from_name.c_str(), false}}, "link", from_name + " to " + to_name,
                     [&] { return ::linkat(from_fd, from_name.c_str(), to_fd, to_name.c_str(), 0); });
}

Status PosixTarget::rename(const TargetDirPtr& from, const std::string& from_name, const TargetDirPtr& to,
                           const std::string& to_name) {
  TRY(check_name(from_name));
  TRY(check_name(to_name));
  int from_fd = fd_of(from), to_fd = fd_of(to);
  const char *old_name = from_name.c_str(), *new_name = to_name.c_str();
  auto attempt = [&] {
    int result = ::renameat2(from_fd, old_name, to_fd, new_name, RENAME_NOREPLACE);
    if (result == 0 || (errno != EINVAL && errno != ENOSYS)) return result;
    // EINVAL is also how a directory is refused its own inside; renameat says so once more.
    struct stat there;
    if (::fstatat(to_fd, new_name, &there, AT_SYMLINK_NOFOLLOW) == 0) {
      errno = EEXIST;
      return -1;
    }
    return ::renameat(from_fd, old_name, to_fd, new_name);
  };
  // A directory that changes its parent is written to (its "..").
  bool own_mode = from_fd != to_fd;
  return change_name({{from_fd, "", true}, {to_fd, "", true}, {from_fd, old_name, own_mode}}, "rename",
                     from_name + " to " + to_name, attempt);
}

Status PosixTarget::remove(const TargetDirPtr& dir, const std::string& name, int flags) {
  TRY(check_name(name));
  int fd = fd_of(dir);
  return change_name({{fd, "", true}, {fd, name.c_str(), false}}, flags ? "remove directory" : "unlink", name,
                     [&] { return ::unlinkat(fd, name.c_str(), flags); });
}

Status PosixTarget::unlink(const TargetDirPtr& dir, const std::string& name) {
  return remove(dir, name, 0);
}

Status PosixTarget::remove_dir(const TargetDirPtr& dir, const std::string& name) {
  return remove(dir, name, AT_REMOVEDIR);
}

Status PosixTarget::set_layout(const TargetDirPtr& dir, const std::string& layout) {
  if (!is_lustre_) return ok();
  Result<std::string> present = layout_of(fd_of(dir));
  if (present && *present == layout) return ok();
  return set_layout_of(fd_of(dir), layout);
}

Result<std::unique_ptr<File>> PosixTarget::create(const TargetDirPtr& dir, const std::string& name, uint32_t mode,
                                                  const std::string& layout) {
  TRY(check_name(name));
  int dirfd = fd_of(dir);
  bool with_layout = is_lustre_ && !layout.empty();
  int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | (with_layout ? kLayoutLater : 0);
  Fd fd(insist({{dirfd, "", true}}, [&] { return open_at(dirfd, name.c_str(), flags, mode); }));
  if (!fd) return failed("create", name);
  Status laid_out = with_layout ? set_layout_of(fd.get(), layout) : ok();
  if (!laid_out) {
    // It has no objects, and nothing could be written to it: opened again it gets those of a default layout.
    fd = Fd(open_at(AT_FDCWD, proc_path(fd.get()).c_str(), O_RDWR));
    if (!fd) return failed("open", name);
  }
  Result<Found> made = find_at(fd.get(), "");
  if (!made) return std::move(made).error().with(printable(name));
  // The umask or a default ACL of the directory took bits away.
  if (made->attributes.mode != mode && ::fchmod(fd.get(), mode) != 0) return failed("set mode of", name);
  made->attributes.mode = mode;
  std::unique_ptr<File> file(new PosixFile(std::move(fd), made->attributes));
  if (!laid_out) file->layout_refused = std::move(laid_out).error();
  return file;
}

Result<std::unique_ptr<File>> PosixTarget::open(const TargetDirPtr& dir, const std::string& name) {
  TRY_ASSIGN(Attributes now, stat(dir, name));
  if (now.type != FileType::regular)  // opening a device or fifo does things
    return Error(Code::invalid, "open " + printable(name) + ": not a regular file");
  int dirfd = fd_of(dir);
  Fd fd(insist({{dirfd, "", true}, {dirfd, name.c_str(), true}},
               [&] { return open_beneath(dirfd, name.c_str(), O_RDWR | O_NONBLOCK); }));
  if (!fd) return failed("open", name);
  return std::unique_ptr<File>(new PosixFile(std::move(fd)));
}

Result<CopyResult> PosixTarget::copy(SourceTree&, File& from, File& to, uint64_t size, bool fresh) {
  return copy_contents(from.fd(), to.fd(), size, fresh, throttle_);
}

bool PosixTarget::has_contents(SourceTree&, File& from, const TargetDirPtr& dir, const std::string& name,
                               const Instance& known) {
  if (!from.as_opened || !check_name(name)) return false;
  Result<Found> there = find_at(fd_of(dir), name.c_str());
  if (!there || there->attributes.type != FileType::regular || there->attributes.instance() != known) return false;
  if (there->attributes.size != from.as_opened->size) return false;
  constexpr int kFlags = O_RDONLY | O_NONBLOCK;
  Fd fd(open_beneath(fd_of(dir), name.c_str(), kFlags | O_NOATIME));
  if (!fd && errno == EPERM) fd = Fd(open_beneath(fd_of(dir), name.c_str(), kFlags));
  if (!fd) return false;
  Result<bool> same = same_contents(from.fd(), fd.get(), from.as_opened->size, throttle_);
  return same && *same;
}

// What set_attributes may find there. Owner and mode of a file that was just made are known.
Result<Attributes> PosixTarget::attributes_before(File* file, int fd) {
  std::optional<Attributes> made;
  if (file) made.swap(file->as_opened);
  if (made) {
    made->mtime = kUnknownTime;
    return *made;
  }
  TRY_ASSIGN(Found found, find_at(fd, ""));
  return found.attributes;
}

Status PosixTarget::set_attributes(File* file, const TargetDirPtr& dir, const std::string& name,
                                   const AttributeChange& change) {
  Fd object, opened;
  int fd = file ? file->fd() : fd_of(dir);
  int readable = fd;
  if (!file && !name.empty()) {
    TRY(check_name(name));
    int dirfd = fd;
    object = Fd(insist({{dirfd, "", true}}, [&] { return open_beneath(dirfd, name.c_str(), O_PATH); }));
    if (!object) return failed("open", name);
    fd = object.get();
    readable = -1;
  }
  TRY_ASSIGN(Attributes now, attributes_before(file, fd));
  if (!has_flags(now)) readable = -1;
  if (has_flags(now) && readable < 0 && settable_flags_) {
    opened = Fd(open_at(AT_FDCWD, proc_path(fd).c_str(), O_RDONLY | O_NONBLOCK));
    readable = opened.get();
  }
  Status set = set_all(fd, readable, now, change);
  if (!set) return std::move(set).error().with(file ? "attributes" : printable(name));
  return ok();
}

// `readable`: the same object open for reading, where it may have flags, else -1.
Status PosixTarget::set_all(int fd, int readable, const Attributes& now, const AttributeChange& change) {
  const Attributes& wanted = change.attributes;
  if (readable >= 0 && (now.inode_flags & kLockingFlags)) TRY(set_flags(readable, 0, kLockingFlags));
  Status first = ok();
  bool mode_unsure = false;
  keep(first, set_owner(fd, now, wanted, mode_unsure));
  keep(first, set_xattrs(fd, now, change.xattrs, mode_unsure));
  if (now.type != FileType::symlink && (mode_unsure || now.mode != wanted.mode) && change_mode(fd, wanted.mode) != 0)
    keep(first, Error::from_errno(errno, "set mode"));
  if (now.mtime != wanted.mtime) {
    struct timespec times[2] = {};
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = wanted.mtime.seconds;
    times[1].tv_nsec = wanted.mtime.nanoseconds;
    if (::utimensat(fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
      keep(first, Error::from_errno(errno, "set time"));
  }
  uint32_t settable = settable_flags_;
  if (now.type != FileType::directory) settable &= ~static_cast<uint32_t>(FS_DIRSYNC_FL);
  if (readable >= 0 && settable)
    keep(first, set_flags(readable, wanted.inode_flags, settable));
  else if (has_flags(now) && ((now.inode_flags ^ wanted.inode_flags) & settable))
    keep(first, Error(Code::permission, "set inode flags: the object cannot be opened to read"));
  return first;
}

Status PosixTarget::set_owner(int fd, const Attributes& now, const Attributes& wanted, bool& mode_unsure) {
  if (now.uid == wanted.uid && now.gid == wanted.gid) return ok();
  if (!owners_ && now.gid == wanted.gid) return ok();
  uid_t uid = owners_ ? wanted.uid : static_cast<uid_t>(-1);
  mode_unsure = true;  // setuid and setgid bits are gone now
  if (::fchownat(fd, "", uid, wanted.gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0) return ok();
  // Without root a group can only be given when the process is in it.
  if (!owners_ && errno == EPERM) return ok();
  return Error::from_errno(errno, "set owner");
}

bool PosixTarget::may_set_xattr(const std::string& name) const {
  return owners_ || !(name.starts_with("trusted.") || name.starts_with("security."));
}

Status PosixTarget::set_xattrs(int fd, const Attributes& now, const std::vector<Xattr>& wanted, bool& mode_unsure) {
  TRY_ASSIGN(std::vector<Xattr> present, read_xattrs(fd));
  if (present == wanted) return ok();
  std::string path = proc_path(fd);
  if (!owners_ && now.type != FileType::symlink && !(now.mode & 0200)) {
    mode_unsure = true;  // the owner's write permission is needed for user attributes
    if (::chmod(path.c_str(), now.mode | 0200) != 0) return Error::from_errno(errno, "set mode");
  }
  Status first = ok();
  auto change = [&](const Xattr& x, const char* what, int result) {
    if (x.name.starts_with("system.")) mode_unsure = true;  // an access ACL holds the mode
    if (result != 0 && errno != ENODATA) keep(first, Error::from_errno(errno, what + x.name));
  };
  size_t p = 0, w = 0;
  while (p < present.size() || w < wanted.size()) {
    bool extra = w == wanted.size() || (p < present.size() && present[p].name < wanted[w].name);
    bool missing = p == present.size() || (w < wanted.size() && wanted[w].name < present[p].name);
    const Xattr& x = extra ? present[p] : wanted[w];
    bool may = may_set_xattr(x.name);
    if (extra) {
      if (may) change(x, "remove xattr ", ::removexattr(path.c_str(), x.name.c_str()));
    } else if (missing || present[p].value != x.value) {
      int flags = 0;
      if (may) change(x, "set xattr ", ::setxattr(path.c_str(), x.name.c_str(), x.value.data(), x.value.size(), flags));
    }
    if (!missing) p++;
    if (!extra) w++;
  }
  return first;
}

void PosixTarget::begin_sync(std::function<void()> failed) {
  flusher_.begin(fd_of(root_), std::move(failed));
}

Status PosixTarget::sync() {
  // An error that it saw is an error for good: nobody knows what of the target is on disk.
  if (int error = flusher_.wait()) return Error::from_errno(error, "sync the target");
  if (::syncfs(fd_of(root_)) != 0) return Error::from_errno(errno, "sync the target");
  return ok();
}

}  // namespace reel::mirror

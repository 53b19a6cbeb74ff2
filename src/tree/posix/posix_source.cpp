// SPDX-License-Identifier: Apache-2.0
#include "tree/posix/posix_source.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>

#include "tree/lustre_calls.h"

namespace reel::mirror {
namespace {

constexpr size_t kCachedDirs = 256;
constexpr size_t kSeenMax = 500000;
constexpr size_t kDepthMax = 4096;  // a locator that answers in a circle ends here

// With these three a page counts as written only when it cannot be stored to without a fault.
constexpr int64_t kQuietSeconds = 120;
constexpr int64_t kSecondNs = 1000000000;
constexpr int64_t kTickNs = 20000000;  // two ticks of the slowest clock (100 Hz)

Error gone(const char* what) {
  return {Code::not_found, what};
}

// True when the kernel (6.5 and later) says that nothing of the file waits to be written.
bool has_no_dirty_pages(int fd) {
  constexpr long kCachestat = 451;
  struct {
    uint64_t offset, length;  // 0: to the end
  } range = {0, 0};
  struct {
    uint64_t cached, dirty, write_back, evicted, recently_evicted;
  } counts = {};
  return ::syscall(kCachestat, fd, &range, &counts, 0) == 0 && counts.dirty == 0;
}

// Whether ctime moves with every change that somebody could have looked before (multigrain
// timestamps, Linux 6.13).
bool fine_ctime() {
  static const bool fine = [] {
    struct utsname name;
    int major = 0;
    int minor = 0;
    return ::uname(&name) == 0 && std::sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 13));
  }();
  return fine;
}

// Whether what was read of it goes only with the mounting (not, as with a server, behind the kernel's back), and its
// ctime is as fine as the kernel's: file systems that were looked at.
bool keeps_pages(int fd) {
  struct statfs s;
  if (::fstatfs(fd, &s) != 0) return false;
  auto type = static_cast<uint64_t>(s.f_type);
  return type == EXT4_SUPER_MAGIC || type == XFS_SUPER_MAGIC || type == BTRFS_SUPER_MAGIC || type == TMPFS_MAGIC;
}

// Only a number that is not given again (Linux 6.8) says that it is the same mounting.
std::string unique_mounting(int fd) {
#ifndef STATX_MNT_ID_UNIQUE
  constexpr unsigned STATX_MNT_ID_UNIQUE = 0x4000;
#endif
  struct statx s;
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &s) != 0) return "";
  return s.stx_mask & STATX_MNT_ID_UNIQUE ? std::to_string(s.stx_mnt_id) : "";
}

}  // namespace

Result<std::unique_ptr<PosixSource>> PosixSource::open(const std::string& path, Options options) {
  std::unique_ptr<PosixSource> source(new PosixSource());
  source->options_ = options;
  // Sent to a process whose lease somebody waits for; nothing has to be done about it.
  ::signal(SIGIO, SIG_IGN);
  // One look for both: the mounting at the path may be another one in the next moment.
  Fd original(open_at(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY));
  if (!original) return Error::from_errno(errno, "open the source " + printable(path));
  source->keeps_pages_ = keeps_pages(original.get());
  if (source->keeps_pages_) source->mounting_ = unique_mounting(original.get());
  if (options.clone_mount) source->mount_ = clone_mount(original.get(), "");
  Fd root(source->mount_ ? open_no_atime(source->mount_.get(), ".", O_RDONLY | O_DIRECTORY)
                         : open_no_atime(original.get(), ".", O_RDONLY | O_DIRECTORY));
  if (!root) return Error::from_errno(errno, "open the source " + printable(path));
  source->root_ = std::make_shared<const Fd>(std::move(root));
  Status inspected = source->inspect_root(options);
  if (!inspected) return std::move(inspected).error().with("source " + printable(path));
  return source;
}

Status PosixSource::inspect_root(const Options& options) {
  TRY_ASSIGN(Found found, find_at(root_->get(), ""));
  TRY_ASSIGN(FidAndMount id, fid_at(root_->get(), ""));
  root_fid_ = id.fid;
  mount_id_ = id.mount_id;
  format_ = id.format;
  device_ = found.device;
  if (!options.hidden.empty()) {
    Result<Found> hidden = find_at(AT_FDCWD, options.hidden.c_str());
    if (hidden && hidden->device == device_) hidden_inode_ = hidden->attributes.ino;
  }
  has_flags_ = settable_flags(root_->get()) != 0;
  if (is_lustre(root_->get())) options_.is_lustre = true;
  if (options.by_handle && format_ != HandleFormat::opaque) {
    by_handle_ = true;  // what open_handle needs to try
    by_handle_ = static_cast<bool>(open_handle(root_fid_, O_PATH));
  }
  return ok();
}

bool PosixSource::has_fine_ctime() const {
  return keeps_pages_ && !options_.is_lustre && fine_ctime();
}

bool PosixSource::belongs(const Found& found) const {
  if (found.mount_id != 0 && found.mount_id != static_cast<uint64_t>(mount_id_)) return false;
  bool hidden = hidden_inode_ != 0 && found.attributes.ino == hidden_inode_ && found.device == device_;
  if (hidden && found.attributes.type == FileType::directory) return false;
  // Where FIDs are hashes (overlayfs) files may carry the device of a lower layer.
  bool exact = format_ != HandleFormat::opaque || found.attributes.type == FileType::directory;
  return !exact || found.device == device_;
}

Result<Found> PosixSource::living(int fd) const {
  TRY_ASSIGN(Found found, find_at(fd, ""));
  if (found.attributes.nlink == 0) return gone("the object was removed");
  if (!belongs(found)) return gone("the object is on another file system");
  return found;
}

Result<Fd> PosixSource::open_handle(const Fid& fid, int flags) {
  if (options_.opener) return options_.opener(root_->get(), fid, flags);
  std::optional<FileHandle> handle = handle_of_fid(format_, fid);
  if (!handle) return gone("no handle");
  while (true) {
    int fd = ::open_by_handle_at(root_->get(), handle->raw(), flags | O_CLOEXEC);
    if (fd >= 0) return Fd(fd);
    if (errno == EINTR) continue;
    if (errno == EPERM && (flags & O_NOATIME)) {
      flags &= ~O_NOATIME;
      continue;
    }
    return Error::from_errno(errno, "open " + to_string(fid));
  }
}

Result<Fd> PosixSource::open_object(const Fid& fid, int flags) {
  if (!(flags & O_PATH)) flags |= O_NOATIME | O_NONBLOCK;
  if (by_handle_) return open_handle(fid, flags | O_NOFOLLOW);
  TRY_ASSIGN(Fd fd, walk_to(fid));
  if (flags == O_PATH) return fd;
  Fd reopened(open_no_atime(AT_FDCWD, proc_path(fd.get()).c_str(), flags & ~O_NOATIME));
  if (!reopened) return Error::from_errno(errno, "open " + to_string(fid));
  return reopened;
}

// One component down, and only to the object expected there.
Result<PosixSource::SharedFd> PosixSource::step(const SharedFd& dir, const std::string& name, const Fid& wanted) {
  TRY(check_name(name));
  Fd fd(open_beneath(dir->get(), name.c_str(), O_PATH));
  if (!fd && (errno == EXDEV || errno == ENOTDIR)) return gone("not of the source");
  if (!fd) return Error::from_errno(errno, "open " + printable(name));
  TRY_ASSIGN(FidAndMount id, fid_at(fd.get(), ""));
  if (id.fid != wanted || id.mount_id != mount_id_) return gone("another object has its place");
  return std::make_shared<const Fd>(std::move(fd));
}

Result<Fd> PosixSource::walk_to(const Fid& fid) {
  std::vector<std::pair<Fid, std::string>> way;  // of each object its FID and name, bottom up
  SharedFd at;
  for (Fid up = fid; !(at = cached(up));) {
    std::optional<std::pair<Fid, std::string>> place;
    if (locator_ && way.size() < kDepthMax) place = locator_(up);
    if (!place && way.size() < kDepthMax) place = seen(up);
    // Not "gone": nobody knows that.
    if (!place) return Error(Code::io, "it is not known where " + to_string(fid) + " is");
    way.emplace_back(up, std::move(place->second));
    up = place->first;
  }
  while (!way.empty()) {
    TRY_ASSIGN(at, step(at, way.back().second, way.back().first));
    // What has something below it is a directory.
    if (way.size() > 1) cache(way.back().first, at);
    way.pop_back();
  }
  Fd own(::fcntl(at->get(), F_DUPFD_CLOEXEC, 0));
  if (!own) return Error::from_errno(errno, "duplicate a descriptor");
  return own;
}

std::optional<std::pair<Fid, std::string>> PosixSource::seen(const Fid& fid) {
  std::lock_guard lock(cache_mutex_);
  auto found = seen_.find(fid);
  if (found == seen_.end()) return std::nullopt;
  return found->second;
}

void PosixSource::remember(const Fid& dir, const SourceEntry& entry) {
  if (by_handle_) return;
  std::lock_guard lock(cache_mutex_);
  if (seen_.size() >= kSeenMax) seen_.clear();
  seen_[entry.fid] = {dir, std::string(entry.name)};
}

PosixSource::SharedFd PosixSource::cached(const Fid& fid) {
  if (fid == root_fid_) return root_;
  std::lock_guard lock(cache_mutex_);
  auto found = cache_.find(fid);
  if (found == cache_.end()) return nullptr;
  cache_order_.splice(cache_order_.begin(), cache_order_, found->second);
  return found->second->fd;
}

void PosixSource::cache(const Fid& fid, SharedFd fd) {
  if (fid == root_fid_) return;
  SharedFd evicted;  // closed after the lock is gone
  std::lock_guard lock(cache_mutex_);
  if (cache_.count(fid)) return;
  cache_order_.push_front({fid, std::move(fd)});
  cache_[fid] = cache_order_.begin();
  if (cache_.size() <= kCachedDirs) return;
  evicted = std::move(cache_order_.back().fd);
  cache_.erase(cache_order_.back().fid);
  cache_order_.pop_back();
}

Result<PosixSource::SharedFd> PosixSource::directory(const Fid& fid) {
  if (SharedFd known = cached(fid)) return known;
  TRY_ASSIGN(Fd fd, open_object(fid, O_PATH));
  TRY_ASSIGN(Found found, living(fd.get()));
  if (found.attributes.type != FileType::directory) return gone("not a directory");
  auto shared = std::make_shared<const Fd>(std::move(fd));
  cache(fid, shared);
  return shared;
}

// What is at `name` now. Attributes and FID are asked for by name, which is cheap; when somebody
// replaced the entry between the two questions they are asked again of one held object.
Result<SourceEntry> PosixSource::entry(int dirfd, const char* name, const FidHint& hint) {
  if (format_ == HandleFormat::opaque) return entry_held(dirfd, name);
  TRY_ASSIGN(Found found, find_at(dirfd, name));
  if (!belongs(found)) return gone("not of the source");
  if (hint) {
    if (std::optional<Fid> known = hint(name, found.attributes)) return SourceEntry{name, *known, found.attributes};
  }
  TRY_ASSIGN(FidAndMount id, fid_at(dirfd, name));
  if (id.mount_id == mount_id_ && is_inode_of(format_, id.fid, found.attributes.ino))
    return SourceEntry{name, id.fid, found.attributes};
  return entry_held(dirfd, name);
}

Result<SourceEntry> PosixSource::entry_held(int dirfd, const char* name) {
  Fd fd(open_beneath(dirfd, name, O_PATH));
  if (!fd && errno == EXDEV) return gone("not of the source");
  if (!fd) return Error::from_errno(errno, "open " + printable(name));
  TRY_ASSIGN(Found found, living(fd.get()));
  TRY_ASSIGN(FidAndMount id, fid_at(fd.get(), ""));
  return SourceEntry{name, id.fid, found.attributes};
}

Result<SourceEntry> PosixSource::lookup(const Fid& parent, const std::string& name) {
  TRY(check_name(name));
  TRY_ASSIGN(SharedFd dir, directory(parent));
  Result<SourceEntry> found = entry(dir->get(), name.c_str(), nullptr);
  if (!found) return std::move(found).error().with("look up " + printable(name));
  found->name = name;
  remember(parent, *found);
  return found;
}

Status PosixSource::list(const Fid& dir, const std::function<Status(const SourceEntry&)>& each, const FidHint& hint) {
  Result<Fd> opened = open_object(dir, O_RDONLY | O_DIRECTORY);
  if (!opened && opened.error().sys_errno() == ENOTDIR) return gone("not a directory");
  if (!opened) return std::move(opened).error();
  TRY(living(opened->get()));
  // From here on the cache may lend it for look-ups, which do not move its position.
  auto fd = std::make_shared<const Fd>(*std::move(opened));
  cache(dir, fd);
  return each_name(fd->get(), [&](const char* name) -> Status {
    Result<SourceEntry> found = entry(fd->get(), name, hint);
    if (found.is(Code::not_found)) return ok();
    if (!found) return std::move(found).error().with(printable(name));
    remember(dir, *found);
    return each(*found);
  });
}

Result<Attributes> PosixSource::stat(const Fid& fid) {
  TRY_ASSIGN(Fd fd, open_object(fid, O_PATH));
  TRY_ASSIGN(Found found, living(fd.get()));
  Attributes& attributes = found.attributes;
  bool may_have_flags = attributes.type == FileType::regular || attributes.type == FileType::directory;
  if (!has_flags_ || !may_have_flags) return attributes;
  // A device or fifo must not be opened to look at it; of the others the flags need an open.
  Result<Fd> readable = open_object(fid, O_RDONLY);
  if (readable.is(Code::permission)) return attributes;  // what statx told is what we may know
  if (!readable) return std::move(readable).error();
  TRY_ASSIGN(attributes.inode_flags, get_flags(readable->get()));
  return attributes;
}

Result<std::string> PosixSource::directory_path(const Fid& fid) {
  if (fid == root_fid_) return std::string();
  TRY_ASSIGN(SharedFd dir, directory(fid));
  std::string root, path;
  for (auto [text, fd] : {std::pair(&root, root_->get()), std::pair(&path, dir->get())}) {
    char buffer[PATH_MAX];
    ssize_t size = ::readlink(proc_path(fd).c_str(), buffer, sizeof buffer);
    if (size < 0) return Error::from_errno(errno, "ask for the path of " + to_string(fid));
    text->assign(buffer, static_cast<size_t>(size));
  }
  if (!root.ends_with('/')) root += '/';
  if (path.starts_with(root)) {
    // The kernel's text is a hint: it may be out of date by now, and is anything for what lies
    // outside of the mount.
    path.erase(0, root.size());
    Fd there(open_below(root_->get(), path, O_PATH | O_DIRECTORY));
    Result<FidAndMount> id = there ? fid_at(there.get(), "") : gone("nothing is there");
    if (id && id->fid == fid) return path;
  }
  return gone("the directory is not below the root");
}

Result<std::string> PosixSource::read_link(const Fid& fid) {
  TRY_ASSIGN(Fd fd, open_object(fid, O_PATH));
  char text[PATH_MAX + 1];
  ssize_t size = ::readlinkat(fd.get(), "", text, sizeof text);
  if (size < 0) return Error::from_errno(errno, "read the symlink " + to_string(fid));
  return std::string(text, static_cast<size_t>(size));
}

Result<std::vector<Xattr>> PosixSource::xattrs(const Fid& fid, File* file) {
  if (file) return read_xattrs(file->fd());
  TRY_ASSIGN(Fd fd, open_object(fid, O_PATH));
  return read_xattrs(fd.get());
}

Result<std::unique_ptr<File>> PosixSource::open(const Fid& fid) {
  TRY_ASSIGN(Fd fd, open_object(fid, O_RDONLY));
  TRY_ASSIGN(Found found, living(fd.get()));
  if (found.attributes.type != FileType::regular)
    return Error(Code::invalid, "open " + to_string(fid) + ": not a regular file");
  if (options_.is_lustre && !options_.recall && is_released(fd.get()))
    return Error(Code::unsupported,
                 "its contents are only in the HSM archive, and are not recalled; restore the file, or "
                 "mirror with --recall");
  return std::unique_ptr<File>(new PosixFile(std::move(fd), found.attributes));
}

Result<std::optional<uint64_t>> PosixSource::data_version(File& file) {
  if (!options_.is_lustre) return std::optional<uint64_t>();
  return mirror::data_version(file.fd());
}

Result<std::string> PosixSource::layout(const Fid& fid, File* file) {
  if (!options_.is_lustre) return std::string();
  if (file) return layout_of(file->fd());
  TRY_ASSIGN(Fd fd, open_object(fid, O_RDONLY | O_DIRECTORY));
  return layout_of(fd.get());
}

// How long ago ctime moved last, in nanoseconds.
Result<int64_t> PosixSource::quiet_for(int fd) const {
  TRY_ASSIGN(Found found, living(fd));
  struct timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  const Time& ctime = found.attributes.ctime;
  return (now.tv_sec - ctime.seconds) * kSecondNs + now.tv_nsec - static_cast<int64_t>(ctime.nanoseconds);
}

Result<bool> PosixSource::being_written(File& file) {
  if (options_.is_lustre || !fine_ctime()) {
    TRY_ASSIGN(int64_t age_ns, quiet_for(file.fd()));
    // A lease tells of this client only, and others write as well.
    if (options_.is_lustre) return age_ns < kQuietSeconds * kSecondNs;
    // Before Linux 6.13 ctime moves once a tick: within the same one a later write does not show.
    if (age_ns < kTickNs) return true;
  }
  // A read lease is given only while nobody has the file open for writing, mapped or not. It is held
  // for the moment between two system calls; whoever opens the file in it waits for that long.
  if (::fcntl(file.fd(), F_SETLEASE, F_RDLCK) == 0) {
    if (::fcntl(file.fd(), F_SETLEASE, F_UNLCK) != 0) return Error::from_errno(errno, "give a lease back");
    return false;
  }
  if (errno == EAGAIN) return true;
  // No leases here, or not for us: what has been quiet for long and is all on disk is not written.
  TRY_ASSIGN(int64_t age_ns, quiet_for(file.fd()));
  return age_ns < kQuietSeconds * kSecondNs || !has_no_dirty_pages(file.fd());
}

Result<Attributes> PosixSource::stat(File& file) {
  TRY_ASSIGN(Found found, living(file.fd()));
  if (has_flags_) {
    TRY_ASSIGN(found.attributes.inode_flags, get_flags(file.fd()));
  }
  return found.attributes;
}

}  // namespace reel::mirror

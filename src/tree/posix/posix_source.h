// SPDX-License-Identifier: Apache-2.0
//
// The live source, read by FID. With CAP_DAC_READ_SEARCH an object is opened by its kernel handle,
// made from the FID; without it, or where FIDs cannot be turned back into handles, by walking down
// from the root along names that a locator gives, and comparing the FID of what is found.
//
// Only what is on the same file system as the root exists here. When the mount can be cloned, the
// tree is seen through a private, read-only, non-recursive copy of it: mounts on top of the source
// are not there, what they hide is, and reading changes no access time. A btrfs subvolume is a file
// system of its own.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/handle.h"
#include "tree/posix/posix_attributes.h"
#include "tree/tree.h"

namespace reel::mirror {

class PosixSource final : public SourceTree {
 public:
  // Which directory an object was last known in, and its name there.
  using Locator = std::function<std::optional<std::pair<Fid, std::string>>(const Fid&)>;

  struct Options {
    bool by_handle = true;    // false: walk even where handles could be opened
    bool clone_mount = true;  // false: look through the mount as it is
    std::string hidden{};     // a directory that is not there for the mirror: its own state
    // Opens an object of the file system that `root` is on, in place of the kernel's handles.
    std::function<Result<Fd>(int root, const Fid& fid, int flags)> opener{};
    bool is_lustre = false;  // taken for one whatever its file system says; see lustre_tree.h
    bool recall = false;     // Lustre: read contents that are only in the archive
  };

  static Result<std::unique_ptr<PosixSource>> open(const std::string& path, Options options);
  static Result<std::unique_ptr<PosixSource>> open(const std::string& path) { return open(path, Options()); }

  // Objects are opened by handle, and no locator is needed.
  bool by_handle() const { return by_handle_; }
  // Before the first use from a second thread. A locator may be wrong, it cannot lead astray.
  void set_locator(Locator locator) { locator_ = std::move(locator); }

  // The path of a directory from the root, "" for the root; not_found when it is not below the root.
  Result<std::string> directory_path(const Fid& fid);

  Fid root() const override { return root_fid_; }
  std::string mounting() const override { return mounting_; }
  bool has_fine_ctime() const override;
  Result<Attributes> stat(const Fid& fid) override;
  Result<SourceEntry> lookup(const Fid& parent, const std::string& name) override;
  Status list(const Fid& dir, const std::function<Status(const SourceEntry&)>& each,
              const FidHint& hint = nullptr) override;
  Result<std::string> read_link(const Fid& fid) override;
  Result<std::vector<Xattr>> xattrs(const Fid& fid, File* file) override;
  Result<bool> being_written(File& file) override;
  Result<Attributes> stat(File& file) override;
  Result<std::optional<uint64_t>> data_version(File& file) override;
  Result<std::string> layout(const Fid& fid, File* file) override;
  Result<std::unique_ptr<File>> open(const Fid& fid) override;

 private:
  using SharedFd = std::shared_ptr<const Fd>;

  PosixSource() = default;
  Status inspect_root(const Options& options);
  // With O_PATH the object itself, whatever it is; else open for reading.
  Result<Fd> open_object(const Fid& fid, int flags);
  Result<Fd> open_handle(const Fid& fid, int flags);
  Result<Fd> walk_to(const Fid& fid);
  Result<SharedFd> step(const SharedFd& dir, const std::string& name, const Fid& wanted);
  // A directory to look names up in: from the cache, or opened and cached. Never read from.
  Result<SharedFd> directory(const Fid& fid);
  SharedFd cached(const Fid& fid);
  // Without handles: where an object was met last. Many, not all.
  std::optional<std::pair<Fid, std::string>> seen(const Fid& fid);
  void remember(const Fid& dir, const SourceEntry& entry);
  void cache(const Fid& fid, SharedFd fd);
  Result<SourceEntry> entry(int dirfd, const char* name, const FidHint& hint);
  Result<SourceEntry> entry_held(int dirfd, const char* name);
  bool belongs(const Found& found) const;
  Result<Found> living(int fd) const;
  Result<int64_t> quiet_for(int fd) const;

  std::string mounting_;
  bool keeps_pages_ = false;  // see keeps_pages()
  Fd mount_;                  // the cloned mount; it goes away with this descriptor
  SharedFd root_;
  Fid root_fid_;
  HandleFormat format_ = HandleFormat::opaque;
  int mount_id_ = 0;
  uint64_t device_ = 0;
  uint64_t hidden_inode_ = 0;  // of Options::hidden when it lies on this device
  bool by_handle_ = false;
  bool has_flags_ = false;  // the file system has inode flags
  Options options_;
  Locator locator_;

  // Directories in use, the last used first.
  struct CachedDir {
    Fid fid;
    SharedFd fd;
  };
  std::mutex cache_mutex_;
  std::list<CachedDir> cache_order_;
  std::unordered_map<Fid, std::list<CachedDir>::iterator> cache_;
  std::unordered_map<Fid, std::pair<Fid, std::string>> seen_;
};

}  // namespace reel::mirror

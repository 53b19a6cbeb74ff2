// SPDX-License-Identifier: Apache-2.0
//
// The two seams between the mirror and the world: SourceTree (read the live source, by FID) and
// TargetTree (change the target, by directory handle and name). Each has a real implementation and a
// simulated one (tests/sim), so that the whole mirror runs in one thread, seeded, with faults.
//
// All names are raw bytes of one path component. No method ever resolves more than one component, so
// nothing can lead out of the tree. Unless said otherwise methods may be called from many threads.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reel/record.h"
#include "reel/result.h"

namespace reel::mirror {

enum class FileType : uint8_t { regular, directory, symlink, fifo, socket, char_device, block_device };

struct Time {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  friend auto operator<=>(const Time&, const Time&) = default;
};

// One inode in one of its lives: numbers are used again, birth times are not (where the file system
// has them; else zero).
struct Instance {
  uint64_t ino = 0;
  Time born;
  friend bool operator==(const Instance&, const Instance&) = default;
};

// What stat tells of an object.
struct Attributes {
  FileType type = FileType::regular;
  uint32_t mode = 0;  // permission bits with setuid, setgid, sticky (07777)
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;    // bytes; of a symlink the length of its text
  uint64_t blocks = 0;  // allocated, in 512-byte units
  uint32_t nlink = 0;
  uint64_t rdev = 0;
  Time mtime, ctime, atime, born;
  uint64_t ino = 0;
  // FS_*_FL that a mirror carries, 0 where the file system has none. Complete from SourceTree::stat
  // and TargetTree::stat(File&); list and lookup give only what needs no open (kStatxFlags).
  uint32_t inode_flags = 0;

  Instance instance() const { return {ino, born}; }
};

struct Xattr {
  std::string name, value;
  friend auto operator<=>(const Xattr&, const Xattr&) = default;
};

// An open regular file, on either side. Not thread-safe. Closing never fails visibly: a source file
// is only read, a target file is made durable by TargetTree::sync.
class File {
 public:
  virtual ~File() = default;
  virtual int fd() const { return -1; }  // a real file descriptor, or -1 in the simulation

  // What the file was when it was opened or made (inode_flags: kStatxFlags), where the tree had to look
  // anyway. Of a file that the target made it stays true until its attributes are set, but for size and times.
  std::optional<Attributes> as_opened;

  // Of a file that the target made: why it does not have the layout that it was to have (TargetTree::create).
  std::optional<Error> layout_refused;
};

struct SourceEntry {
  std::string_view name;
  Fid fid;
  Attributes attributes;
};

// The FID of an entry whose attributes are these, for a caller that knows it (same inode number and
// same ctime as when it was last asked); nullopt: ask the kernel.
using FidHint = std::function<std::optional<Fid>(std::string_view name, const Attributes&)>;

class SourceTree {
 public:
  virtual ~SourceTree() = default;

  virtual Fid root() const = 0;

  // Which mounting of its file system this is; no other one of this boot has the name. While it is the same, what was
  // read is still there, in the page cache or on the disk. Empty where that cannot be known.
  virtual std::string mounting() const { return ""; }
  // Whether ctime moves with every change that somebody could have looked before.
  virtual bool has_fine_ctime() const { return false; }

  // Attributes of a living object. not_found: it is gone (nlink 0 counts as gone, except for a
  // directory that is still someone's working directory: that too is gone).
  virtual Result<Attributes> stat(const Fid& fid) = 0;
  // What is at (parent, name) now. not_found: nothing, or the parent is gone, or something that does
  // not belong to the source (a mount point).
  virtual Result<SourceEntry> lookup(const Fid& parent, const std::string& name) = 0;
  // Calls `each` for every entry but "." and "..", in the order of the file system. An entry that
  // vanishes meanwhile is left out. not_found: the directory is gone.
  virtual Status list(const Fid& dir, const std::function<Status(const SourceEntry&)>& each,
                      const FidHint& hint = nullptr) = 0;
  virtual Result<std::string> read_link(const Fid& fid) = 0;
  // Sorted by name; only what a mirror copies (no trusted.overlay, no Lustre-internal names). `file`
  // is the object when it is open already, else null.
  virtual Result<std::vector<Xattr>> xattrs(const Fid& fid, File* file) = 0;
  // Whether somebody has the file open for writing or mapped for it: then its contents may change
  // without a further move of ctime (within one write(2), or by a store to a page that is dirty
  // already). Also true when that cannot be known. When false, any later change moves ctime.
  virtual Result<bool> being_written(File& file) = 0;
  // unsupported: its contents are elsewhere (an HSM archive), and are to stay there; they have not
  // changed since they were read, if size and mtime have not.
  virtual Result<std::unique_ptr<File>> open(const Fid& fid) = 0;
  // Of an open file: cheaper than by FID, and surely the one whose contents were read.
  virtual Result<Attributes> stat(File& file) = 0;

  // Changes whenever contents change, also where ctime is too coarse to show it or another machine writes; and what is
  // read after the call, and before the same was told again, no crash takes back from the source. nullopt: none here.
  virtual Result<std::optional<uint64_t>> data_version(File& file) {
    (void)file;
    return std::optional<uint64_t>();
  }
  // Of a Lustre: how a file (open, or null: a directory's new files) is spread over servers, for TargetTree::create and
  // set_layout. Empty: there is nothing to keep. unsupported: it cannot be kept (says why).
  virtual Result<std::string> layout(const Fid& fid, File* file) {
    (void)fid, (void)file;
    return std::string();
  }
};

// A directory of the target, held open. Shared between threads; closed with the last reference.
class TargetDir {
 public:
  virtual ~TargetDir() = default;
};
using TargetDirPtr = std::shared_ptr<TargetDir>;

struct TargetEntry {
  std::string_view name;
  Attributes attributes;
};

// Which attributes a call is to set. Order is the implementation's business (owner, contents, ACL,
// mode, times, flags).
struct AttributeChange {
  Attributes attributes;
  std::vector<Xattr> xattrs;  // the whole wanted set
};

struct CopyResult {
  uint64_t bytes = 0;         // bytes written to the target
  uint64_t bytes_cloned = 0;  // bytes shared by reflink
};

class TargetTree {
 public:
  virtual ~TargetTree() = default;

  // Which mounting of its file system this is: when it is another one, what had not been synced in the
  // one before may be gone. (Before Linux 6.8 it can look the same.)
  virtual std::string mounting() const = 0;
  virtual Result<TargetDirPtr> root() = 0;
  virtual Result<TargetDirPtr> open_dir(const TargetDirPtr& parent, const std::string& name) = 0;
  virtual Result<Attributes> stat(const TargetDirPtr& dir, const std::string& name) = 0;
  virtual Status list(const TargetDirPtr& dir, const std::function<Status(const TargetEntry&)>& each) = 0;

  virtual Result<Attributes> make_dir(const TargetDirPtr& dir, const std::string& name) = 0;  // mode 0700
  virtual Result<Attributes> make_symlink(const TargetDirPtr& dir, const std::string& name,
                                          const std::string& text) = 0;
  virtual Result<Attributes> make_node(const TargetDirPtr& dir, const std::string& name, FileType type,
                                       uint64_t rdev) = 0;
  virtual Status link(const TargetDirPtr& from, const std::string& from_name, const TargetDirPtr& to,
                      const std::string& to_name) = 0;
  // Never replaces: exists when something is at the new name.
  virtual Status rename(const TargetDirPtr& from, const std::string& from_name, const TargetDirPtr& to,
                        const std::string& to_name) = 0;
  virtual Status unlink(const TargetDirPtr& dir, const std::string& name) = 0;
  virtual Status remove_dir(const TargetDirPtr& dir, const std::string& name) = 0;

  // Whether it is a Lustre too: then a SourceTree's layouts are worth asking for.
  virtual bool keeps_layouts() const { return false; }
  // What files made in `dir` by others get.
  virtual Status set_layout(const TargetDirPtr& dir, const std::string& layout) {
    (void)dir, (void)layout;
    return ok();
  }
  // A new regular file (O_EXCL); created with `mode`, owner of the process, and `layout` unless that is empty. A layout
  // that cannot be had does not fail it: see File::layout_refused.
  virtual Result<std::unique_ptr<File>> create(const TargetDirPtr& dir, const std::string& name, uint32_t mode,
                                               const std::string& layout) = 0;
  // An existing regular file, for writing.
  virtual Result<std::unique_ptr<File>> open(const TargetDirPtr& dir, const std::string& name) = 0;
  // Makes the contents of `to` equal to those of `from`, holes too.
  //   fresh: `to` was just created and is empty.
  virtual Result<CopyResult> copy(SourceTree& source, File& from, File& to, uint64_t size, bool fresh) = 0;
  // Whether the file at (dir, name) is `known` and has the contents of `from` as it was opened, holes too. Changes
  // nothing. False also when it cannot tell; then copy() does.
  virtual bool has_contents(SourceTree& source, File& from, const TargetDirPtr& dir, const std::string& name,
                            const Instance& known) {
    (void)source, (void)from, (void)dir, (void)name, (void)known;
    return false;
  }
  // Owner, ACL, xattrs, mode, times, flags: only what differs is set. `file` is the open file when
  // there is one (then dir and name are not used), else null. An empty name means `dir` itself.
  virtual Status set_attributes(File* file, const TargetDirPtr& dir, const std::string& name,
                                const AttributeChange& change) = 0;
  virtual Result<Attributes> stat(File& file) = 0;

  // Everything done so far survives a crash of the machine.
  virtual Status sync() = 0;
  // Starts what sync() will have to do, and does not wait for it. Promises nothing. `failed` is called, from
  // another thread, when something could not be written: sync() of this tree says so from then on.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): who overrides it keeps `failed`.
  virtual void begin_sync(std::function<void()> failed) { (void)failed; }
};

}  // namespace reel::mirror

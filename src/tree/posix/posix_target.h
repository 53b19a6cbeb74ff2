// SPDX-License-Identifier: Apache-2.0
//
// The target as a directory of any Linux file system. Everything is done relative to a directory
// held open, one component at a time; symlinks and mounts inside the target are never crossed.
//
// What stands in the way of a change is taken away and not put back: an immutable or append-only
// flag of an object or its directory and, without root, a mode that keeps the owner out. Whoever
// changes entries of a directory therefore sets that directory's attributes afterwards.
#pragma once

#include <unistd.h>

#include <initializer_list>
#include <memory>
#include <string>

#include "tree/copy.h"
#include "tree/posix/flusher.h"
#include "tree/posix/posix_attributes.h"
#include "tree/tree.h"

namespace reel::mirror {

class PosixTarget final : public TargetTree {
 public:
  struct Options {
    // False: owners, privileged xattrs (trusted, security) and locking flags are left alone, as a
    // process without root can do no other.
    bool owners = ::geteuid() == 0;
    Throttle* throttle = nullptr;  // outlives the target
    bool is_lustre = false;        // taken for one whatever its file system says
  };

  static Result<std::unique_ptr<PosixTarget>> open(const std::string& path, Options options);
  static Result<std::unique_ptr<PosixTarget>> open(const std::string& path) { return open(path, Options()); }
  // The directory that is open.
  static std::unique_ptr<PosixTarget> open(Fd root, Options options);

  Result<TargetDirPtr> root() override { return root_; }
  Result<TargetDirPtr> open_dir(const TargetDirPtr& parent, const std::string& name) override;
  Result<Attributes> stat(const TargetDirPtr& dir, const std::string& name) override;
  Status list(const TargetDirPtr& dir, const std::function<Status(const TargetEntry&)>& each) override;

  Result<Attributes> make_dir(const TargetDirPtr& dir, const std::string& name) override;
  Result<Attributes> make_symlink(const TargetDirPtr& dir, const std::string& name, const std::string& text) override;
  Result<Attributes> make_node(const TargetDirPtr& dir, const std::string& name, FileType type, uint64_t rdev) override;
  std::string mounting() const override { return mounting_; }
  Status link(const TargetDirPtr& from, const std::string& from_name, const TargetDirPtr& to,
              const std::string& to_name) override;
  Status rename(const TargetDirPtr& from, const std::string& from_name, const TargetDirPtr& to,
                const std::string& to_name) override;
  Status unlink(const TargetDirPtr& dir, const std::string& name) override;
  Status remove_dir(const TargetDirPtr& dir, const std::string& name) override;

  bool keeps_layouts() const override { return is_lustre_; }
  Status set_layout(const TargetDirPtr& dir, const std::string& layout) override;
  Result<std::unique_ptr<File>> create(const TargetDirPtr& dir, const std::string& name, uint32_t mode,
                                       const std::string& layout) override;
  Result<std::unique_ptr<File>> open(const TargetDirPtr& dir, const std::string& name) override;
  Result<CopyResult> copy(SourceTree& source, File& from, File& to, uint64_t size, bool fresh) override;
  bool has_contents(SourceTree& source, File& from, const TargetDirPtr& dir, const std::string& name,
                    const Instance& known) override;
  Status set_attributes(File* file, const TargetDirPtr& dir, const std::string& name,
                        const AttributeChange& change) override;
  Result<Attributes> stat(File& file) override;
  Status sync() override;
  void begin_sync(std::function<void()> failed) override;

 private:
  // Something that may be in the way of a change: `name` in `dirfd`, or dirfd itself when empty.
  struct Place {
    int dirfd;
    const char* name;
    bool mode_too;  // without root: give the owner access
  };

  PosixTarget() = default;
  // An object and the flags that were in the way of a change of its names.
  struct Lifted {
    Fd fd;
    uint32_t flags;
  };
  // `attempt` returns a negative number and errno when it fails. When permission is missing, the
  // places are loosened and it is tried once more. `lifted` gets what was taken off places with a
  // name.
  int insist(std::initializer_list<Place> places, const std::function<int()>& attempt,
             std::vector<Lifted>* lifted = nullptr);
  bool loosen(const Place& place, std::vector<Lifted>* lifted);
  // The same for what changes a name, and nothing of the object: it gets its flags back, since
  // nothing later in the batch need set them. (Of a directory whose entries change, the batch sets
  // them.)
  Status change_name(std::initializer_list<Place> places, const char* what, const std::string& name,
                     const std::function<int()>& attempt);
  Status remove(const TargetDirPtr& dir, const std::string& name, int flags);

  static Result<Attributes> attributes_before(File* file, int fd);
  Status set_all(int fd, int readable, const Attributes& now, const AttributeChange& change);
  Status set_owner(int fd, const Attributes& now, const Attributes& wanted, bool& mode_unsure);
  Status set_xattrs(int fd, const Attributes& now, const std::vector<Xattr>& wanted, bool& mode_unsure);
  bool may_set_xattr(const std::string& name) const;

  TargetDirPtr root_;
  std::string mounting_;
  bool owners_ = true;
  bool is_lustre_ = false;
  uint32_t settable_flags_ = 0;
  Throttle* throttle_ = nullptr;
  Flusher flusher_;
};

}  // namespace reel::mirror

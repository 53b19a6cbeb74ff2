// SPDX-License-Identifier: Apache-2.0
#include "verify/verify.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <unordered_map>

#include "tree/lustre_calls.h"
#include "tree/posix/posix_attributes.h"
#include "verify/compare.h"
#include "verify/verify_text.h"
#include "verify/verify_walk.h"

namespace reel::mirror {
namespace {

constexpr std::string_view kPrivateDir = ".reel";  // a mirror's own, at the root of a target
constexpr uint64_t kHoleUnit = 64 << 10;           // at least; else the larger block size of the two

struct Side {
  Fd mount;
  Fd root;
  uint64_t device = 0, mount_id = 0;
  uint32_t flags = 0;  // inode flags that can be set here
};

// A name in a directory open on both sides.
struct Place {
  const std::string& path;  // of the name, from the root
  int source_dir, target_dir;
  const char* name;
};

Result<std::string> read_link(int dirfd, const char* name) {
  char text[PATH_MAX + 1];
  ssize_t size = ::readlinkat(dirfd, name, text, sizeof text);
  if (size < 0) return Error::from_errno(errno, "read symlink");
  return std::string(text, static_cast<size_t>(size));
}

// Which names are one object on either side.
class HardLinks {
 public:
  // Tells of a pair of objects with several names. True when just this pair was met before: then
  // everything but the name was compared already. Otherwise `conflict` may be filled.
  bool met(uint64_t source_ino, uint64_t target_ino, const std::string& path, std::optional<Difference>& conflict) {
    std::lock_guard lock(mutex_);
    auto [source, new_source] = by_source_.try_emplace(source_ino, Known{target_ino, path});
    auto [target, new_target] = by_target_.try_emplace(target_ino, Known{source_ino, path});
    bool same_source = new_source || source->second.partner == target_ino;
    bool same_target = new_target || target->second.partner == source_ino;
    if (same_source && same_target) return !new_source;
    auto linked = [](const Known& known) { return "linked to " + printable(known.path); };
    conflict = Difference{Difference::Kind::differs, path, "hard links",
                          same_source ? "not " + linked(target->second) : linked(source->second),
                          same_target ? "not " + linked(source->second) : linked(target->second)};
    return false;
  }

 private:
  struct Known {
    uint64_t partner;
    std::string path;
  };
  std::mutex mutex_;
  std::unordered_map<uint64_t, Known> by_source_, by_target_;
};

class Verifier {
 public:
  Verifier(const VerifyOptions& options, const VerifyEvents& events) : options_(options), events_(events) {}

  Status open(const std::string& source, const std::string& target);
  VerifySummary run();

 private:
  Result<Side> open_side(const std::string& path, bool clone);
  Result<std::optional<Found>> find(const Side& side, int dirfd, const Place& place);
  void list(const std::string& path, std::vector<std::string>& names);
  void visit(const std::string& path, const std::vector<std::string>& names, std::vector<std::string>& below);
  bool examine(const Place& place);
  bool is_own_state(const Place& place, const Found& source) const;
  void compare(const Place& place, const Attributes& source, const Attributes& target);
  Status compare_meta(const Place& place, FileType type);
  Status compare_xattrs(const Place& place, int source, int target);
  Status compare_data(const Place& place, uint64_t size);

  void differs(const Place& place, const std::string& what, const std::string& source = "",
               const std::string& target = "") {
    tell({Difference::Kind::differs, place.path, what, source, target});
  }
  void tell(const Difference& difference);
  void failed(const std::string& path, Error error);

  const VerifyOptions& options_;
  const VerifyEvents& events_;
  Side source_, target_;
  bool on_lustre_ = false;  // the source is
  std::string target_id_;   // that the mirror gave the target; empty when it is none
  HardLinks links_;
  std::mutex mutex_;  // of what follows, and of calling back
  VerifySummary summary_;
};

Result<Side> Verifier::open_side(const std::string& path, bool clone) {
  Side side;
  if (clone) side.mount = clone_mount(AT_FDCWD, path.c_str());
  side.root = Fd(side.mount ? open_no_atime(side.mount.get(), ".", O_RDONLY | O_DIRECTORY)
                            : open_no_atime(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY));
  if (!side.root) return Error::from_errno(errno, "open " + printable(path));
  TRY_ASSIGN(Found found, find_at(side.root.get(), ""));
  side.device = found.device;
  side.mount_id = found.mount_id;
  side.flags = settable_flags(side.root.get());
  return side;
}

Status Verifier::open(const std::string& source, const std::string& target) {
  TRY_ASSIGN(source_, open_side(source, true));
  TRY_ASSIGN(target_, open_side(target, false));
  on_lustre_ = options_.is_lustre || is_lustre(source_.root.get());
  Fd own(open_beneath(target_.root.get(), kPrivateDir.data(), O_RDONLY | O_DIRECTORY));
  Fd file(own ? open_beneath(own.get(), "id", O_RDONLY | O_NONBLOCK) : -1);
  char text[64];
  ssize_t size = file ? ::read(file.get(), text, sizeof text) : 0;
  if (size > 0) target_id_.assign(text, static_cast<size_t>(size));
  while (!target_id_.empty() && target_id_.back() == '\n') target_id_.pop_back();
  return ok();
}

void Verifier::tell(const Difference& difference) {
  std::lock_guard lock(mutex_);
  summary_.differences++;
  if (events_.difference) events_.difference(difference);
}

void Verifier::failed(const std::string& path, Error error) {
  std::lock_guard lock(mutex_);
  summary_.errors++;
  if (events_.error) events_.error(std::move(error).with(path.empty() ? "." : printable(path)));
}

// What a mirror would see at this place of one side.
Result<std::optional<Found>> Verifier::find(const Side& side, int dirfd, const Place& place) {
  if (place.path == kPrivateDir) return std::optional<Found>();
  Result<Found> found = find_at(dirfd, place.name);
  if (found.is(Code::not_found)) return std::optional<Found>();
  if (!found) return std::move(found).error();
  bool is_dir = found->attributes.type == FileType::directory;
  bool foreign = found->mount_id != side.mount_id || (is_dir && found->device != side.device);
  if (&side == &source_ && foreign) return std::optional<Found>();
  if (options_.excluded && options_.excluded(place.path, is_dir)) return std::optional<Found>();
  return std::optional<Found>(*std::move(found));
}

// The names on either side, each once.
void Verifier::list(const std::string& path, std::vector<std::string>& names) {
  for (const Side* side : {&source_, &target_}) {
    Fd dir(open_below(side->root.get(), path, O_RDONLY | O_DIRECTORY));
    // Gone or replaced since it was met: its parent was being changed, the rest will be seen.
    if (!dir && errno == ENOENT) continue;
    Status listed = dir ? each_name(dir.get(),
                                    [&](const char* name) {
                                      names.emplace_back(name);
                                      return ok();
                                    })
                        : Error::from_errno(errno, "open directory");
    if (!listed) {
      failed(path, std::move(listed).error());
      names.clear();  // half a comparison would call the other half missing
      return;
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

void Verifier::visit(const std::string& path, const std::vector<std::string>& names, std::vector<std::string>& below) {
  Fd source(open_below(source_.root.get(), path, O_PATH | O_DIRECTORY));
  int source_error = errno;
  Fd target(open_below(target_.root.get(), path, O_PATH | O_DIRECTORY));
  if (!source || !target) return failed(path, Error::from_errno(source ? errno : source_error, "open directory"));
  for (const std::string& name : names) {
    std::string whole = path.empty() ? name : path + "/" + name;
    if (examine({whole, source.get(), target.get(), name.c_str()})) below.push_back(whole);
  }
}

// Whether this is the state directory of the mirror that made the target: it may lie in the source, and
// is left out then.
bool Verifier::is_own_state(const Place& place, const Found& source) const {
  if (target_id_.empty() || source.attributes.type != FileType::directory) return false;
  Fd dir(open_beneath(place.source_dir, place.name, O_PATH | O_DIRECTORY));
  return dir && open_below(dir.get(), "targets/" + target_id_ + "/target", O_PATH);
}

// True for a directory on both sides.
bool Verifier::examine(const Place& place) {
  Result<std::optional<Found>> source = find(source_, place.source_dir, place);
  Result<std::optional<Found>> target = find(target_, place.target_dir, place);
  if (!source || !target) {
    failed(place.path, (source ? std::move(target) : std::move(source)).error());
    return false;
  }
  if (!*source && !*target) return false;
  if (*source && !*target && is_own_state(place, **source)) return false;
  if (!*source || !*target) {
    tell({*source ? Difference::Kind::missing : Difference::Kind::extra, place.path, "", "", ""});
    return false;
  }
  const Attributes &here = (*source)->attributes, &there = (*target)->attributes;
  compare(place, here, there);
  return here.type == FileType::directory && there.type == FileType::directory;
}

void Verifier::compare(const Place& place, const Attributes& source, const Attributes& target) {
  {
    std::lock_guard lock(mutex_);
    summary_.objects++;
  }
  if (source.type != target.type) return differs(place, "type", text_of_type(source.type), text_of_type(target.type));
  if (source.type != FileType::directory && (source.nlink > 1 || target.nlink > 1)) {
    std::optional<Difference> conflict;
    if (links_.met(source.ino, target.ino, place.path, conflict)) return;
    if (conflict) tell(*conflict);
  }
  bool sized = source.type == FileType::regular || source.type == FileType::symlink;
  bool device = source.type == FileType::char_device || source.type == FileType::block_device;
  if (source.mode != target.mode && source.type != FileType::symlink)
    differs(place, "mode", text_of_mode(source.mode), text_of_mode(target.mode));
  if (source.uid != target.uid) differs(place, "uid", std::to_string(source.uid), std::to_string(target.uid));
  if (source.gid != target.gid) differs(place, "gid", std::to_string(source.gid), std::to_string(target.gid));
  if (sized && source.size != target.size)
    differs(place, "size", std::to_string(source.size), std::to_string(target.size));
  if (source.mtime != target.mtime) differs(place, "mtime", text_of_time(source.mtime), text_of_time(target.mtime));
  if (device && source.rdev != target.rdev)
    differs(place, "device", text_of_device(source.rdev), text_of_device(target.rdev));
  if (source.type == FileType::symlink) {
    Result<std::string> here = read_link(place.source_dir, place.name);
    Result<std::string> there = read_link(place.target_dir, place.name);
    if (!here || !there)
      failed(place.path, (here ? std::move(there) : std::move(here)).error());
    else if (*here != *there)
      differs(place, "symlink", printable(*here), printable(*there));
  }
  Status more = ok();
  if (options_.level >= VerifyLevel::meta) more = compare_meta(place, source.type);
  if (!more) failed(place.path, std::move(more).error());
  if (options_.level < VerifyLevel::full || source.type != FileType::regular) return;
  if (source.size != target.size) return;
  more = compare_data(place, source.size);
  if (!more) failed(place.path, std::move(more).error());
}

Status Verifier::compare_meta(const Place& place, FileType type) {
  bool readable = type == FileType::regular || type == FileType::directory;
  uint32_t mask = readable ? source_.flags & target_.flags : 0;
  int flags = mask ? O_RDONLY | O_NONBLOCK : O_PATH;
  Fd source(open_beneath(place.source_dir, place.name, flags));
  if (!source) return Error::from_errno(errno, "open on the source");
  Fd target(open_beneath(place.target_dir, place.name, flags));
  if (!target) return Error::from_errno(errno, "open on the target");
  TRY(compare_xattrs(place, source.get(), target.get()));
  if (!mask) return ok();
  TRY_ASSIGN(uint32_t here, get_flags(source.get()));
  TRY_ASSIGN(uint32_t there, get_flags(target.get()));
  if ((here ^ there) & mask) differs(place, "flags", text_of_flags(here & mask), text_of_flags(there & mask));
  return ok();
}

Status Verifier::compare_xattrs(const Place& place, int source, int target) {
  TRY_ASSIGN(std::vector<Xattr> here, read_xattrs(source));
  TRY_ASSIGN(std::vector<Xattr> there, read_xattrs(target));
  auto left = here.begin(), right = there.begin();
  while (left != here.end() || right != there.end()) {
    bool in_source = left != here.end() && (right == there.end() || left->name <= right->name);
    bool in_target = right != there.end() && (left == here.end() || right->name <= left->name);
    const Xattr* l = in_source ? &*left++ : nullptr;
    const Xattr* r = in_target ? &*right++ : nullptr;
    if (l && r && l->value == r->value) continue;
    differs(place, "xattr " + printable(l ? l->name : r->name), text_of_value(l), text_of_value(r));
  }
  return ok();
}

Status Verifier::compare_data(const Place& place, uint64_t size) {
  if (size == 0) return ok();
  Fd here(open_beneath(place.source_dir, place.name, O_RDONLY | O_NONBLOCK));
  if (!here) return Error::from_errno(errno, "open on the source");
  if (on_lustre_ && !options_.recall && is_released(here.get())) {
    std::lock_guard lock(mutex_);
    summary_.released++;
    return ok();
  }
  Fd there(open_beneath(place.target_dir, place.name, O_RDONLY | O_NONBLOCK));
  if (!there) return Error::from_errno(errno, "open on the target");
  struct stat source, target;
  if (::fstat(here.get(), &source) != 0 || ::fstat(there.get(), &target) != 0) return Error::from_errno(errno, "stat");
  uint64_t unit =
      std::max({kHoleUnit, static_cast<uint64_t>(source.st_blksize), static_cast<uint64_t>(target.st_blksize)});
  TRY_ASSIGN(Comparison found, compare_contents(here.get(), there.get(), size, unit));
  if (found.first_difference) differs(place, "contents at byte " + std::to_string(*found.first_difference));
  if (found.hole_difference)
    differs(place, "holes at byte " + std::to_string(*found.hole_difference), found.source_has_data ? "data" : "hole",
            found.source_has_data ? "hole" : "data");
  std::lock_guard lock(mutex_);
  summary_.bytes += found.bytes;
  return ok();
}

VerifySummary Verifier::run() {
  std::string root;
  Place place{root, source_.root.get(), target_.root.get(), "."};
  Result<Found> source = find_at(source_.root.get(), ""), target = find_at(target_.root.get(), "");
  if (!source || !target)
    failed(root, (source ? std::move(target) : std::move(source)).error());
  else
    compare(place, source->attributes, target->attributes);
  walk_pairs(
      options_.jobs, [&](const std::string& path, std::vector<std::string>& names) { list(path, names); },
      [&](const std::string& path, const std::vector<std::string>& names, std::vector<std::string>& below) {
        visit(path, names, below);
      });
  return summary_;
}

}  // namespace

Result<VerifySummary> verify(const std::string& source, const std::string& target, const VerifyOptions& options,
                             const VerifyEvents& events) {
  Verifier verifier(options, events);
  TRY(verifier.open(source, target));
  return verifier.run();
}

}  // namespace reel::mirror

// SPDX-License-Identifier: Apache-2.0
//
// open_site: the MDTs of a mounted Lustre. One MDT is a device node, a directory to force commits with,
// and what lctl says.
//
// A commit is forced by changing something on that MDT and syncing it: syncing what was not changed
// commits nothing (osd-ldiskfs syncs up to the last transaction of that one inode). What is changed is the
// time of MOUNT/.reel/MDTxxxx, a directory that the admin has made on that MDT.
#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/codec.h"
#include "base/handle.h"
#include "base/real_path.h"
#include "source/lustre/char_device.h"
#include "source/lustre/lustre.h"
#include "source/lustre/mdt_view.h"
#include "source/lustre/site_names.h"
#include "source/mounts.h"

namespace reel::source::lustre {
namespace {

constexpr unsigned long kLustreMagic = 0x0bd00bd0;
constexpr unsigned long kGetMdtIndex = _IOR('f', 175, int);
constexpr int kLustreHandle = 0x97;  // { FID, parent's FID }
constexpr size_t kViewMax = 16u << 20;

// What the command prints; empty when it cannot be run.
std::string output_of(const std::string& command) {
  FILE* pipe = ::popen(("timeout 20 " + command + " 2>/dev/null").c_str(), "re");
  if (!pipe) return "";
  std::string text;
  char buffer[4096];
  for (size_t got; text.size() < kViewMax && (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    text.append(buffer, got);
  ::pclose(pipe);
  return text;
}

Fid lustre_fid(int fd) {
  FileHandle handle = {};
  handle.raw()->handle_bytes = sizeof handle.storage - sizeof(struct file_handle);
  int mount = 0;
  if (::name_to_handle_at(fd, "", handle.raw(), &mount, AT_EMPTY_PATH) != 0) return {};
  if (handle.raw()->handle_type != kLustreHandle || handle.raw()->handle_bytes < 16) return {};
  const unsigned char* data = handle.raw()->f_handle;
  return {load_le<uint64_t>(data), load_le<uint32_t>(data + 8), load_le<uint32_t>(data + 12)};
}

class MountedMdt final : public Mdt {
 public:
  MountedMdt(std::string name, unsigned index, std::string mount, std::string lctl)
      : name_(std::move(name)),
        device_("/dev/changelog-" + name_),
        mount_(std::move(mount)),
        index_(index),
        lctl_(std::move(lctl)) {}

  const std::string& name() const override { return name_; }
  unsigned index() const override { return index_; }
  Result<std::unique_ptr<ChangelogDevice>> open_device() override { return open_char_device(device_); }
  Status clear(uint32_t user_id, uint64_t index) override { return clear_char_device(device_, user_id, index); }
  Status check_user(const MdtUser& user) override { return check_char_device_user(device_, user); }
  Fid fence_object() const override { return fence_fid_; }

  Result<Fence> fence() override {
    Fd dir = fence_dir();
    if (!dir) return Fence::none;
    // Opened for each use: an open directory would keep the file system busy.
    if (::futimens(dir.get(), nullptr) != 0) {
      if (errno == EROFS || errno == EPERM || errno == EACCES) return Fence::none;
      return Error::from_errno(errno, "setting the times of " + fence_path());
    }
    if (::fsync(dir.get()) != 0) return Error::from_errno(errno, "syncing " + fence_path());
    return Fence::committed;
  }

  MdtView view() override {
    if (lctl_.empty()) return {};
    std::string mdd = "'mdd." + name_ + ".changelog_users' 'mdd." + name_ + ".changelog_current_mask'";
    std::string text = output_of(lctl_ + " get_param " + mdd + " 'mdt." + name_ +
                                 ".recovery_status' nodemap.active 'nodemap.*.audit_mode'");
    // How often the MDT has been mounted is known to us, its clients.
    text += output_of("lctl get_param 'mdc." + name_ + "-mdc-*.import'");
    return parse_view(text, name_);
  }

 private:
  std::string fence_path() const { return mount_ + "/.reel/" + name_.substr(name_.rfind('-') + 1); }

  // The directory, if it is there and on this MDT; and remembers its FID.
  Fd fence_dir() {
    Fd dir(::open(fence_path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    int on = -1;
    if (!dir || ::ioctl(dir.get(), kGetMdtIndex, &on) != 0 || on != static_cast<int>(index_)) return Fd();
    fence_fid_ = lustre_fid(dir.get());
    return fence_fid_.is_zero() ? Fd() : std::move(dir);
  }

  const std::string name_, device_, mount_;
  const unsigned index_;
  const std::string lctl_;
  Fid fence_fid_;
};

}  // namespace

Result<Site> open_site(const std::string& mount, const SiteOptions& options) {
  TRY_ASSIGN(std::string path, real_path(mount));
  struct statfs fs;
  if (::statfs(path.c_str(), &fs) != 0) return Error::from_errno(errno, path);
  if (static_cast<unsigned long>(fs.f_type) != kLustreMagic)
    return Error(Code::unsupported, path + " is not on a Lustre file system");
  Site site;
  MountReader mounts;
  for (Mount entry; mounts.next(entry);)
    if (path == entry.point) site.fsname = fsname_of(entry.device);
  if (site.fsname.empty())
    return Error(Code::unsupported, path + " is not where a Lustre is mounted; give the mount point itself");
  TRY_ASSIGN(std::vector<std::string> nodes, Env::posix().list_dir("/dev"));
  for (const auto& [index, name] : mdts_of(site.fsname, nodes))
    site.mdts.push_back(std::make_unique<MountedMdt>(name, index, path, options.lctl));
  if (site.mdts.empty())
    return Error(Code::not_found, "/dev/changelog-" + site.fsname + "-MDT*: there is none; is " + path +
                                      " mounted by a client of 2.12 or later?");
  return site;
}

}  // namespace reel::source::lustre

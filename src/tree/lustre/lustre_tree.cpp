// SPDX-License-Identifier: Apache-2.0
#include "tree/lustre/lustre_tree.h"

#include <fcntl.h>
#include <sys/vfs.h>

#include <cerrno>

#include "tree/lustre_calls.h"

namespace reel::mirror {

Result<Fd> open_in_fid_directory(int root, const Fid& fid, int flags) {
  std::string path = ".lustre/fid/" + to_string(fid);
  Fd fd = open_below(root, path, flags | O_NOFOLLOW);
  if (!fd && errno == EPERM && (flags & O_NOATIME)) fd = open_below(root, path, (flags & ~O_NOATIME) | O_NOFOLLOW);
  if (!fd) return Error::from_errno(errno, "open " + to_string(fid));
  return fd;
}

Result<std::unique_ptr<PosixSource>> open_lustre_tree(const std::string& mount, const std::string& hidden,
                                                      bool recall) {
  struct statfs fs;
  if (::statfs(mount.c_str(), &fs) != 0) return Error::from_errno(errno, "source lustre:" + printable(mount));
  if (static_cast<unsigned long>(fs.f_type) != kLustreMagic) {
    char type[32];
    std::snprintf(type, sizeof type, "0x%lx", static_cast<unsigned long>(fs.f_type));
    return Error(Code::unsupported,
                 "source lustre:" + printable(mount) + ": there is no Lustre (the file system has the type " + type +
                     "); give the mount point of one, or leave out \"lustre:\" to mirror a directory");
  }
  PosixSource::Options options;
  options.hidden = hidden;
  options.opener = open_in_fid_directory;
  options.is_lustre = true;
  options.recall = recall;
  return PosixSource::open(mount, options);
}

}  // namespace reel::mirror

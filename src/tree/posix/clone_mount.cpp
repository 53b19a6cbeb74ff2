// SPDX-License-Identifier: Apache-2.0
//
// In a file of its own: the headers of mounts and of inode flags cannot be included together.
#include <fcntl.h>
#include <sys/mount.h>

#include "tree/posix/posix_attributes.h"

namespace reel::mirror {

Fd clone_mount(int dirfd, const char* path) {
  Fd tree(::open_tree(dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  if (!tree) return Fd();
  struct mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME;
  attr.attr_clr = MOUNT_ATTR__ATIME;
  // Without these the tree is as right as the original mount is.
  ::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attr, sizeof attr);
  return tree;
}

}  // namespace reel::mirror

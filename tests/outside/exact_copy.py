# SPDX-License-Identifier: Apache-2.0
#
# Makes TARGET equal to SOURCE the plain way: everything away, everything copied. It is what the
# harness is tested with in place of reel (plain_reel.py), and what the check is tested on.
#
#   python3 exact_copy.py SOURCE TARGET
import fcntl
import os
import stat
import struct
import sys

import check
import ops

XATTR = b"/proc/self/fd/%d/%s"


def copy_data(a, b, size):
    os.ftruncate(b, size)
    for start, end in check.data_map(a, size):
        while start < end:
            data = os.pread(a, min(1 << 20, end - start), start)
            if not data:
                break
            start += os.pwrite(b, data, start)


def copy_attributes(a, b, name_a, name_b, s):
    """Owner before mode (chown takes setuid away), times last."""
    os.chown(name_b, s.st_uid, s.st_gid, dir_fd=b, follow_symlinks=False)
    wanted, there = check.xattrs(XATTR % (a, name_a)) or {}, check.xattrs(XATTR % (b, name_b)) or {}
    for key in there.keys() - wanted.keys():
        os.removexattr(XATTR % (b, name_b), key, follow_symlinks=False)
    for key, value in wanted.items():
        os.setxattr(XATTR % (b, name_b), key, value, follow_symlinks=False)
    if not stat.S_ISLNK(s.st_mode):
        node = os.open(name_b, os.O_PATH | os.O_NOFOLLOW, dir_fd=b)
        os.chmod("/proc/self/fd/%d" % node, stat.S_IMODE(s.st_mode))
        os.close(node)
    os.utime(name_b, ns=(s.st_atime_ns, s.st_mtime_ns), dir_fd=b, follow_symlinks=False)


def copy_flags(a, b, name_a, name_b):
    pair = [os.open(n, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd) for n, fd in ((name_a, a), (name_b, b))]
    try:
        value = bytearray(8)
        fcntl.ioctl(pair[0], ops.FS_IOC_GETFLAGS, value, True)
        ops.set_flag(pair[1], struct.unpack_from("=L", value)[0] & 0xF0, True)
    except OSError:
        pass  # one of the two file systems has no flags
    finally:
        for fd in pair:
            os.close(fd)


class Copy:
    def __init__(self, source, target):
        self.root = [os.open(p, os.O_RDONLY | os.O_DIRECTORY) for p in (source, target)]
        self.first = {}  # inode with several links -> descriptor of its copy

    def run(self):
        for fd, name, is_dir in ops.walk(self.root[1]):
            if not is_dir:
                os.unlink(name, dir_fd=fd)
            else:
                os.rmdir(name, dir_fd=fd)
        stack = [(*self.root, None, None, None, ops.list_dir(self.root[0]))]
        while stack:
            a, b, up, name, s, todo = stack[-1]
            if todo:
                child, is_dir = todo.pop()
                s = os.stat(child, dir_fd=a, follow_symlinks=False)
                if is_dir:
                    os.mkdir(child, 0o700, dir_fd=b)
                    sub = ops.open_dir(a, child)
                    stack.append((sub, ops.open_dir(b, child), (a, b), child, s, ops.list_dir(sub)))
                else:
                    self.other(a, b, child, s)
                continue
            stack.pop()
            if up:
                copy_attributes(*up, name, name, s)
                copy_flags(*up, name, name)
                os.close(a), os.close(b)
        copy_attributes(*self.root, b".", b".", os.fstat(self.root[0]))
        for fd in [*self.first.values(), *self.root]:
            os.close(fd)

    def other(self, a, b, name, s):
        key = (s.st_dev, s.st_ino)
        if key in self.first:
            os.link("/proc/self/fd/%d" % self.first[key], name, dst_dir_fd=b, follow_symlinks=True)
            return
        kind = stat.S_IFMT(s.st_mode)
        if kind == stat.S_IFREG:
            x = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME, dir_fd=a)
            y = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=b)
            copy_data(x, y, s.st_size)
            os.close(x), os.close(y)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=a), name, dir_fd=b)
        else:
            os.mknod(name, kind | 0o600, s.st_rdev, dir_fd=b)
        copy_attributes(a, b, name, name, s)
        if kind == stat.S_IFREG:
            copy_flags(a, b, name, name)
        if s.st_nlink > 1:
            self.first[key] = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=b)


def exact_copy(source, target):
    check.many_open_files()
    Copy(source, target).run()


if __name__ == "__main__":
    exact_copy(*sys.argv[1:3])

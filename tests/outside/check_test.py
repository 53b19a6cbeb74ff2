# SPDX-License-Identifier: Apache-2.0
#
# The check is checked: for every pair of file systems a tree with everything in it is copied exactly
# and found equal; then each property is broken once and must be reported, and nothing else.
import contextlib
import os
import stat
import sys

import check
import exact_copy
import mounts
import ops


def make_tree(root):
    """One of everything."""
    a = ops.Actor(root, None)
    do = a.run
    for op in [
        ["mkdir", "S/d", 0o755], ["create", "S/d/file", 0o644, 300000, 5], ["link", "S/d/file", "S/hard"],
        ["create", "S/one", 0o644, 100, 1], ["create", "S/two", 0o644, 100, 1], ["symlink", "d/file", "S/sym"],
        ["mknod", "S/fifo", stat.S_IFIFO | 0o600, 0, 0], ["mknod", "S/sock", stat.S_IFSOCK | 0o600, 0, 0],
        ["mknod", "S/char", stat.S_IFCHR | 0o600, 240, 7], ["mknod", "S/block", stat.S_IFBLK | 0o600, 240, 262143],
        ["create", "S/sparse", 0o644, 10, 3], ["write", "S/sparse", 1 << 20, 5000, 4], ["truncate", "S/sparse", 3 << 20],
        ["create", "S/zeros", 0o644, 1 << 18, 11], ["create", "S/suid", 0o644, 5, 1], ["chmod", "S/suid", 0o6755],
        ["mkdir", "S/sticky", 0o755], ["chmod", "S/sticky", 0o1777], ["deep", "S/deep", 24, 3],
        ["create", "S/" + "n" * 255, 0o644, 1, 1], ["create", "S/\xff\n\x01", 0o644, 1, 1], ["create", "S/.reel-x", 0o644, 1, 1],
        ["setxattr", "S/one", "user.k", "v", 0], ["setxattr", "S/sym", "trusted.k", "v", 0], ["setxattr", "S/d", "user.d", "", 0],
        ["setacl", "S/two", False, [(1, 7, 2**32 - 1), (2, 5, 1000), (4, 5, 2**32 - 1), (0x10, 7, 2**32 - 1), (0x20, 0, 2**32 - 1)]],
        ["setacl", "S/d", True, [(1, 7, 2**32 - 1), (4, 5, 2**32 - 1), (0x20, 0, 2**32 - 1)]],
        ["create", "S/prealloc", 0o644, 10, 2], ["fallocate", "S/prealloc", 0, 0, 1 << 20], ["write", "S/prealloc", 1 << 19, 4096, 1],
        ["flag", "S/one", ops.FS_NODUMP, True],
    ]:
        if not do(op):
            raise RuntimeError("cannot make the tree: %s" % op)
    for name, ns in (("one", -1), ("sym", 1234567890123456789), ("fifo", 5), ("d", -10**18), ("sock", 2**33 * 10**9 + 1)):
        do(["utimes", "S/" + name, ns])
    a.close()


def keep_times(path, change):
    """Does the change, then puts the times back."""
    def wrapped(actor):
        parent = path.rpartition("/")[0]
        before = []
        for p in (parent, path):
            with actor.at(p) as (fd, name), contextlib.suppress(FileNotFoundError):
                before.append((p, os.stat(name, dir_fd=fd, follow_symlinks=False)))
        change(actor)
        for p, s in reversed(before):
            with contextlib.suppress(FileNotFoundError):
                actor.utimes(p, s.st_mtime_ns)
    return wrapped


def ops_of(*todo):
    def change(actor):
        for op in todo:
            getattr(actor, op[0])(*op[1:])
    return change


BREAKS = [  # (what must be said, the path whose times are kept, the operations on the target)
    ("missing on target: one", "S/one", [["unlink", "S/one"]]),
    ("only on target: extra", "S/extra", [["create", "S/extra", 0o644, 1, 1]]),
    ("missing on target: \\xff", "S/\xff\n\x01", [["unlink", "S/\xff\n\x01"]]),
    ("only on target: .reel-y", "S/.reel-y", [["create", "S/.reel-y", 0o644, 1, 1]]),
    ("only on target: d/.reel", "S/d/.reel", [["mkdir", "S/d/.reel", 0o755]]),
    ("type differs: fifo", "S/fifo", [["unlink", "S/fifo"], ["create", "S/fifo", 0o600, 0, 1]]),
    ("contents differ: d/file: at byte 299999", "S/d/file", [["write", "S/d/file", 299999, 1, 77]]),
    ("contents differ: sparse: at byte 1048576", "S/sparse", [["write", "S/sparse", 1 << 20, 1, 88]]),
    ("size differs: one", "S/one", [["truncate", "S/one", 101]]),
    ("mode differs: suid: 6755, target 0755", "S/suid", [["chmod", "S/suid", 0o755]]),
    ("mode differs: sticky: 1777, target 0777", "S/sticky", [["chmod", "S/sticky", 0o777]]),
    ("mode differs: .:", "S/one", [["chmod", "S", 0o711]]),
    ("uid differs: sym", "S/sym", [["chown", "S/sym", 7, 0]]),
    ("gid differs: char", "S/char", [["chown", "S/char", 0, 7]]),
    ("mtime differs: one (file): -1.999999999", None, [["utimes", "S/one", -2]]),
    ("mtime differs: sym (symlink)", None, [["utimes", "S/sym", 1234567890123456788]]),
    ("mtime differs: d (directory)", None, [["utimes", "S/d", -10**18 + 1]]),
    ("mtime differs: fifo", None, [["utimes", "S/fifo", 6]]),
    ("mtime differs: .", None, [["utimes", "S", 6]]),
    ("xattr differs: one: user.k", None, [["setxattr", "S/one", "user.k", "w", 0]]),
    ("xattr differs: sym: trusted.k", None, [["rmxattr", "S/sym", "trusted.k"]]),
    ("xattr differs: two: user.new", None, [["setxattr", "S/two", "user.new", "", 0]]),
    ("xattr differs: two: system.posix_acl_access", None, [["setacl", "S/two", False, [
        (1, 7, 2**32 - 1), (2, 4, 1000), (4, 5, 2**32 - 1), (0x10, 7, 2**32 - 1), (0x20, 0, 2**32 - 1)]]]),
    ("xattr differs: d: system.posix_acl_default", None, [["rmxattr", "S/d", "system.posix_acl_default"]]),
    ("hard link missing: ", "S/hard", [["copy_out", "S/hard"]]),
    ("hard link too many: ", "S/two", [["relink", "S/one", "S/two"]]),
    ("hole filled: sparse: bytes 2097152-", "S/sparse", [["zero", "S/sparse", 2 << 20, 4096]]),
    ("hole made: zeros: bytes 65536-", "S/zeros", [["fallocate", "S/zeros", ops.PUNCH, 65536, 65536]]),
    ("device differs: block: 240:262143, target 240:3", "S/block", [["unlink", "S/block"], ["mknod", "S/block", stat.S_IFBLK | 0o600, 240, 3]]),
    ("symlink text differs: sym", "S/sym", [["unlink", "S/sym"], ["symlink", "d/fil", "S/sym"], ["setxattr", "S/sym", "trusted.k", "v", 0]]),
    ("inode flag differs: one: nodump", None, [["flag", "S/one", ops.FS_NODUMP, False]]),
]


class Breaker(ops.Actor):
    def copy_out(self, path):
        """The name gets an object of its own, with the same contents and attributes."""
        with self.at(path) as (fd, name):
            s = os.stat(name, dir_fd=fd)
            data = self.read(path)
            os.unlink(name, dir_fd=fd)
            new = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=fd)
            os.write(new, data)
            os.fchmod(new, stat.S_IMODE(s.st_mode))
            os.close(new)

    def relink(self, path, to):
        self.unlink(to)
        self.link(path, to)

    def zero(self, path, offset, length):
        with self.file(path) as fd:
            os.pwrite(fd, bytes(length), offset)

    def read(self, path):
        with self.file(path, os.O_RDONLY) as fd:
            return os.read(fd, 1 << 20)


def deep_break(actor):
    path = "S/deep/" + "/".join(("deep%d" % i).ljust(200, "-") for i in range(24)) + "/f1"
    keep_times(path, ops_of(["write", path, 7, 1, 99]))(actor)


def one_pair(bench, kinds):
    source, target = (bench.mount(k, 512) + "/tree" for k in kinds)
    os.mkdir(source), os.mkdir(target)
    make_tree(source)
    wrong = 0

    def expect(label, lines, want):
        nonlocal wrong
        # Breaking one property may move another with it; the first must be there, and without it nothing.
        fine = any(line.startswith(want) for line in lines) if want else not lines
        if not fine:
            wrong += 1
            print("%s -> %s: %s: wanted %r, got %s" % (*kinds, label, want, lines[:5]))

    def restore():
        exact_copy.exact_copy(source, target)
        os.mkdir(target + "/.reel")
        os.utime(target, ns=(0, os.stat(source).st_mtime_ns))

    restore()
    expect("equal", check.compare(source, target), None)
    for want, path, todo in BREAKS:
        actor = Breaker(target, None)
        change = ops_of(*todo)
        (keep_times(path, change) if path else change)(actor)
        actor.close()
        expect(want, check.compare(source, target), want)
        restore()
    actor = Breaker(target, None)
    deep_break(actor)
    actor.close()
    expect("deep", check.compare(source, target), "contents differ: deep/")
    restore()
    expect("restored", check.compare(source, target), None)
    return wrong


def main():
    mounts.need_kinds(*mounts.KINDS)
    mounts.enter_own_world()
    os.umask(0o022)
    pairs = [("ext4", "ext4"), ("xfs", "btrfs"), ("btrfs", "tmpfs"), ("tmpfs", "xfs")]
    if os.environ.get("REEL_LONG"):
        pairs = [(a, b) for a in mounts.KINDS for b in mounts.KINDS]
    wrong = 0
    with mounts.Bench() as bench:
        for pair in pairs:
            wrong += one_pair(bench, pair)
            for point in list(bench.mounts[1:]):
                bench.unmount(point)
    print("%d pairs, %d properties each, %d wrong" % (len(pairs), len(BREAKS) + 1, wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

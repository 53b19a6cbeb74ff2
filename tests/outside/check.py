# SPDX-License-Identifier: Apache-2.0
#
# The outside check: is TARGET equal to SOURCE? It shares nothing with reel, so that a mistake reel
# makes both when it mirrors and when it verifies is still found. It prints one line for each
# difference and exits 0 (equal), 1 (different) or 2 (could not check).
#
#   python3 check.py SOURCE TARGET [--no-holes] [--no-flags] [--no-times] [--max N]
#
# Compared: names as bytes, types, contents (every byte of it that is not a hole on both sides), mode
# with setuid, setgid and sticky, uid, gid, mtime to the nanosecond of every object, all extended
# attributes (ACLs are among them as system.posix_acl_*), how names are grouped into hard links,
# holes, device numbers, symlink texts, inode flags that both sides know. Not compared: atime and
# ctime, link counts (links may lead out of the tree), sizes and times of directories' storage, and
# the name `.reel` at the target's root, which is reel's own.
#
# Holes. After a sync and with the file's clean pages dropped, the two SEEK_DATA/SEEK_HOLE maps are
# compared in units of the larger of both block sizes: with equal block sizes that is exact. A unit
# that is data on one side only is a difference, with two exceptions, because a file system changes
# its own map there without anybody writing:
#   - target data over blocks that the source has allocated but never written (FIEMAP: unwritten or
#     delayed). Whether SEEK_DATA calls those data depends on what the page cache holds.
#   - target data over a hole of an xfs source, in an aligned 128 KiB in which the source has data:
#     before write-back, xfs calls what it reserves around a write to a shared extent (cowextsize) data.
#   - a target hole of at most 32 KiB where an ext4 source has zeros: ext4 turns short unwritten
#     extents into written zeros when it writes back (extent_max_zeroout_kb).
#
# Paths are never put together: both trees are walked by directory descriptors, so that depth has no
# limit but the number of open files. Only regular files are ever opened.
import argparse
import ctypes
import errno
import fcntl
import os
import resource
import stat
import struct
import sys

CHUNK = 1 << 20
EXT4_MAGIC = 0xEF53
XFS_MAGIC = 0x58465342
ZEROOUT = 32 << 10
COW_RESERVE = 128 << 10
FS_IOC_GETFLAGS = 0x80086601
FS_IOC_FIEMAP = 0xC020660B
FIEMAP_SYNC = 1
FIEMAP_DELALLOC_OR_UNWRITTEN = 0x4 | 0x800
# The flags that a user sets (chattr) and that more than one file system keeps.
USER_FLAGS = {0x8: "sync", 0x10: "immutable", 0x20: "append-only", 0x40: "nodump", 0x80: "noatime"}
FLAGS_OF = {EXT4_MAGIC: 0xF8, XFS_MAGIC: 0xF8, 0x9123683E: 0xF8, 0x01021994: 0xF0}

# What xfs shows a second time, in its own form, when there is an ACL.
SHADOWS = ("trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT")

libc = ctypes.CDLL(None, use_errno=True)

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
         stat.S_IFSOCK: "socket", stat.S_IFCHR: "char device", stat.S_IFBLK: "block device"}


def show(name):
    """Bytes as text on one line, without loss."""
    return "".join(chr(b) if 32 < b < 127 and b != 92 else "\\x%02x" % b for b in name)


def fs_magic(fd):
    buf = ctypes.create_string_buffer(256)
    if libc.fstatfs(fd, buf) != 0:
        return 0
    return struct.unpack_from("q", buf)[0]


def syncfs(fd):
    if libc.syncfs(fd) != 0:
        raise OSError(ctypes.get_errno(), "syncfs")


def proc_path(dirfd, name):
    return b"/proc/self/fd/%d/%s" % (dirfd, name)


def xattrs(path):
    """All extended attributes of exactly this object; None when the file system has none."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP:
            return None
        raise
    return {n: os.getxattr(path, n, follow_symlinks=False) for n in names if n not in SHADOWS}


def data_map(fd, size):
    """[(start, end)] of what SEEK_DATA calls data, below size."""
    ranges, at = [], 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:
                break
            if e.errno == errno.EINVAL:
                return [(0, size)]
            raise
        if start >= size:
            break
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        ranges.append((start, end))
        at = end
    return ranges


def widen(ranges, unit, size):
    """The ranges in whole units, joined where they touch."""
    out = []
    for start, end in ranges:
        start, end = start // unit * unit, min(-(-end // unit) * unit, size)
        if out and out[-1][1] >= start:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def minus(a, b):
    """The parts of the ranges a that are in no range of b; both sorted and disjoint."""
    out, j = [], 0
    for start, end in a:
        while j < len(b) and b[j][1] <= start:
            j += 1
        k = j
        while start < end and k < len(b) and b[k][0] < end:
            if b[k][0] > start:
                out.append((start, b[k][0]))
            start = max(start, b[k][1])
            k += 1
        if start < end:
            out.append((start, end))
    return out


def union(a, b):
    return widen(sorted(a + b), 1, max([e for _, e in a + b], default=0))


def unwritten_map(fd, size):
    """[(start, end)] of extents that are allocated and not written; empty without FIEMAP."""
    ranges, at, room = [], 0, 64
    while at < size:
        req = bytearray(struct.pack("=QQLLLL", at, size - at, FIEMAP_SYNC, 0, room, 0) + bytes(56 * room))
        try:
            fcntl.ioctl(fd, FS_IOC_FIEMAP, req, True)
        except OSError:
            return ranges
        count = struct.unpack_from("=L", req, 20)[0]
        if count == 0:
            break
        for i in range(count):
            logical, _, length = struct.unpack_from("=QQQ", req, 32 + 56 * i)
            flags = struct.unpack_from("=L", req, 32 + 56 * i + 40)[0]
            at = logical + length
            if flags & FIEMAP_DELALLOC_OR_UNWRITTEN:
                ranges.append((logical, at))
            if flags & 1:
                return ranges
    return ranges


def is_zero(fd, start, end):
    while start < end:
        data = os.pread(fd, min(CHUNK, end - start), start)
        if not data or data.count(0) != len(data):
            return False
        start += len(data)
    return True


class Walk:
    """One pair of trees. differences() yields lines."""

    def __init__(self, source, target, options):
        self.options = options
        self.root = (os.open(source, os.O_RDONLY | os.O_DIRECTORY), os.open(target, os.O_RDONLY | os.O_DIRECTORY))
        for fd in self.root:
            syncfs(fd)
        self.magic = tuple(fs_magic(fd) for fd in self.root)
        self.forward, self.backward = {}, {}  # (dev, ino) of a hard-linked object -> (the other's, name)
        self.count = 0
        self.bytes = 0

    def close(self):
        for fd in self.root:
            os.close(fd)

    def differences(self):
        yield from self.attributes(b".", os.fstat(self.root[0]), os.fstat(self.root[1]),
                                   *(b"/proc/self/fd/%d/." % fd for fd in self.root))
        yield from self.flags(b".", *self.root)
        # Each level: its pair of descriptors, its path, the names still to do.
        stack = [(self.root, b"", None)]
        while stack:
            fds, path, todo = stack.pop()
            if todo is None:
                names = [set(os.listdir(b"/proc/self/fd/%d" % fd)) for fd in fds]
                if path == b"":
                    names[1].discard(b".reel")
                for name in sorted(names[0] - names[1]):
                    yield "missing on target: %s (%s)" % (show(path + name), self.type_at(fds[0], name))
                for name in sorted(names[1] - names[0]):
                    yield "only on target: %s (%s)" % (show(path + name), self.type_at(fds[1], name))
                todo = sorted(names[0] & names[1], reverse=True)
            descended = False
            while todo:
                name = todo.pop()
                both = yield from self.entry(fds, path + name, name)
                if both:
                    stack.append((fds, path, todo))
                    stack.append((both, path + name + b"/", None))
                    descended = True
                    break
            if not descended and path != b"":
                for fd in fds:
                    os.close(fd)

    def type_at(self, fd, name):
        return TYPES.get(stat.S_IFMT(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode), "?")

    def entry(self, fds, path, name):
        """Compares one name that both have; returns descriptors when it is a directory on both."""
        self.count += 1
        s, t = (os.stat(name, dir_fd=fd, follow_symlinks=False) for fd in fds)
        kinds = [stat.S_IFMT(x.st_mode) for x in (s, t)]
        if kinds[0] != kinds[1]:
            yield "type differs: %s: %s, target %s" % (show(path), TYPES[kinds[0]], TYPES[kinds[1]])
            return None
        yield from self.attributes(path, s, t, *(proc_path(fd, name) for fd in fds))
        if kinds[0] == stat.S_IFDIR:
            both = tuple(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd) for fd in fds)
            yield from self.flags(path, *both)
            return both
        yield from self.links(path, s, t)
        if kinds[0] == stat.S_IFLNK:
            texts = [os.readlink(name, dir_fd=fd) for fd in fds]
            if texts[0] != texts[1]:
                yield "symlink text differs: %s: %s, target %s" % (show(path), show(texts[0]), show(texts[1]))
        elif kinds[0] in (stat.S_IFCHR, stat.S_IFBLK):
            if s.st_rdev != t.st_rdev:
                yield "device differs: %s: %d:%d, target %d:%d" % (
                    show(path), os.major(s.st_rdev), os.minor(s.st_rdev), os.major(t.st_rdev), os.minor(t.st_rdev))
        elif kinds[0] == stat.S_IFREG:
            yield from self.file(path, fds, name, s, t)
        return None

    def attributes(self, path, s, t, s_path, t_path):
        where = show(path)
        if stat.S_IMODE(s.st_mode) != stat.S_IMODE(t.st_mode):
            yield "mode differs: %s: %04o, target %04o" % (where, stat.S_IMODE(s.st_mode), stat.S_IMODE(t.st_mode))
        if s.st_uid != t.st_uid:
            yield "uid differs: %s: %d, target %d" % (where, s.st_uid, t.st_uid)
        if s.st_gid != t.st_gid:
            yield "gid differs: %s: %d, target %d" % (where, s.st_gid, t.st_gid)
        if s.st_mtime_ns != t.st_mtime_ns and not self.options.no_times:
            yield "mtime differs: %s (%s): %d.%09d, target %d.%09d" % (
                where, TYPES[stat.S_IFMT(s.st_mode)], *divmod(s.st_mtime_ns, 10**9), *divmod(t.st_mtime_ns, 10**9))
        sx, tx = xattrs(s_path), xattrs(t_path)
        if sx is None or tx is None:
            if sx or tx:
                yield "xattrs differ: %s: one side's file system has none" % where
            return
        for key in sorted(sx.keys() | tx.keys()):
            if sx.get(key) != tx.get(key):
                yield "xattr differs: %s: %s: %s, target %s" % (where, key, sx.get(key), tx.get(key))

    def flags(self, path, s_fd, t_fd):
        if self.options.no_flags:
            return
        known = FLAGS_OF.get(self.magic[0], 0) & FLAGS_OF.get(self.magic[1], 0)
        values = []
        for fd in (s_fd, t_fd):
            buf = bytearray(8)
            try:
                fcntl.ioctl(fd, FS_IOC_GETFLAGS, buf, True)
            except OSError:
                return
            values.append(struct.unpack_from("=L", buf)[0] & known)
        for bit, text in USER_FLAGS.items():
            if (values[0] ^ values[1]) & bit:
                yield "inode flag differs: %s: %s is %s on the source only" % (show(path), text,
                                                                             "set" if values[0] & bit else "clear")

    def links(self, path, s, t):
        if s.st_nlink == 1 and t.st_nlink == 1:
            return
        a, b = (s.st_dev, s.st_ino), (t.st_dev, t.st_ino)
        seen, first = self.forward.setdefault(a, (b, path))
        if seen != b:
            yield "hard link missing: %s and %s are one on the source, two on the target" % (show(first), show(path))
        seen, first = self.backward.setdefault(b, (a, path))
        if seen != a:
            yield "hard link too many: %s and %s are one on the target, two on the source" % (show(first), show(path))

    def file(self, path, fds, name, s, t):
        if s.st_size != t.st_size:
            yield "size differs: %s: %d, target %d" % (show(path), s.st_size, t.st_size)
        pair = []
        try:
            for fd in fds:
                pair.append(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME, dir_fd=fd))
            yield from self.flags(path, *pair)
            if s.st_size != t.st_size:
                return
            for fd in pair:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            maps = [data_map(fd, s.st_size) for fd in pair]
            if not self.options.no_holes and maps[0] != maps[1]:
                yield from self.holes(path, pair, maps, s, t)
            for start, end in union(*maps):
                at = start
                while at < end:
                    a, b = (os.pread(fd, min(CHUNK, end - at), at) for fd in pair)
                    self.bytes += len(a)
                    if a != b:
                        first = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                        yield "contents differ: %s: at byte %d of %d" % (show(path), at + first, s.st_size)
                        return
                    if not a:
                        yield "contents end early: %s: at byte %d of %d" % (show(path), at, s.st_size)
                        return
                    at += len(a)
        finally:
            for fd in pair:
                os.close(fd)

    def holes(self, path, pair, maps, s, t):
        unit = max(s.st_blksize, t.st_blksize)
        if unit > 1 << 16:
            unit = 1 << 16  # a striping hint, not a block
        s_data, t_data = (widen(m, unit, s.st_size) for m in maps)
        extra = minus(t_data, s_data)
        if extra:
            extra = minus(extra, widen(unwritten_map(pair[0], s.st_size), unit, s.st_size))
        if extra and self.magic[0] == XFS_MAGIC:
            extra = minus(extra, widen(s_data, COW_RESERVE, s.st_size))
        for start, end in extra:
            yield "hole filled: %s: bytes %d-%d are a hole, data on the target" % (show(path), start, end)
        for start, end in minus(s_data, t_data):
            if self.magic[0] == EXT4_MAGIC and end - start <= ZEROOUT and is_zero(pair[0], start, end):
                continue
            yield "hole made: %s: bytes %d-%d are data, a hole on the target" % (show(path), start, end)


def many_open_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    want = 200000
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(want, hard), max(want, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def compare(source, target, options=None):
    """The list of differences, for other programs."""
    many_open_files()
    walk = Walk(source, target, options or parse([source, target]))
    try:
        return list(walk.differences())
    finally:
        walk.close()


def parse(args):
    parser = argparse.ArgumentParser(description="is TARGET equal to SOURCE?")
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--no-holes", action="store_true", help="do not compare holes")
    parser.add_argument("--no-flags", action="store_true", help="do not compare inode flags")
    parser.add_argument("--no-times", action="store_true", help="do not compare mtime")
    parser.add_argument("--max", type=int, default=1000, help="stop after so many lines")
    return parser.parse_args(args)


def main():
    options = parse(sys.argv[1:])
    many_open_files()
    found = 0
    try:
        walk = Walk(options.source, options.target, options)
        for line in walk.differences():
            print(line)
            found += 1
            if found >= options.max:
                print("... and maybe more")
                break
    except OSError as e:
        print("check: %s (did the source change meanwhile?)" % e, file=sys.stderr)
        return 2
    print("%d names, %d bytes compared, %d differences" % (walk.count, walk.bytes, found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

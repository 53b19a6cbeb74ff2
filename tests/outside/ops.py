# SPDX-License-Identifier: Apache-2.0
#
# Every operation of the workload, each a method of Actor whose arguments are plain numbers and text,
# so that a log of operations is enough to do them again. What a path looks like in the log: "S/a/b"
# below the source, "O/a/b" below the outside directory, bytes as latin-1.
#
# An operation that fails (OSError) has failed: others were faster, or the file system cannot. It may
# have done a part of its work. Safety: paths are walked one component at a time without following
# symlinks, so nothing outside of the two directories is ever touched, and only regular files are
# opened (an O_PATH descriptor is looked at first), so a device node is never used as a device.
import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import random
import signal
import stat
import struct

FICLONE, FICLONERANGE = 0x40049409, 0x4020940D
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
FS_IMMUTABLE, FS_APPEND, FS_NODUMP, FS_NOATIME = 0x10, 0x20, 0x40, 0x80
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
KEEP_SIZE, PUNCH, COLLAPSE, ZERO, INSERT = 1, 3, 8, 0x10, 0x20

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
libc.renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]


def failed(what):
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code), what)


def content(seed, length):
    """Bytes that depend on the seed; now and then they hold zeros, which a mirror must not drop."""
    rng = random.Random(seed)
    if seed % 11 == 0:
        return bytes(length)
    block = rng.randbytes(min(length, 4096))
    return (block * (length // max(len(block), 1) + 1))[:length]


def acl(entries):
    """The raw xattr: [(tag, perm, id)]."""
    return struct.pack("<L", 2) + b"".join(struct.pack("<HHL", tag, perm, who) for tag, perm, who in entries)


def list_dir(fd):
    """[(name, is a directory)] in a fixed order."""
    with os.scandir(fd) as entries:
        return sorted((os.fsencode(e.name), e.is_dir(follow_symlinks=False)) for e in entries)


def open_dir(dirfd, name):
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME, dir_fd=dirfd)


def walk(rootfd):
    """Yields (directory descriptor, name, is a directory), children before their directory."""
    stack = [(os.dup(rootfd), None, list_dir(rootfd))]
    while stack:
        fd, name, todo = stack[-1]
        if todo:
            child, is_dir = todo.pop()
            if not is_dir:
                yield fd, child, False
                continue
            try:
                sub = open_dir(fd, child)
                stack.append((sub, child, list_dir(sub)))
            except OSError:
                continue
        else:
            stack.pop()
            os.close(fd)
            if stack:
                yield stack[-1][0], name, True


class Actor:
    def __init__(self, source, outside):
        self.roots = {"S": os.open(source, os.O_PATH | os.O_DIRECTORY)}
        if outside:
            self.roots["O"] = os.open(outside, os.O_PATH | os.O_DIRECTORY)
        self.slots = {}

    def run(self, op):
        """Does one logged operation. True when it worked."""
        try:
            getattr(self, op[0])(*op[1:])
            return True
        except OSError:
            return False

    def close(self):
        for fd in [*self.slots.values(), *self.roots.values()]:
            os.close(fd)
        self.slots.clear()
        self.roots.clear()

    # Ways to objects.

    @contextlib.contextmanager
    def at(self, path):
        """(descriptor of the parent, name); the name of a root is "."."""
        parts = path.encode("latin-1").split(b"/")
        fd = os.dup(self.roots[parts[0].decode()])
        try:
            for part in parts[1:-1]:
                down = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                os.close(fd)
                fd = down
            yield fd, parts[-1] if len(parts) > 1 else b"."
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def node(self, path):
        """An O_PATH descriptor of the object itself."""
        with self.at(path) as (dirfd, name):
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=dirfd)
        try:
            yield fd
        finally:
            os.close(fd)

    def open_node(self, path, flags):
        with self.node(path) as fd:
            kind = stat.S_IFMT(os.fstat(fd).st_mode)
            if kind not in (stat.S_IFREG, stat.S_IFDIR):
                raise OSError(errno.EINVAL, "not a file")
            return os.open("/proc/self/fd/%d" % fd, flags | os.O_NONBLOCK)

    @contextlib.contextmanager
    def file(self, path, flags=os.O_RDWR):
        fd = self.open_node(path, flags)
        try:
            yield fd
        finally:
            os.close(fd)

    @staticmethod
    def xattr_path(dirfd, name):
        return b"/proc/self/fd/%d/%s" % (dirfd, name)

    # Contents.

    def create(self, path, mode, length, seed):
        with self.at(path) as (dirfd, name):
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=dirfd)
            try:
                os.write(fd, content(seed, length))
            finally:
                os.close(fd)

    def overwrite(self, path, length, seed):
        with self.file(path, os.O_WRONLY | os.O_TRUNC) as fd:
            os.write(fd, content(seed, length))

    def write(self, path, offset, length, seed):
        with self.file(path) as fd:
            os.pwrite(fd, content(seed, length), offset)

    def append(self, path, length, seed):
        with self.file(path, os.O_WRONLY | os.O_APPEND) as fd:
            os.write(fd, content(seed, length))

    def truncate(self, path, size):
        with self.file(path) as fd:
            os.ftruncate(fd, size)

    def mmap_store(self, path, offset, length, seed, pause_ms):
        """In a child: another process may truncate the file under the map (SIGBUS). The descriptor is
        closed before the stores, so nothing but the end of the map tells of them."""
        with self.file(path) as fd:
            if os.fstat(fd).st_size < offset + length:
                os.ftruncate(fd, offset + length)
            pid = os.fork()
            if pid == 0:
                try:
                    area = mmap.mmap(fd, length, offset=offset)
                    os.close(fd)
                    area[:length // 2] = content(seed, length // 2)
                    if pause_ms:
                        signal.sigtimedwait([signal.SIGUSR1], pause_ms / 1000)
                    area[length // 2:] = content(seed + 1, length - length // 2)
                    area.close()
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)

    def fallocate(self, path, mode, offset, length):
        with self.file(path) as fd:
            if libc.fallocate(fd, mode, offset, length) != 0:
                failed("fallocate")

    def copy_range(self, path, to, offset, to_offset, length):
        with self.file(path, os.O_RDONLY) as a, self.file(to) as b:
            os.copy_file_range(a, b, length, offset, to_offset)

    def clone(self, path, to):
        with self.file(path, os.O_RDONLY) as a, self.file(to) as b:
            fcntl.ioctl(b, FICLONE, a)

    def clone_range(self, path, to, offset, to_offset, length):
        with self.file(path, os.O_RDONLY) as a, self.file(to) as b:
            fcntl.ioctl(b, FICLONERANGE, struct.pack("=qQQQ", a, offset, length, to_offset))

    def tmpfile(self, path, mode, length, seed):
        """Made without a name, then linked to one."""
        with self.at(path) as (dirfd, name):
            fd = os.open(b"/proc/self/fd/%d" % dirfd, os.O_TMPFILE | os.O_RDWR, mode)
            try:
                os.write(fd, content(seed, length))
                os.link("/proc/self/fd/%d" % fd, name, dst_dir_fd=dirfd, follow_symlinks=True)
                os.write(fd, content(seed + 1, length))
            finally:
                os.close(fd)

    # Descriptors that stay open while names change.

    def hold(self, slot, path):
        fd = self.open_node(path, os.O_RDWR)
        self.release(slot)
        self.slots[slot] = fd

    def held_write(self, slot, offset, length, seed):
        if slot in self.slots:
            os.pwrite(self.slots[slot], content(seed, length), offset)

    def held_truncate(self, slot, size):
        if slot in self.slots:
            os.ftruncate(self.slots[slot], size)

    def held_chmod(self, slot, mode):
        if slot in self.slots:
            os.fchmod(self.slots[slot], mode)

    def release(self, slot):
        if slot in self.slots:
            os.close(self.slots.pop(slot))

    # Names.

    def mkdir(self, path, mode):
        with self.at(path) as (dirfd, name):
            os.mkdir(name, mode, dir_fd=dirfd)

    def rename(self, path, to, flags=0):
        with self.at(path) as (a, a_name), self.at(to) as (b, b_name):
            if libc.renameat2(a, a_name, b, b_name, flags) != 0:
                failed("rename")

    def link(self, path, to):
        with self.at(path) as (a, a_name), self.at(to) as (b, b_name):
            os.link(a_name, b_name, src_dir_fd=a, dst_dir_fd=b, follow_symlinks=False)

    def unlink(self, path):
        with self.at(path) as (dirfd, name):
            os.unlink(name, dir_fd=dirfd)

    def rmdir(self, path):
        with self.at(path) as (dirfd, name):
            os.rmdir(name, dir_fd=dirfd)

    def symlink(self, text, path):
        with self.at(path) as (dirfd, name):
            os.symlink(text.encode("latin-1"), name, dir_fd=dirfd)

    def mknod(self, path, mode, major, minor):
        with self.at(path) as (dirfd, name):
            os.mknod(name, mode, os.makedev(major, minor), dir_fd=dirfd)

    def rmtree(self, path):
        with self.at(path) as (dirfd, name):
            top = open_dir(dirfd, name)
            try:
                for fd, child, is_dir in walk(top):
                    with contextlib.suppress(OSError):
                        os.rmdir(child, dir_fd=fd) if is_dir else os.unlink(child, dir_fd=fd)
            finally:
                os.close(top)
            os.rmdir(name, dir_fd=dirfd)

    def mktree(self, path, depth, width, seed):
        self.mkdir(path, 0o755)
        for i in range(width):
            self.create("%s/f%d" % (path, i), 0o644, (seed * 37 + i * 911) % 9000, seed + i)
        if depth > 1:
            for i in range(width // 2):
                self.mktree("%s/d%d" % (path, i), depth - 1, width, seed + 100 * i)

    def deep(self, path, levels, seed):
        """Directories below each other until no path name reaches the last one."""
        self.mkdir(path, 0o755)
        for i in range(levels):
            path += "/" + ("deep%d" % i).ljust(200, "-")
            self.mkdir(path, 0o755)
            if i % 5 == 4:
                self.create(path + "/f0", 0o644, 100 + i, seed + i)
        self.create(path + "/f1", 0o644, 5000, seed)
        self.symlink("../f0", path + "/l0")
        self.setxattr(path + "/f1", "user.deep", "yes", 0)
        self.utimes(path, 1000000000 * seed)

    def swap(self, path, to, spare):
        """A cycle of three renames: two names change places."""
        self.rename(path, spare, RENAME_NOREPLACE)
        self.rename(to, path, RENAME_NOREPLACE)
        self.rename(spare, to, RENAME_NOREPLACE)

    def invert(self, parent, child, spare):
        """parent/child becomes child/parent: child takes the place and parent moves into it."""
        self.rename(parent + "/" + child, spare, RENAME_NOREPLACE)
        self.rename(parent, spare + "/" + child, RENAME_NOREPLACE)
        self.rename(spare, parent, RENAME_NOREPLACE)

    def in_and_out(self, path, outside, change, seed):
        """A tree leaves the source, changes where nobody watches, and comes back."""
        self.rename(path, outside, RENAME_NOREPLACE)
        if change:
            self.create("%s/away%d" % (outside, seed % 7), 0o600, seed % 5000, seed)
            with self.file(outside, os.O_RDONLY) as fd:
                for name, is_dir in list_dir(fd):
                    if not is_dir:
                        self.run(["append", "%s/%s" % (outside, name.decode("latin-1")), 10, seed])
                        break
        self.rename(outside, path, RENAME_NOREPLACE)

    # Attributes.

    def chmod(self, path, mode):
        with self.node(path) as fd:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                os.chmod("/proc/self/fd/%d" % fd, mode)

    def chown(self, path, uid, gid):
        with self.at(path) as (dirfd, name):
            os.chown(name, uid, gid, dir_fd=dirfd, follow_symlinks=False)

    def utimes(self, path, ns):
        with self.at(path) as (dirfd, name):
            os.utime(name, ns=(ns, ns), dir_fd=dirfd, follow_symlinks=False)

    def setxattr(self, path, key, value, flags):
        with self.at(path) as (dirfd, name):
            os.setxattr(self.xattr_path(dirfd, name), key, value.encode("latin-1"), flags, follow_symlinks=False)

    def rmxattr(self, path, key):
        with self.at(path) as (dirfd, name):
            os.removexattr(self.xattr_path(dirfd, name), key, follow_symlinks=False)

    def setacl(self, path, default, entries):
        key = "system.posix_acl_default" if default else "system.posix_acl_access"
        self.setxattr(path, key, acl(entries).decode("latin-1"), 0)

    def flag(self, path, bit, on):
        with self.file(path, os.O_RDONLY) as fd:
            if set_flag(fd, bit, on) and not (on and bit in (FS_IMMUTABLE, FS_APPEND)):
                touch(fd)

    # What programs do.

    def save_vim(self, path, length, seed):
        """Write the new text beside, keep the old as a backup, change places, remove the backup."""
        with self.node(path) as fd:
            mode = stat.S_IMODE(os.fstat(fd).st_mode)
        self.run(["unlink", path + "~"])
        self.rename(path, path + "~")
        self.create(path, mode, length, seed)
        self.run(["chmod", path, mode])
        self.unlink(path + "~")

    def save_emacs(self, path, length, seed):
        """A lock that is a dangling symlink, a backup that stays, the same inode written again."""
        parent, _, name = path.rpartition("/")
        self.run(["symlink", "user@host.123:456", "%s/.#%s" % (parent, name)])
        if self.run(["create", path + "~", 0o644, 1, seed]):
            self.run(["copy_range", path, path + "~", 0, 0, 1 << 20])
        self.overwrite(path, length, seed)
        self.unlink("%s/.#%s" % (parent, name))

    def save_rename(self, path, length, seed):
        """temp + fsync + rename over."""
        self.run(["unlink", path + ".tmp"])
        self.create(path + ".tmp", 0o644, length, seed)
        with self.file(path + ".tmp") as fd:
            os.fdatasync(fd)
        self.rename(path + ".tmp", path)

    def lock_file(self, path, seed):
        self.create(path + ".lock", 0o600, 6, seed)
        with self.file(path + ".lock") as fd:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.run(["append", path, 20, seed])
        self.unlink(path + ".lock")

    def rotate(self, path, length, seed):
        """log.2 -> log.3, log.1 -> log.2, log -> log.1, a new log."""
        for i in (2, 1, 0):
            self.run(["rename", path + (".%d" % i if i else ""), "%s.%d" % (path, i + 1)])
        self.create(path, 0o640, length, seed)


def set_flag(fd, bit, on):
    value = bytearray(8)
    fcntl.ioctl(fd, FS_IOC_GETFLAGS, value, True)
    flags = struct.unpack_from("=L", value)[0]
    wanted = flags | bit if on else flags & ~bit
    if wanted != flags:
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("=Q", wanted))
    return wanted != flags


def touch(fd):
    """The kernel tells nobody of FS_IOC_SETFLAGS (docs: what is impossible), so something it tells of follows."""
    os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode))


def clear_for_good(root):
    """Takes immutable and append-only from everything below root: nothing is left that cannot be removed."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        clear_one(fd)
        # An immutable directory does not hinder the walk, only its removal.
        for dirfd, name, _ in walk(fd):
            try:
                node = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=dirfd)
            except OSError:
                continue
            try:
                if stat.S_IFMT(os.fstat(node).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
                    sub = os.open("/proc/self/fd/%d" % node, os.O_RDONLY | os.O_NOATIME)
                    try:
                        clear_one(sub)
                    finally:
                        os.close(sub)
            finally:
                os.close(node)
    finally:
        os.close(fd)


def clear_one(fd):
    try:
        if set_flag(fd, FS_IMMUTABLE | FS_APPEND, False):
            touch(fd)
    except OSError as e:
        if e.errno not in (errno.ENOTTY, errno.EOPNOTSUPP):
            raise

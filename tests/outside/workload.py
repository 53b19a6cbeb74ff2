# SPDX-License-Identifier: Apache-2.0
#
# Does every operation there is to a directory, from several processes at once, and ends with all of
# their files closed.
#
#   python3 workload.py DIR [--outside DIR2] [--seed N] [--ops N] [--procs P] [--log FILE]
#   python3 workload.py DIR [--outside DIR2] --replay FILE
#
# DIR2 is on the same file system, not in DIR: trees move between the two. What is done depends on the
# seed, the worker's number and what the worker finds in the tree, so with one process and an empty
# DIR it is the same every time, and with several the log (one JSON array a line, in the order in which
# they were begun) does it again in one process, nearly so. The arguments are explained in ops.py.
import argparse
import json
import os
import random
import stat
import sys
import time

import ops

ODD = [b"n" * 255, bytes(range(128, 256)) + b"\xff" * 127, b"new\nline", b"\xff\xfe", b"-rf", b" lead", b"trail ",
       b"a b", b"tab\t", b"*", b"?", b"~", b"#x#", b".reel-x", b".reel.tmp", b".reel~", b"x.reel", b".reel", b"...",
       b". .", b"\x01\x7f", "é".encode(), b"e\xcc\x81", b"%s%n", b"'\"", b"$(x)", b"\\", b"--", b".nfs0001",
       b".hidden", b"\xf0\x9f\x98\x80", b"CON", b"F0", b"f0 ", b"lost+found"]
PLAIN = [b"f%d" % i for i in range(40)] + [b"d%d" % i for i in range(20)]
SECOND = 10**9
# Seconds that file systems store in different ways: the edges of 32 bits, of ext4's and xfs' extra bits.
TIMES = [0, 1, -1, 2**31 - 1, 2**31, 2**32, -2**31 + 1, -1000000, 1234567890, 1700000000, 9999999999, 15000000000]
IDS = [0, 1, 1000, 65534, 65535, 65536, 2**31, 2**32 - 2]
MODES = [0, 0o400, 0o600, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o1777, 0o6711, 0o7777, 0o222]
KEYS = ["user.a", "user.b", "user.long" + "x" * 100, "trusted.t", "trusted.u", "security.reel"]
TEXTS = ["f0", "../f1", "/nowhere", "x" * 1000, "d0/d1", ".", "..", "\xff\xfe", "a\nb"]

# How often each kind is drawn.
WEIGHTS = {
    "create": 12, "overwrite": 5, "write": 9, "append": 6, "truncate": 5, "mmap_store": 2, "fallocate": 5,
    "copy_range": 3, "clone": 2, "clone_range": 2, "tmpfile": 3, "hold": 3, "held_write": 4, "held_truncate": 1,
    "held_chmod": 1, "release": 2, "mkdir": 7, "rename": 14, "rename_dir": 6, "exchange": 4, "noreplace": 2,
    "link": 5, "unlink": 7, "rmdir": 2, "symlink": 3, "mknod": 3, "rmtree": 0.6, "mktree": 4, "deep": 0.15,
    "swap": 3, "invert": 2, "in_and_out": 2, "chmod": 4, "chown": 3, "utimes": 5, "setxattr": 5, "rmxattr": 2,
    "setacl": 3, "immutable": 1, "flag": 1, "save_vim": 2, "save_emacs": 2, "save_rename": 3, "lock_file": 1,
    "rotate": 2, "rename_out": 0.8, "rename_in": 3,
}


class Worker:
    """Draws operations from a seed and the tree as it is, and does them."""

    def __init__(self, actor, seed, number, weights):
        self.actor, self.number = actor, number
        self.rng = random.Random("%d/%d" % (seed, number))
        self.kinds, self.weights = zip(*[(k, w) for k, w in weights.items() if w > 0])
        self.due = []  # (when, operation): what must follow an earlier one
        self.done = 0

    def next(self):
        self.done += 1
        if self.due and self.due[0][0] <= self.done:
            return self.due.pop(0)[1]
        while True:
            kind = self.rng.choices(self.kinds, self.weights)[0]
            op = getattr(self, "draw_" + kind, None)
            op = op() if op else self.simple(kind)
            if op:
                return op

    # Where.

    def root(self):
        return "O" if "O" in self.actor.roots and self.rng.random() < 0.05 else "S"

    def pick(self, want_dir=None, root=None):
        """The path of something that exists; None when there is nothing of that kind on the way."""
        rng, path = self.rng, root or self.root()
        deeper = 1.0 if rng.random() < 0.05 else 0.6
        fd = os.dup(self.actor.roots[path])
        found = None
        try:
            while True:
                here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME, dir_fd=fd)
                try:
                    names = ops.list_dir(here)
                finally:
                    os.close(here)
                fitting = [n for n in names if want_dir is None or n[1] == want_dir]
                if fitting:
                    name, is_dir = rng.choice(fitting)
                    found = path + "/" + name.decode("latin-1")
                dirs = [n for n, is_dir in names if is_dir]
                if not dirs or rng.random() >= deeper:
                    return found
                name = rng.choice(dirs)
                down = ops.open_dir(fd, name)
                os.close(fd)
                fd, path = down, path + "/" + name.decode("latin-1")
        except OSError:
            return found
        finally:
            os.close(fd)

    def directory(self, root=None):
        root = root or self.root()
        return (self.pick(True, root) if self.rng.random() < 0.75 else None) or root

    def name(self, parent):
        while True:
            name = self.rng.choice(ODD if self.rng.random() < 0.15 else PLAIN)
            # The one name that belongs to reel.
            if name != b".reel" or "/" in parent:
                return "/" + name.decode("latin-1")

    def fresh(self, root=None):
        """The path of something that may or may not exist."""
        parent = self.directory(root)
        return parent + self.name(parent)

    def file(self):
        return self.pick(False)

    # How much.

    def seed(self):
        return self.rng.randrange(1 << 20)

    def length(self):
        r = self.rng.random()
        if r < 0.3:
            return self.rng.randrange(200)
        if r < 0.9:
            return self.rng.randrange(30000)
        return self.rng.randrange(400000)

    def offset(self):
        r = self.rng.random()
        if r < 0.5:
            return self.rng.randrange(20000)
        if r < 0.7:
            return 4096 * self.rng.randrange(64)
        if r < 0.97:
            return self.rng.randrange(1 << 20)
        return self.rng.randrange(1 << 40)

    # What. A drawing returns the operation or None.

    def simple(self, kind):
        rng = self.rng
        if kind in ("create", "tmpfile"):
            return [kind, self.fresh(), rng.choice(MODES), self.length(), self.seed()]
        if kind == "mkdir":
            return [kind, self.fresh(), rng.choice([0o755, 0o700, 0o1777, 0o2775])]
        if kind in ("release", "held_write", "held_truncate", "held_chmod"):
            slot = "%d.%d" % (self.number, rng.randrange(6))
            return {"release": [kind, slot], "held_write": [kind, slot, self.offset(), self.length(), self.seed()],
                    "held_truncate": [kind, slot, self.offset()],
                    "held_chmod": [kind, slot, rng.choice(MODES)]}[kind]
        if kind == "symlink":
            return [kind, rng.choice(TEXTS), self.fresh()]
        if kind == "mknod":
            mode = rng.choice([stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK])
            device = mode in (stat.S_IFCHR, stat.S_IFBLK)
            return [kind, self.fresh(), mode | rng.choice(MODES),
                    rng.choice([0, 1, 240, 511]) if device else 0,
                    rng.choice([0, 3, 262143]) if device else 0]  # more than xfs keeps is refused there
        if kind == "mktree":
            return [kind, self.fresh(), rng.randrange(1, 4), rng.randrange(2, 6), self.seed()]
        if kind == "deep":
            return [kind, self.fresh(), 24, self.seed()]
        if kind in ("rmdir", "rmtree"):
            path = self.pick(True)
            return path and [kind, path]
        if kind in ("chmod", "chown", "utimes", "setxattr", "rmxattr", "setacl"):
            return self.attribute(kind)
        return self.on_file(kind)

    def on_file(self, kind):
        path = self.file()
        if not path:
            return None
        rng = self.rng
        if kind == "unlink":
            return [kind, path]
        if kind == "link":
            return [kind, path, self.fresh()]
        if kind == "hold":
            return [kind, "%d.%d" % (self.number, rng.randrange(6)), path]
        if kind in ("overwrite", "append", "save_vim", "save_emacs", "save_rename", "rotate"):
            return [kind, path, self.length(), self.seed()]
        if kind == "write":
            return [kind, path, self.offset(), self.length(), self.seed()]
        if kind == "truncate":
            return [kind, path, self.offset() if rng.random() < 0.8 else 0]
        if kind == "mmap_store":
            return [kind, path, 4096 * rng.randrange(32), 1 + rng.randrange(20000), self.seed(),
                    rng.choice([0, 0, 5, 120])]
        if kind == "fallocate":
            mode = rng.choice([0, ops.KEEP_SIZE, ops.PUNCH, ops.PUNCH, ops.ZERO, ops.ZERO | 1, ops.COLLAPSE, ops.INSERT])
            return [kind, path, mode, 4096 * rng.randrange(40), 4096 * (1 + rng.randrange(40))] if rng.random() < 0.6 \
                else [kind, path, mode & 3, self.offset(), 1 + self.length()]
        if kind == "lock_file":
            return [kind, path, self.seed()]
        to = self.file()
        if kind in ("copy_range", "clone_range"):
            return to and [kind, path, to, 4096 * rng.randrange(16), 4096 * rng.randrange(64), 4096 * rng.randrange(64)]
        return to and [kind, path, to]  # clone

    def attribute(self, kind):
        rng = self.rng
        path = self.pick() if rng.random() < 0.97 else "S"
        if not path:
            return None
        if kind == "chmod":
            return [kind, path, rng.choice(MODES)]
        if kind == "chown":
            return [kind, path, rng.choice(IDS), rng.choice(IDS)]
        if kind == "utimes":
            return [kind, path, rng.choice(TIMES) * SECOND + rng.choice([0, 1, 999999999, rng.randrange(SECOND)])]
        if kind == "rmxattr":
            return [kind, path, rng.choice(KEYS + ["system.posix_acl_access", "system.posix_acl_default"])]
        if kind == "setxattr":
            value = rng.randbytes(rng.choice([0, 1, 20, 200])).decode("latin-1")
            return [kind, path, rng.choice(KEYS), value, rng.choice([0, 0, 0, os.XATTR_CREATE, os.XATTR_REPLACE])]
        none, perm = 2**32 - 1, rng.randrange
        users = sorted(rng.sample(IDS[:-1], rng.randrange(1, 4)))
        entries = [(1, perm(8), none)] + [(2, perm(8), u) for u in users] + [(4, perm(8), none)] + \
            [(8, perm(8), g) for g in users] + [(0x10, perm(8), none), (0x20, perm(8), none)]
        return [kind, path, rng.random() < 0.3, entries]

    def draw_immutable(self):
        path = self.pick()
        if not path:
            return None
        bit = self.rng.choice([ops.FS_IMMUTABLE, ops.FS_IMMUTABLE, ops.FS_APPEND])
        self.due.append((self.done + self.rng.randrange(1, 20), ["flag", path, bit, False]))
        self.due.sort(key=lambda d: d[0])
        return ["flag", path, bit, True]

    def draw_flag(self):
        path = self.pick()
        return path and ["flag", path, self.rng.choice([ops.FS_NODUMP, ops.FS_NOATIME]), self.rng.random() < 0.7]

    def draw_rename(self):
        path = self.pick()
        return path and ["rename", path, self.fresh(), 0]

    def draw_rename_dir(self):
        path = self.pick(True)
        return path and ["rename", path, self.fresh(), 0]

    def draw_noreplace(self):
        path = self.pick()
        return path and ["rename", path, self.fresh(), ops.RENAME_NOREPLACE]

    def draw_exchange(self):
        path, to = self.pick(), self.pick()
        return path and to and ["rename", path, to, ops.RENAME_EXCHANGE]

    def draw_rename_out(self):
        path = self.pick(root="S") if "O" in self.actor.roots else None
        return path and ["rename", path, self.fresh("O"), 0]

    def draw_rename_in(self):
        path = self.pick(root="O") if "O" in self.actor.roots else None
        return path and ["rename", path, self.fresh("S"), 0]

    def draw_swap(self):
        want = self.rng.choice([True, True, False])
        path, to = self.pick(want), self.pick(want)
        return path and to and ["swap", path, to, self.directory("S") + "/swap%d" % self.number]

    def draw_invert(self):
        path = self.pick(True)
        if not path or path.count("/") < 2:
            return None
        parent, _, child = path.rpartition("/")
        return ["invert", parent, child, parent[0] + "/invert%d" % self.number]

    def draw_in_and_out(self):
        path = self.pick(True, "S") if "O" in self.actor.roots else None
        return path and ["in_and_out", path, "O/away%d" % self.number, self.rng.random() < 0.5, self.seed()]


def work(options, number, count, log):
    """One process."""
    actor = ops.Actor(options.dir, options.outside)
    weights = {**WEIGHTS, **options.weights}
    worker = Worker(actor, options.seed, number, weights)
    pause = random.Random(number)
    deadline = time.monotonic() + options.seconds if options.seconds else None
    fine = 0
    try:
        for _ in range(count):
            op = worker.next()
            if log:
                log.write(json.dumps([time.monotonic_ns(), number, op]) + "\n")
                log.flush()
            fine += actor.run(op)
            if options.pause and pause.random() < 0.05:
                time.sleep(pause.random() * options.pause / 1000 * 20)
            if deadline and time.monotonic() > deadline:
                break
    finally:
        actor.close()
    return fine


def several(options):
    """The processes, then one log of theirs in the order of time."""
    pids, parts = [], []
    for number in range(options.procs):
        part = "%s.%d" % (options.log, number) if options.log else None
        parts.append(part)
        count = options.ops // options.procs
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                log = open(part, "w") if part else None
                work(options, number, count, log)
                if log:
                    log.close()
                code = 0
            except BaseException as e:  # the child must not run the parent's code
                print("workload: worker %d: %r" % (number, e), file=sys.stderr)
            finally:
                os._exit(code)
        pids.append(pid)
    bad = sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)
    if options.log:
        lines = [line for part in parts for line in open(part)]
        lines.sort(key=lambda line: json.loads(line)[0])
        with open(options.log, "w") as f:
            f.writelines(lines)
        for part in parts:
            os.unlink(part)
    return bad


def replay(options):
    actor = ops.Actor(options.dir, options.outside)
    try:
        for line in open(options.replay):
            actor.run(json.loads(line)[2])
            if options.pause:
                time.sleep(options.pause / 1000)
    finally:
        actor.close()


def parse(args):
    parser = argparse.ArgumentParser(description="every operation there is, on DIR")
    parser.add_argument("dir")
    parser.add_argument("--outside", help="a directory beside DIR on the same file system")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ops", type=int, default=4000, help="operations of all processes together")
    parser.add_argument("--procs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0, help="stop earlier, after this time")
    parser.add_argument("--pause", type=float, default=0, help="mean milliseconds between operations")
    parser.add_argument("--weights", type=json.loads, default={}, help='JSON, such as {"deep": 0, "rename": 50}')
    parser.add_argument("--log", help="write the operations to this file")
    parser.add_argument("--replay", help="do the operations of this file instead")
    return parser.parse_args(args)


def main():
    options = parse(sys.argv[1:])
    os.umask(0o022)
    bad = 0
    if options.replay:
        replay(options)
    elif options.procs == 1:
        log = open(options.log, "w") if options.log else None
        fine = work(options, 0, options.ops, log)
        print("workload: seed %d: %d of %d operations worked" % (options.seed, fine, options.ops), file=sys.stderr)
    else:
        bad = several(options)
    for root in filter(None, (options.dir, options.outside)):
        ops.clear_for_good(root)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

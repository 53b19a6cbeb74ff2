# SPDX-License-Identifier: Apache-2.0
#
# What the tests of the mirror's command line share: each file cli_*.py is a unittest of its own that
# runs the built reel as a person would, on file systems in a namespace of its own (see
# tests/outside/mounts.py). Ends with 77 where a privilege or a tool is missing.
#
#   python3 cli_bad_input.py --reel PATH [unittest's arguments]
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))
import check  # noqa: E402
import mounts  # noqa: E402

REEL = None
LIMIT = 60  # seconds for anything that is waited for


class MirrorCase(unittest.TestCase):
    """A new source, target and state directory for each test, on the class's file systems."""
    kinds = ("ext4", "ext4")

    @classmethod
    def setUpClass(cls):
        cls.bench = mounts.Bench()
        cls.bench.__enter__()
        cls.mounts = [cls.bench.mount(kind, 768) for kind in cls.kinds]
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.bench.__exit__()

    def setUp(self):
        type(self).count += 1
        name = "t%d" % self.count
        self.home = os.path.join(self.bench.dir, name)
        self.source = os.path.join(self.mounts[0], name)
        self.target = os.path.join(self.mounts[-1], name + "-target")
        self.state = os.path.join(self.home, "state")
        os.mkdir(self.home)
        os.mkdir(self.source)
        self.running = []

    def tearDown(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        for tree in (self.source, self.target):
            shutil.rmtree(tree, ignore_errors=True)

    # -- running reel

    def reel(self, *args, limit=LIMIT, env=None):
        """(exit code, stdout, stderr)"""
        done = subprocess.run([REEL] + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=limit, env=env)
        return done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr)

    def mirror(self, *args, limit=LIMIT):
        return self.reel("mirror", "--state", self.state, *args, limit=limit)

    def once(self, *args, code=0):
        got = self.mirror("--once", *args, self.source, self.target)
        self.assertEqual(got[0], code, got)
        return got

    def start(self, *args, targets=None, wait=True):
        """`reel mirror` as a process; returns when it has settled once."""
        log = open(os.path.join(self.home, "log"), "ab")
        process = subprocess.Popen([REEL, "mirror", "--state", self.state, *args, self.source, *(targets or [self.target])],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.running.append(process)
        if wait:
            self.settle(process)
        return process

    def said(self):
        with open(os.path.join(self.home, "log"), errors="replace") as log:
            return log.read()

    def settle(self, process, code=0):
        def answered():
            self.assertIsNone(process.poll(), "reel ended: " + self.said())
            got = self.reel("wait", "--state", self.state, "--timeout", "50")
            # One that was killed just before may have taken the question while it died.
            return got if got[0] != 11 and "ended before it answered" not in got[2] else None
        got = self.until("settled", answered)
        self.assertEqual(got[0], code, (got, self.said()))

    def stop(self, process, signum=signal.SIGTERM, within=30):
        """The exit code and how long it took."""
        began = time.monotonic()
        process.send_signal(signum)
        code = process.wait(within)
        return code, time.monotonic() - began

    def until(self, what, condition):
        deadline = time.monotonic() + LIMIT
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                self.fail("%s: not within %d s; reel said: %s" % (what, LIMIT, self.said()))
            time.sleep(0.02)

    # -- trees

    def write(self, path, text, root=None):
        path = os.path.join(root or self.source, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return path

    def small_tree(self):
        self.write("a/one", "1")
        self.write("a/two", "22")
        self.write("b/c/three", "333" * 10000)
        os.link(self.source + "/a/one", self.source + "/b/one-again")
        os.symlink("a/one", self.source + "/link")
        os.mkfifo(self.source + "/fifo")

    def assertEqualTrees(self, source=None, target=None):
        lines = check.compare(source or self.source, target or self.target)
        self.assertEqual(lines, [])

    def snapshot(self, root):
        """Everything that a stranger could see of a tree, for "nothing was changed"."""
        seen = {}
        for base, dirs, files in os.walk(os.fsencode(root)):
            for name in [b"."] + dirs + files:
                path = os.path.join(base, name)
                s = os.lstat(path)
                text = None
                if not os.path.islink(path) and os.path.isfile(path):
                    with open(path, "rb") as file:
                        text = file.read()
                seen[path] = (s.st_ino, s.st_mode, s.st_uid, s.st_size, s.st_mtime_ns, s.st_ctime_ns, text)
        return seen


def main():
    global REEL
    at = sys.argv.index("--reel")
    REEL = sys.argv[at + 1]
    del sys.argv[at:at + 2]
    mounts.need_kinds("ext4", "xfs")
    mounts.enter_own_world()
    unittest.main(module="__main__", verbosity=2)

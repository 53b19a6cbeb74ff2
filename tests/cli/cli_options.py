# SPDX-License-Identifier: Apache-2.0
#
# The options of reel mirror that say how much, how fast and what is told.
import json
import os
import pty
import re
import shutil
import subprocess
import threading
import time

import mirror_cli
from mirror_cli import MirrorCase


class Options(MirrorCase):
    kinds = ("ext4", "xfs")

    def test_json(self):
        self.small_tree()
        got = self.once("--json")
        report = json.loads(got[1])
        self.assertEqual(report["troubles"], 0)
        self.assertTrue(report["settled"])
        self.assertFalse(report["running"])
        self.assertEqual(report["source"], self.source)
        self.assertEqual(report["targets"][0]["path"], self.target)
        self.assertEqual(report["bytes_copied_total"], 1 + 2 + 30000)
        self.assertEqual(json.loads(self.reel("status", "--state", self.state, "--json")[1])["running"], False)

    def test_stats(self):
        self.small_tree()
        text = self.once("--stats")[1]
        self.assertRegex(text, r"created \d+")
        self.assertRegex(text, r"lookups \d+")

    def test_bwlimit(self):
        self.write("big", os.urandom(6 << 20))
        began = time.monotonic()
        self.once("--bwlimit", "3M")
        took = time.monotonic() - began
        self.assertGreater(took, 1.5)
        self.assertEqualTrees()

    def test_once_without_root(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to be somebody else")
        somebody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        self.small_tree()
        for top, dirs, files in os.walk(self.source):
            for path in [top] + [os.path.join(top, name) for name in dirs + files]:
                os.chown(path, 65534, 65534, follow_symlinks=False)
        os.mkdir(self.target)
        for path in (self.target, self.home):
            os.chown(path, 65534, 65534)

        def as_somebody(*args):
            done = subprocess.run([*somebody, mirror_cli.REEL, "mirror", "--state", self.state, *args, self.source, self.target],
                                  capture_output=True, timeout=mirror_cli.LIMIT)
            return done.returncode, os.fsdecode(done.stderr)
        self.assertEqual(as_somebody("--once"), (0, ""))
        self.assertEqualTrees()
        # What he may not read is told by its name, and the rest goes on.
        self.write("secret", "x")
        os.chmod(self.source + "/secret", 0)
        self.write("open", "y")
        os.chown(self.source + "/open", 65534, 65534)
        code, text = as_somebody("--once")
        self.assertEqual(code, 42, text)
        self.assertRegex(text, "secret: .*Permission denied")
        with open(self.target + "/open") as file:
            self.assertEqual(file.read(), "y")
        # Following says what is missing and what there is instead.
        code, text = as_somebody()
        self.assertEqual(code, 11, text)
        self.assertRegex(text, "--once")

    def test_max_delete(self):
        for i in range(10):
            self.write("d/%d" % i, str(i))
        self.once()
        shutil.rmtree(self.source + "/d")
        before = self.snapshot(self.target)
        got = self.once("--max-delete", "10", code=25)
        self.assertRegex(got[2], "11.*--max-delete allows 10")
        self.assertEqual(self.snapshot(self.target), before)
        self.once("--max-delete", "11")
        self.assertEqualTrees()

    def test_max_delete_while_following(self):
        for i in range(10):
            self.write("d/%d" % i, str(i))
        process = self.start("--max-delete", "5")
        before = self.snapshot(self.target + "/d")
        shutil.rmtree(self.source + "/d")
        self.assertEqual(process.wait(30), 25, self.said())
        self.assertGreaterEqual(len(os.listdir(self.target + "/d")), len(before) - 1 - 5)
        self.once()
        self.assertEqualTrees()

    def test_jobs(self):
        for i in range(300):
            self.write("d%d/%d" % (i % 7, i), str(i))
        self.once("--jobs", "7")
        self.assertEqualTrees()
        self.write("more", "x")
        self.once("-j", "1")
        self.assertEqualTrees()

    def test_adopt_of_an_rsync_copy(self):
        if not shutil.which("rsync"):
            self.skipTest("no rsync")
        self.small_tree()
        for i in range(50):
            self.write("d/%d" % i, os.urandom(10000))
        subprocess.run(["rsync", "-aHAX", self.source + "/", self.target], check=True)
        before = os.stat(self.target + "/d/7").st_ino
        got = json.loads(self.once("--adopt", "--json")[1])
        self.assertEqual(got["bytes_copied_total"], 0)
        self.assertEqualTrees()
        self.assertEqual(os.stat(self.target + "/d/7").st_ino, before)

    def test_adopt_of_a_bad_copy(self):
        if not shutil.which("rsync"):
            self.skipTest("no rsync")
        for i in range(50):
            self.write("d/%d" % i, os.urandom(10000))
        subprocess.run(["rsync", "-aHAX", self.source + "/", self.target], check=True)
        like = os.stat(self.target + "/d/7")
        self.write("d/7", b"x" * 10000, root=self.target)
        os.utime(self.target + "/d/7", ns=(like.st_atime_ns, like.st_mtime_ns))
        self.write("extra/file", "x", root=self.target)
        os.unlink(self.target + "/d/8")
        os.chmod(self.target + "/d/9", 0)
        got = json.loads(self.once("--adopt", "--json")[1])
        self.assertEqual(got["bytes_copied_total"], 20000)
        self.assertEqualTrees()

    def test_adopt_removes_no_more_than_allowed(self):
        self.small_tree()
        for i in range(5):
            self.write("extra/d%d/file" % i, "x", root=self.target)
        before = self.snapshot(self.target + "/extra")
        got = self.once("--adopt", "--max-delete", "10", code=25)
        self.assertRegex(got[2], "11 entries.*--max-delete allows 10")
        self.assertEqual(self.snapshot(self.target + "/extra"), before)

    def test_adopt_then_follow(self):
        self.small_tree()
        shutil.copytree(self.source + "/a", self.target + "/a")
        process = self.start("--adopt")
        self.assertEqualTrees()
        self.write("a/two", "other")
        self.settle(process)
        self.assertEqualTrees()

    # -- --progress

    NUMBERS = re.compile(r"scanned ([\d,]+) entries( so far)?, applied ([\d,]+) of ([\d,]+) (known|changes), "
                         r"[\d.]+ (B|KiB|MiB|GiB|TiB) copied, [\d.]+ (B|KiB|MiB|GiB|TiB)/s(, [\d,]+ files compared)? *$")

    def assertNeverBack(self, lines, entries):
        self.assertTrue(lines)
        before = (0, 0, 0)
        for line in lines:
            match = self.NUMBERS.match(line)
            self.assertTrue(match, line)
            now = tuple(int(match[i].replace(",", "")) for i in (1, 3, 4))
            self.assertTrue(all(a <= b for a, b in zip(before, now)), lines)
            self.assertLessEqual(now[1], now[2])
            self.assertEqual(bool(match[2]), match[5] == "known", line)
            before = now
        self.assertIn(" entries, ", lines[-1])
        self.assertGreaterEqual(before[0], entries)
        self.assertEqual(before[1], before[2])

    def test_progress_lines(self):
        for i in range(4000):
            self.write("d%d/%d" % (i % 40, i), "x" * 3000)
        self.write("big", os.urandom(4 << 20))
        got = self.once("--progress", "--bwlimit", "5M")
        self.assertEqual(got[1], "")
        lines = got[2].splitlines()
        self.assertNeverBack(lines, 4041)
        self.assertGreaterEqual(len(lines), 2)
        self.assertRegex(lines[-1], "15.4 MiB copied")

    def test_progress_on_a_terminal(self):
        for i in range(3000):
            self.write("d%d/%d" % (i % 40, i), "x" * 3000)
        master, slave = pty.openpty()
        process = subprocess.Popen([mirror_cli.REEL, "mirror", "--once", "--progress", "--bwlimit", "6M", "--state", self.state,
                                    self.source, self.target], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave)
        os.close(slave)
        text = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            text += piece
        os.close(master)
        self.assertEqual(process.wait(), 0)
        parts = text.decode().rstrip("\r\n").split("\r")
        self.assertEqual(parts[0], "")
        self.assertNotIn("\n", "".join(parts))
        self.assertNeverBack(parts[1:], 3040)
        self.assertGreater(len(parts), 4)


if __name__ == "__main__":
    mirror_cli.main()

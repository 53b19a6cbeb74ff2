# SPDX-License-Identifier: Apache-2.0
#
# Ctrl-C and SIGTERM end reel soon, whatever it is doing, and the next start goes on; reel wait gives
# up when it is told to.
import os
import signal
import subprocess
import time

import mirror_cli
from mirror_cli import MirrorCase

WITHIN = 2.0  # seconds


class Stop(MirrorCase):
    kinds = ("ext4", "xfs")

    def ended(self, process, signum, code):
        got, took = self.stop(process, signum)
        self.assertEqual(got, code, self.said())
        self.assertLess(took, WITHIN)

    def bytes_there(self):
        try:
            return os.stat(self.target + "/big").st_blocks
        except FileNotFoundError:
            return 0

    def big(self):
        with open(self.source + "/big", "wb") as file:
            for _ in range(6):
                file.write(os.urandom(32 << 20))

    def test_in_a_long_copy(self):
        """The rate makes the copy as long as that of 4 GiB."""
        self.big()
        for signum, code in ((signal.SIGTERM, 0), (signal.SIGINT, 20)):
            process = self.start("--bwlimit", "20M", wait=False)
            self.until("it runs", lambda: os.path.exists(self.state + "/control.sock"))
            self.until("the copy has begun", lambda: self.bytes_there() > 2048)
            self.ended(process, signum, code)
        process = self.start()
        self.assertEqualTrees()
        self.assertEqual(self.stop(process)[0], 0)

    def test_in_a_copy_without_a_limit(self):
        self.big()
        process = self.start(wait=False)
        self.until("the copy has begun", lambda: self.bytes_there() > 2048)
        self.ended(process, signal.SIGTERM, 0)
        self.start()
        self.assertEqualTrees()

    def test_once(self):
        self.big()
        process = self.start("--once", "--bwlimit", "20M", wait=False)
        self.until("the copy has begun", lambda: self.bytes_there() > 2048)
        self.ended(process, signal.SIGINT, 20)
        self.assertIn("next start goes on", self.said())
        self.once()
        self.assertEqualTrees()

    def test_among_many_small_files(self):
        for i in range(20000):
            self.write("d%d/%d" % (i % 100, i), str(i))
        for signum, code in ((signal.SIGTERM, 0), (signal.SIGINT, 20), (signal.SIGTERM, 0)):
            process = self.start(wait=False)
            self.until("it runs", lambda: os.path.exists(self.state + "/control.sock"))
            self.ended(process, signum, code)
        self.start()
        self.assertEqualTrees()

    def test_when_idle(self):
        self.small_tree()
        process = self.start()
        self.ended(process, signal.SIGTERM, 0)
        process = self.start()
        self.ended(process, signal.SIGINT, 20)

    def test_with_objects_in_trouble(self):
        self.small_tree()
        os.mknod(self.source + "/node", 0o20600, os.makedev(1, 1 << 19))  # more than xfs can keep
        process = self.start(wait=False)
        self.settle(process, code=42)
        self.ended(process, signal.SIGTERM, 42)
        os.unlink(self.source + "/node")
        process = self.start()
        self.ended(process, signal.SIGTERM, 0)

    def test_killed_and_started_at_once(self):
        self.small_tree()
        for i in range(5):
            process = self.start()
            self.write("later%d" % i, "x")
            process.kill()  # it is still dying
            process = self.start()
            self.assertEqualTrees()
            process.kill()

    def test_wait_gives_up(self):
        self.big()
        process = self.start("--bwlimit", "5M", wait=False)
        self.until("the copy has begun", lambda: self.bytes_there() > 0)
        began = time.monotonic()
        got = self.reel("wait", "--state", self.state, "--timeout", "1")
        self.assertEqual(got[0], 30, got)
        self.assertLess(time.monotonic() - began, 5)
        self.assertIn("not settled", got[2])
        waiting = subprocess.Popen([mirror_cli.REEL, "wait", "--state", self.state], stderr=subprocess.PIPE)
        self.running.append(waiting)
        self.ended(process, signal.SIGTERM, 0)
        self.assertEqual(waiting.wait(10), 11)


if __name__ == "__main__":
    mirror_cli.main()

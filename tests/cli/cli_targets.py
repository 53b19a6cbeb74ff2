# SPDX-License-Identifier: Apache-2.0
#
# Two targets: one that is away or full does not hold up the other, catches up when it is back, and
# nothing is written under its mount point.
import json
import os
import shutil
import subprocess

import mirror_cli
import mounts
from mirror_cli import MirrorCase


class Targets(MirrorCase):
    def setUp(self):
        super().setUp()
        self.point = os.path.join(self.home, "mnt")
        self.image = os.path.join(self.home, "image")
        os.mkdir(self.point)
        with open(self.image, "wb") as file:
            file.truncate(48 << 20)
        mounts.run(mounts.MKFS["ext4"] + [self.image])
        self.mounted = False
        self.mount()

    def tearDown(self):
        super().tearDown()
        if self.mounted:
            mounts.run(["umount", "-l", self.point])

    def mount(self):
        mounts.run(["mount", "-o", "loop", self.image, self.point])
        self.mounted = True

    def unmount(self):
        """Only while reel is idle: it keeps no target busy then."""
        def done():
            try:
                mounts.run(["umount", self.point])
                return True
            except RuntimeError:
                return False
        self.until("unmounted", done)
        self.mounted = False

    def status(self, path):
        report = json.loads(self.reel("status", "--state", self.state, "--json")[1])
        return next(t for t in report["targets"] if t["path"] == path)

    def first_has(self, name):
        self.until("the target that is there goes on", lambda: os.path.exists(self.target + "/" + name))

    def test_unmounted_and_back(self):
        self.small_tree()
        process = self.start(targets=[self.target, self.point])
        self.unmount()
        self.write("while-away", "x")
        os.rename(self.source + "/a", self.source + "/moved")
        self.first_has("while-away")
        self.until("it is said to be away", lambda: self.status(self.point)["phase"] == "absent")
        self.assertIn(self.point, self.said())
        self.assertEqual(self.reel("wait", "--state", self.state, "--timeout", "1")[0], 30)
        self.assertEqual(os.listdir(self.point), [])
        self.mount()
        self.settle(process)
        self.assertEqualTrees(target=self.target)
        self.assertEqualTrees(target=self.point)
        self.assertEqual(self.stop(process)[0], 0)

    def test_away_at_the_start(self):
        self.small_tree()
        process = self.start(targets=[self.target, self.point])
        self.assertEqual(self.stop(process)[0], 0)
        self.unmount()
        self.write("between", "x")
        process = self.start(targets=[self.target, self.point], wait=False)
        self.first_has("between")
        self.assertEqual(os.listdir(self.point), [])
        self.mount()
        self.settle(process)
        self.assertEqualTrees(target=self.point)
        self.assertEqual(self.stop(process)[0], 0)
        # Alone it is an error at once.
        self.unmount()
        for args in (["--once"], []):
            got = self.mirror(*args, self.source, self.point)
            self.assertEqual(got[0], 44, got)
            self.assertIn("not mounted", got[2])
        self.assertEqual(os.listdir(self.point), [])

    def test_more_directories_than_descriptors(self):
        """Under the usual soft limit of 1024 descriptors."""
        for i in range(700):
            self.write("d%d/e/f" % i, "x")
        targets = [self.target + str(i) for i in range(3)]
        done = subprocess.run(["prlimit", "--nofile=1024:", mirror_cli.REEL, "mirror", "--once", "--state", self.state,
                               self.source, *targets], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[:2000])
        for target in targets:
            self.assertEqualTrees(target=target)
            shutil.rmtree(target)

    def test_full_and_emptied(self):
        self.small_tree()
        process = self.start(targets=[self.target, self.point])
        ballast = os.path.join(self.source, "ballast")
        for i in range(8):
            self.write("ballast/%d" % i, os.urandom(9 << 20))
        self.write("later", "x")
        self.first_has("later")
        self.until("the full one is in trouble", lambda: self.status(self.point)["troubles"] > 0 or
                   self.status(self.point)["problem"])
        self.assertRegex(json.dumps(self.status(self.point)), "No space left")
        self.until("the other is in sync", lambda: self.status(self.target)["settled"])
        self.assertEqualTrees(target=self.target)
        shutil.rmtree(ballast)
        self.settle(process)  # what was in trouble is tried again because somebody waits
        self.assertEqualTrees(target=self.point)
        self.assertEqual(self.stop(process)[0], 0)


if __name__ == "__main__":
    mirror_cli.main()

# SPDX-License-Identifier: Apache-2.0
#
# reel mirror -n: lists what --once would do and changes nothing.
import os
import shutil

import mirror_cli
from mirror_cli import MirrorCase


class DryRun(MirrorCase):
    def dry(self, *args, code=0):
        """Runs it, sees that nothing was changed, and returns the lines."""
        before = [self.snapshot(root) for root in (self.state, self.target) if os.path.exists(root)]
        there = [root for root in (self.state, self.target) if os.path.exists(root)]
        scratch = os.path.join(self.home, "tmp")
        os.makedirs(scratch, exist_ok=True)
        got = self.reel("mirror", "--state", self.state, "-n", *args, self.source, self.target,
                        env=dict(os.environ, TMPDIR=scratch))
        self.assertEqual(got[0], code, got)
        self.assertEqual(os.listdir(scratch), [])
        self.assertEqual([root for root in (self.state, self.target) if os.path.exists(root)], there)
        self.assertEqual([self.snapshot(root) for root in there], before)
        return sorted(got[1].splitlines())

    def assertSameAsOnce(self, *args):
        """-n, then --once: the same lines; returns them."""
        lines = self.dry("-i", *args)
        done = self.once("-i", *args)
        self.assertEqual(lines, sorted(done[1].splitlines()))
        self.assertEqualTrees()
        return lines

    def change(self):
        os.rename(self.source + "/a/one", self.source + "/moved")
        shutil.rmtree(self.source + "/b")
        self.write("a/two", "other")
        self.write("new/deep/file", "x")
        os.chmod(self.source + "/fifo", 0o600)
        os.rename(self.source + "/dir1", self.source + "/dir0")
        os.rename(self.source + "/dir2", self.source + "/dir1")
        os.rename(self.source + "/dir0", self.source + "/dir2")

    def bigger_tree(self):
        self.small_tree()
        for d in ("dir1", "dir2"):
            for i in range(20):
                self.write("%s/sub/%d" % (d, i), d + str(i))

    def test_nothing_there_yet(self):
        self.small_tree()
        lines = self.assertSameAsOnce()
        self.assertTrue(any(line.endswith(" a/one") or " a/one" in line for line in lines), lines)

    def test_paths_without_i(self):
        self.small_tree()
        lines = self.dry()
        self.assertIn("a/two", lines)
        self.assertIn("b/c/three", lines)

    def test_changes(self):
        self.bigger_tree()
        self.once()
        self.change()
        lines = self.assertSameAsOnce()
        self.assertTrue(any(line.startswith("*moving") for line in lines), lines)
        self.assertTrue(any(line.startswith("*deleting") for line in lines), lines)
        self.assertTrue(any(line.startswith(">fc") and line.endswith(" a/two") for line in lines), lines)
        self.assertEqual(self.dry("-i"), [])

    def test_nothing_to_do(self):
        self.small_tree()
        self.once()
        self.assertEqual(self.dry(), [])

    def test_adopt(self):
        self.bigger_tree()
        shutil.copytree(self.source + "/dir1", self.target + "/dir1")
        self.write("dir1/sub/3", "damaged", root=self.target)
        self.write("extra/below/it", "x", root=self.target)
        os.mkdir(self.target + "/a")
        self.write("a/one/not-a-file", "x", root=self.target)
        lines = self.assertSameAsOnce("--adopt")
        self.assertIn("*deleting   extra/", lines)

    def test_not_empty(self):
        self.small_tree()
        self.write("mine", "x", root=self.target)
        self.dry(code=44)

    def test_max_delete(self):
        self.bigger_tree()
        self.once()
        shutil.rmtree(self.source + "/dir1")
        self.dry("--max-delete", "5", code=25)

    def test_after_a_following_mirror(self):
        self.bigger_tree()
        process = self.start()
        self.write("during", "x")
        self.settle(process)
        self.assertEqual(self.stop(process)[0], 0)
        self.change()
        self.assertSameAsOnce()

    def test_busy(self):
        self.small_tree()
        self.start()
        got = self.mirror("-n", self.source, self.target)
        self.assertEqual(got[0], 43, got)

    def test_killed_in_between(self):
        self.bigger_tree()
        for i in range(3000):
            self.write("many/%d" % i, str(i))
        process = self.start(wait=False)
        self.until("something on the target", lambda: os.path.isdir(self.target + "/many"))
        process.kill()
        process.wait()
        self.assertSameAsOnce()


if __name__ == "__main__":
    mirror_cli.main()

# SPDX-License-Identifier: Apache-2.0
#
# reel mirror with arguments and states that are not right: a clear message, the right exit code, and
# nothing lost.
import glob
import os
import re
import shutil
import subprocess

import mirror_cli
from mirror_cli import MirrorCase


class BadInput(MirrorCase):
    def refused(self, code, pattern, *args, keep=()):
        """The command ends with this code and says something that matches; `keep` stays as it is."""
        before = [self.snapshot(root) for root in keep]
        got = self.reel(*args)
        self.assertEqual(got[0], code, got)
        self.assertRegex(got[2], pattern)
        self.assertEqual(got[1], "")
        self.assertTrue(got[2].startswith("reel: ") or code == 1, got)
        self.assertEqual([self.snapshot(root) for root in keep], before)

    def mirror_args(self, *args, source=None, target=None, state=None):
        return ["mirror", "--once", "--state", state or self.state, *args, source or self.source, target or self.target]

    def test_options(self):
        self.small_tree()
        for args in (["--no-such-option"], ["--bwlimit", "fast"], ["--max-delete", "-1"], ["--max-delete", "many"],
                     ["--jobs", "x"], ["--filter", "Q what"], ["--exclude-from", self.home + "/none"], ["--bwlimit", "-5"]):
            got = self.reel(*self.mirror_args(*args))
            self.assertEqual(got[0], 11 if "--exclude-from" in args else 1, (args, got))
            self.assertTrue(got[2].strip(), args)
        for args in ([], ["mirror"], ["mirror", self.source], ["no-such-verb"]):
            self.assertEqual(self.reel(*args)[0], 1, args)
        self.assertFalse(os.path.exists(self.target))
        self.assertFalse(os.path.exists(self.state))

    def test_help(self):
        for verb in ([], ["mirror"], ["wait"], ["status"], ["verify"], ["log"]):
            got = self.reel(*verb, "--help")
            self.assertEqual(got[0], 0, got)
            self.assertEqual(got[2], "")
            self.assertTrue(got[1].strip())

    def test_missing_source(self):
        self.refused(11, "no-such", *self.mirror_args(source=self.home + "/no-such"))
        self.assertFalse(os.path.exists(self.target))

    def test_source_is_a_file(self):
        self.refused(1, "not a directory", *self.mirror_args(source=self.write("file", "x")))

    def test_target_is_a_file(self):
        file = self.write("file", "x", root=self.home)
        self.refused(1, "not a directory", *self.mirror_args(target=file))
        with open(file) as text:
            self.assertEqual(text.read(), "x")

    def test_target_without_parent(self):
        self.refused(11, "is not there", *self.mirror_args(target=self.home + "/none/target"))

    def test_same_and_nested(self):
        self.small_tree()
        os.mkdir(self.source + "/inside")
        keep = [self.source]
        self.refused(1, "the same", *self.mirror_args(target=self.source), keep=keep)
        self.refused(1, "the same", *self.mirror_args(target=self.source + "/a/.."), keep=keep)
        self.refused(1, "inside the source", *self.mirror_args(target=self.source + "/inside"), keep=keep)
        self.refused(1, "inside the source", *self.mirror_args(target=self.source + "/made/by-it"[:5]), keep=keep)
        self.refused(1, "inside the target", *self.mirror_args(source=self.source + "/a", target=self.source), keep=keep)
        self.refused(1, "inside the target", *self.mirror_args("--adopt", target=self.home), keep=keep)
        os.symlink(self.source, self.home + "/alias")
        self.refused(1, "the same", *self.mirror_args(target=self.home + "/alias"), keep=keep)
        bound = self.home + "/bound"
        os.mkdir(bound)
        subprocess.run(["mount", "--bind", self.source, bound], check=True)
        try:
            self.refused(1, "the same", *self.mirror_args(target=bound), keep=keep)
        finally:
            subprocess.run(["umount", bound], check=True)

    def test_target_twice(self):
        self.small_tree()
        got = self.mirror("--once", self.source, self.target, self.target + "/")
        self.assertEqual(got[0], 1, got)
        self.assertIn("twice", got[2])

    def test_not_empty_and_foreign_target(self):
        self.small_tree()
        self.write("precious", "x", root=self.target)
        self.refused(44, "not empty", *self.mirror_args(), keep=[self.target])
        os.unlink(self.target + "/precious")
        self.once()
        self.refused(44, "another source or state", *self.mirror_args(state=self.home + "/other-state"), keep=[self.target])

    def test_foreign_state(self):
        self.small_tree()
        self.once()
        other = self.home + "/other"
        os.mkdir(other)
        self.refused(44, "belongs to the source", *self.mirror_args(source=other, target=self.home + "/t2"),
                     keep=[self.state, self.target])
        self.assertFalse(os.path.exists(self.home + "/t2"))

    def test_state_that_is_none(self):
        self.small_tree()
        self.write("letters", "x", root=self.home + "/documents")
        os.chmod(self.home + "/documents", 0o755)
        self.refused(44, "not a mirror's state", *self.mirror_args(state=self.home + "/documents"),
                     keep=[self.home + "/documents"])
        self.refused(11, "file", *self.mirror_args(state=self.write("file", "x", root=self.home)))
        self.assertFalse(os.path.exists(self.target))

    def test_newer_state(self):
        self.small_tree()
        self.once()
        file = self.state + "/source"
        with open(file) as text:
            lines = text.read()
        with open(file, "w") as text:
            text.write(re.sub("version .*", "version 99", lines))
        self.refused(45, "newer", *self.mirror_args(), keep=[self.state, self.target])
        self.refused(45, "newer", *self.mirror_args("-n"), keep=[self.state, self.target])

    def test_damaged_state(self):
        self.small_tree()
        self.once()
        with open(self.state + "/source", "w") as text:
            text.write("\0\0\0\0")
        self.refused(11, "damaged", *self.mirror_args(), keep=[self.state, self.target])

    def test_damaged_index(self):
        self.small_tree()
        self.once()
        for file in glob.glob(self.state + "/targets/*/index/*.log") + glob.glob(self.state + "/targets/*/index/MANIFEST*"):
            with open(file, "r+b") as index:
                index.seek(0, os.SEEK_END)
                size = index.tell()
                index.seek(size // 2)
                index.write(b"garbage" * 3)
        before = self.snapshot(self.target)
        got = self.mirror("--once", self.source, self.target)
        self.assertEqual(got[0], 11, got)
        self.assertRegex(got[2], "index .*--adopt")
        self.assertEqual(self.snapshot(self.target), before)

    def test_the_way_out_of_damage(self):
        self.small_tree()
        self.once()
        shutil.rmtree(self.state)
        got = self.once("--adopt", "--json")
        self.assertIn('"bytes_copied_total":0', got[1])
        self.assertEqualTrees()

    def test_second_instance(self):
        self.small_tree()
        process = self.start()
        self.refused(43, "in use", *self.mirror_args())
        self.refused(43, "in use", *self.mirror_args(target=self.home + "/another"))
        self.assertFalse(os.path.exists(self.home + "/another"))
        self.assertIsNone(process.poll())

    def test_wrong_source_mounted(self):
        """The source is a mount point, and what was mounted there is not any more, or is another one."""
        self.source = self.home + "/mnt"
        os.mkdir(self.source)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.source], check=True)
        try:
            self.small_tree()
            self.once()
        finally:
            subprocess.run(["umount", self.source], check=True)
        self.refused(44, "not mounted", *self.mirror_args(), keep=[self.target])
        self.refused(44, "not mounted", *self.mirror_args("--adopt"), keep=[self.target])

    def test_source_goes_away(self):
        self.source = self.home + "/mnt"
        os.mkdir(self.source)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.source], check=True)
        try:
            self.small_tree()
            process = self.start()
            before = self.snapshot(self.target)
        finally:
            subprocess.run(["umount", "-l", self.source], check=True)
        self.assertEqual(process.wait(30), 24, self.said())
        self.assertEqual(self.snapshot(self.target), before)

    def test_wait_and_status_without_a_mirror(self):
        got = self.reel("wait", "--state", self.state)
        self.assertEqual(got[0], 11, got)
        self.assertIn("no reel is running", got[2])
        self.assertEqual(self.reel("status", "--state", self.state)[0], 11)
        self.small_tree()
        self.once()
        self.assertEqual(self.reel("wait", "--state", self.state)[0], 11)
        got = self.reel("status", "--state", self.state)
        self.assertEqual(got[0], 0, got)

    def test_source_that_is_a_target(self):
        """A chain of mirrors: what is the middle one's own stays there."""
        self.small_tree()
        self.once()
        last = self.home + "/last"
        state = self.home + "/state2"
        for _ in range(2):
            got = self.reel(*self.mirror_args(source=self.target, target=last, state=state))
            self.assertEqual(got[0], 0, got)
            self.write("more", "x")
            self.once()
        ids = [self.snapshot(root + "/.reel")[os.fsencode(root + "/.reel/id")][-1] for root in (last, self.target)]
        self.assertNotEqual(*ids)
        self.assertEqual(self.reel("verify", self.target, last)[0], 41)
        self.assertEqual(self.reel(*self.mirror_args(source=self.target, target=last, state=state))[0], 0)
        self.assertEqual(self.reel("verify", self.target, last)[0], 0)

    def test_user_of_the_log_gone(self):
        """What was cleared away while nobody kept it for this target is found by a scan."""
        self.small_tree()
        process = self.start()
        self.assertEqual(self.stop(process)[0], 0)
        users = self.reel("users", self.state)[1]
        user = re.search(r"cl\d+-t\w+", users)[0]
        other = self.home + "/other-target"
        process = self.start(targets=[other])
        self.assertEqual(self.reel("deregister", self.state, user)[0], 0)
        self.write("unseen", "x")
        self.settle(process)
        self.assertEqual(self.stop(process)[0], 0)
        self.start()
        self.assertEqualTrees()

    def test_state_inside_the_source(self):
        self.small_tree()
        self.state = self.source + "/b/state"
        self.once()
        self.assertFalse(os.path.exists(self.target + "/b/state"))
        self.assertEqual(self.reel("verify", self.source, self.target)[0], 0)
        process = self.start()
        self.write("more", "x")
        os.rename(self.source + "/b", self.source + "/bb")
        os.rename(self.source + "/bb", self.source + "/b")
        self.settle(process)
        self.assertFalse(os.path.exists(self.target + "/b/state"))
        self.assertEqual(self.reel("verify", self.source, self.target)[0], 0)
        self.assertEqual(self.stop(process)[0], 0)
        self.assertEqual(self.reel(*self.mirror_args(state=self.source))[0], 1)


if __name__ == "__main__":
    mirror_cli.main()

# SPDX-License-Identifier: Apache-2.0
#
# recorded:DIR and lustre:MOUNT as sources, and the mirror of a lustre_rsync taken over.
import json
import os
import shutil
import struct
import tarfile

import mirror_cli
from mirror_cli import MirrorCase

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FIXTURES = os.environ.get("REEL_FIXTURES") or os.path.join(ROOT, "..", "shared", "fixtures")


def fid_line(path, fid, **more):
    return json.dumps({"path": path, "fid": "[0x200000402:0x%x:0x0]" % fid, **more})


class Recorded(MirrorCase):
    def recording(self, name):
        """A fixture laid out as DIR, or None."""
        fixture = os.path.join(FIXTURES, "lustre", name)
        if not os.path.isdir(fixture):
            self.skipTest("no recordings; set REEL_FIXTURES to the folder with lustre/ in it")
        at = os.path.join(self.source, name.replace("/", "-"))
        os.mkdir(at)
        for file in ("mdt0.raw", "mdt1.raw", "after.jsonl"):
            shutil.copyfile(os.path.join(fixture, file), os.path.join(at, file))
        with tarfile.open(os.path.join(fixture, "final.tar.gz")) as tar:
            tar.extractall(os.path.join(at, "tree"), numeric_owner=True)
        return at

    def assertManifest(self, at):
        paths = set()
        with open(os.path.join(at, "after.jsonl")) as lines:
            entries = [json.loads(line) for line in lines]
        for entry in entries:
            path = os.path.join(os.fsencode(self.target), entry["path"].encode("utf-8", "surrogateescape"))
            paths.add(os.path.normpath(path))
            found = os.lstat(path)
            self.assertEqual(found.st_mtime_ns, entry["mtime_ns"], path)
            self.assertEqual((found.st_uid, found.st_gid), (entry["uid"], entry["gid"]), path)
            if entry["type"] != "l":
                self.assertEqual("%04o" % (found.st_mode & 0o7777), entry["mode"], path)
        there = {os.path.join(base, name) for base, dirs, files in os.walk(os.fsencode(self.target))
                 for name in dirs + files if b"/.reel" not in os.path.join(base, name)}
        self.assertEqual(there, paths - {os.fsencode(self.target)})

    def test_once_and_again(self):
        at = self.recording("full_2mdt/a_tour")
        got = self.mirror("--once", "--stats", "recorded:" + at, self.target)
        self.assertEqual(got[0], 0, got)
        self.assertIn("records 449", got[1])
        self.assertManifest(at)
        got = self.mirror("--once", "--stats", "recorded:" + at, self.target)
        self.assertEqual(got[0], 0, got)
        self.assertIn("created 0, removed 0, moved 0", got[1])
        # The log has the records of both MDTs, as they were.
        got = self.reel("export", self.state, "--stream", "mdt1", "--format", "lfs")
        self.assertEqual(got[1].splitlines()[0].split()[1], "02MKDIR")

    def test_followed_until_stopped(self):
        at = self.recording("default_1mdt/b_rename")
        self.source = "recorded:" + at
        process = self.start()
        self.assertManifest(at)
        report = json.loads(self.reel("status", "--state", self.state, "--json")[1])
        self.assertEqual(report["targets"][0]["streams"]["mdt0"]["cursor"], 1188)
        self.assertEqual(self.stop(process)[0], 0)
        self.source = os.path.dirname(at)

    def plain(self, records=b""):
        """A recording made by hand: a manifest with nothing in it but names and FIDs."""
        at = os.path.join(self.source, "plain")
        self.write("plain/tree/d/f", "text")
        self.write("plain/mdt0.raw", records)
        self.write("plain/after.jsonl", "\n".join([fid_line(".", 1), fid_line("d", 2), fid_line("d/f", 3)]) + "\n")
        return at

    def test_what_the_manifest_leaves_out_comes_from_the_tree(self):
        at = self.plain()
        os.chmod(at + "/tree/d/f", 0o640)
        self.assertEqual(self.mirror("--once", "recorded:" + at, self.target)[0], 0)
        self.assertEqualTrees(at + "/tree", self.target)

    def test_damaged_records_are_told_and_a_gap(self):
        at = self.plain(b"nonsense" * 20)
        got = self.mirror("--once", "recorded:" + at, self.target)
        self.assertEqual(got[0], 0, got)
        self.assertIn("mdt0.raw: damaged at byte 0", got[2])
        self.assertEqualTrees(at + "/tree", self.target)
        self.assertIn("32GAP", self.reel("log", self.state)[1])

    def test_contents_that_are_not_there_are_trouble(self):
        at = self.plain()
        os.unlink(at + "/tree/d/f")
        got = self.mirror("--once", "recorded:" + at, self.target)
        self.assertEqual(got[0], 42, got)
        self.assertIn("d/f", got[2])

    def test_bad_recordings(self):
        at = self.plain()
        for text, said in (("{", "line 1"), (fid_line("d", 2), "path"), (fid_line(".", 1) + "\n" + fid_line("x/y", 3), "x/y"),
                           (json.dumps({"path": "."}), "fid")):
            self.write("plain/after.jsonl", text)
            got = self.mirror("--once", "recorded:" + at, self.target)
            self.assertNotEqual(got[0], 0)
            self.assertIn(said, got[2])
        os.unlink(at + "/mdt0.raw")
        got = self.mirror("--once", "recorded:" + at, self.target)
        self.assertEqual(got[0], 11)
        self.assertIn("no recorded changelog", got[2])

    def test_what_is_no_lustre(self):
        got = self.mirror("--once", "lustre:" + self.source, self.target)
        self.assertEqual(got[0], 11, got)
        self.assertIn("there is no Lustre", got[2])
        self.assertFalse(os.path.exists(self.target))
        got = self.reel("log", "lustre:" + self.source)
        self.assertEqual(got[0], 11, got)
        self.assertIn("not on a Lustre", got[2])


class StatusLog(MirrorCase):
    def status_log(self, source, *targets):
        def text(value, size):
            return os.fsencode(value).ljust(size, b"\0")
        head = struct.pack("=IIQ", 1, 4312 + 4097 * len(targets), 77) + text("cl1", 65) + text("lustre-MDT0000", 65)
        head += text("lustre", 65) + text(source, 4097)
        return self.write("status", head + struct.pack("=I", len(targets)) + b"".join(text(t, 4097) for t in targets),
                          root=self.home)

    def test_a_mirror_is_taken_over(self):
        self.small_tree()
        shutil.copytree(self.source + "/a", self.target + "/a")
        self.write("a/one", "x", root=self.target)
        self.write(".lustrerepl/0x200000402:0x7:0x0", "left", root=self.target)
        log = self.status_log(self.source, self.target)
        self.assertEqual(self.once(code=44)[0], 44)  # not empty, and nobody said to take it
        self.once("--adopt-statuslog", log)
        self.assertEqualTrees()
        self.assertFalse(os.path.exists(self.target + "/.lustrerepl"))

    def test_a_status_log_of_something_else(self):
        self.small_tree()
        self.write("x", "keep", root=self.target)
        other = self.status_log(self.source, self.home + "/other")
        got = self.once("--adopt-statuslog", other, code=44)
        self.assertIn("does not know the target", got[2])
        got = self.once("--adopt-statuslog", self.status_log("/mnt/lustre", self.target), code=44)
        self.assertIn("of a mirror of /mnt/lustre", got[2])
        with open(self.status_log(self.source, self.target), "rb") as log:
            cut_off = log.read()[:6000]
        for damaged in (b"", b"x" * 100, cut_off):
            got = self.once("--adopt-statuslog", self.write("damaged", damaged, root=self.home), code=11)
            self.assertIn("status log", got[2])
        self.assertEqual(os.listdir(self.target), ["x"])


if __name__ == "__main__":
    mirror_cli.main()

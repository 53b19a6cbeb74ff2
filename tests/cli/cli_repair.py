# SPDX-License-Identifier: Apache-2.0
#
# reel verify --repair: a target that was damaged in every way behind the mirror's back is made equal
# again, by the reel that runs and without one.
import os
import random
import shutil

import mirror_cli
from mirror_cli import MirrorCase


def same_times(path, like):
    os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns), follow_symlinks=False)


class Repair(MirrorCase):
    def tree(self):
        for d in ("d1", "d2", "d3", "d4"):
            for i in range(12):
                self.write("%s/sub/f%d" % (d, i), (d + str(i)) * 500)
        self.small_tree()
        os.link(self.source + "/d1/sub/f11", self.source + "/d2/hard")
        os.link(self.source + "/d1/sub/f10", self.source + "/d3/hard")
        os.mknod(self.source + "/node", 0o20644, os.makedev(1, 3))
        os.setxattr(self.source + "/d1/sub/f0", "user.x", b"value")

    # Each damages the target and says which names the damage is to be seen at.
    def contents(self):
        path = self.target + "/d1/sub/f1"
        like = os.stat(path)
        with open(path, "r+b") as file:
            file.seek(777)
            file.write(b"X")
        same_times(path, like)

    def missing(self):
        os.unlink(self.target + "/d1/sub/f2")

    def missing_dir(self):
        shutil.rmtree(self.target + "/d3/sub")

    def extra(self):
        self.write("extra-file", "x", root=self.target)
        self.write("extra-dir/below/file", "x", root=self.target)
        os.symlink("/etc", self.target + "/d1/extra-link")

    def mode(self):
        os.chmod(self.target + "/d1/sub/f3", 0o777)
        os.chmod(self.target + "/d2", 0o700)
        os.chown(self.target + "/d1/sub/f4", 1234, 1234)

    def root_mode(self):
        os.chmod(self.target, 0o711)

    def xattrs(self):
        os.removexattr(self.target + "/d1/sub/f0", "user.x")
        os.setxattr(self.target + "/d1/sub/f5", "user.more", b"x")

    def swapped(self):
        self.swap("/d1/sub/f6", "/d2/sub/f6")

    def swapped_dirs(self):
        self.swap("/d1/sub", "/d4/sub")

    def swap(self, one, two):
        os.rename(self.target + one, self.target + "/swap")
        os.rename(self.target + two, self.target + one)
        os.rename(self.target + "/swap", self.target + two)

    def dir_by_file(self):
        shutil.rmtree(self.target + "/b")
        self.write("b", "not a directory", root=self.target)

    def file_by_dir(self):
        os.unlink(self.target + "/d1/sub/f7")
        self.write("d1/sub/f7/file", "x", root=self.target)

    def dir_by_link(self):
        outside = self.home + "/outside"
        self.write("f0", "precious", root=outside)
        shutil.rmtree(self.target + "/d4/sub", ignore_errors=True)
        os.symlink(outside, self.target + "/d4/sub")

    def symlink_text(self):
        os.unlink(self.target + "/link")
        os.symlink("elsewhere", self.target + "/link")

    def links_broken(self):
        for name in ("/d2/hard", "/d1/sub/f10"):  # the copy is once the first name, once the other
            path = self.target + name
            shutil.copy2(path, path + ".copy")
            os.rename(path + ".copy", path)

    def links_too_many(self):
        os.unlink(self.target + "/d1/sub/f8")
        os.link(self.target + "/d1/sub/f9", self.target + "/d1/sub/f8")

    def moved(self):
        os.rename(self.target + "/d2/sub/f1", self.target + "/d1/here-now")
        os.mkdir(self.target + "/new-place")
        os.rename(self.target + "/d2/sub/f2", self.target + "/new-place/f2")

    def moved_dir(self):
        os.rename(self.target + "/d2", self.target + "/d2-renamed")

    def node(self):
        os.unlink(self.target + "/node")
        os.mknod(self.target + "/node", 0o20644, os.makedev(1, 5))

    DAMAGES = ("contents missing missing_dir extra mode root_mode xattrs swapped swapped_dirs dir_by_file file_by_dir "
               "dir_by_link symlink_text links_broken links_too_many moved moved_dir node").split()

    def verify(self, *args):
        return self.reel("verify", self.source, self.target, *args)

    def repaired(self):
        got = self.verify()
        self.assertEqual(got[0], 41, got)
        got = self.verify("--repair", "--state", self.state)
        self.assertEqual(got[0], 0, (got, self.said() if os.path.exists(self.home + "/log") else ""))
        self.assertEqualTrees()
        self.assertEqual(self.verify()[0], 0)
        if os.path.exists(self.home + "/outside"):
            with open(self.home + "/outside/f0") as file:
                self.assertEqual(file.read(), "precious")

    def test_alone(self):
        self.tree()
        self.once()
        for damage in self.DAMAGES:
            with self.subTest(damage):
                getattr(self, damage)()
                self.repaired()

    def test_running(self):
        self.tree()
        process = self.start()
        for damage in self.DAMAGES:
            with self.subTest(damage):
                getattr(self, damage)()
                self.repaired()
        self.write("after", "x")
        os.rename(self.source + "/d1", self.source + "/d1-renamed")
        self.settle(process)
        self.assertEqualTrees()
        self.assertEqual(self.stop(process)[0], 0)

    def test_all_at_once(self):
        seed = random.SystemRandom().randrange(1 << 30)
        self.tree()
        self.once()
        for round in range(6):
            damages = random.Random(seed + round).sample(self.DAMAGES, 6)
            with self.subTest(seed=seed, round=round, damages=damages):
                for damage in damages:
                    try:
                        getattr(self, damage)()
                    except OSError:
                        pass  # the one before left nothing to damage
                self.repaired()

    def test_nothing_to_repair(self):
        self.tree()
        self.once()
        self.assertEqual(self.verify("--repair", "--state", self.state)[0], 0)

    def test_no_mirror_of_ours(self):
        self.tree()
        self.once()
        self.write("extra", "x", root=self.target)
        got = self.verify("--repair", "--state", self.home + "/nothing-here")
        self.assertEqual(got[0], 44, got)
        self.assertFalse(os.path.exists(self.home + "/nothing-here"))
        other = self.home + "/other"
        shutil.copytree(self.target + "/d1", other)
        got = self.reel("verify", self.source, other, "--repair", "--state", self.state)
        self.assertEqual(got[0], 44, got)
        self.assertFalse(os.path.exists(other + "/.reel"))


if __name__ == "__main__":
    mirror_cli.main()

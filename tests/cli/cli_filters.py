# SPDX-License-Identifier: Apache-2.0
#
# Filters while following: what is renamed across a filter's edge, and a filter that is another one
# after a restart.
import os

import mirror_cli
from mirror_cli import MirrorCase


class Filters(MirrorCase):
    RULES = ("--exclude", "*.tmp", "--exclude", "/cache/", "--include", "/logs/keep*", "--exclude", "/logs/*")

    def there(self):
        """The names on the target."""
        names = set()
        for base, dirs, files in os.walk(self.target):
            if base == self.target:
                dirs.remove(".reel")
            names |= {os.path.relpath(os.path.join(base, name), self.target) for name in dirs + files}
        return names

    def rename(self, one, two):
        os.rename(os.path.join(self.source, one), os.path.join(self.source, two))

    def follow(self, change, names):
        change()
        self.settle(self.process)
        self.assertEqual(self.there(), set(names))
        got = self.reel("verify", *self.RULES, self.source, self.target)
        self.assertEqual(got[0], 0, got)

    def test_renames_across_the_edge(self):
        self.write("a.tmp", "text of a")
        self.write("b", "text of b")
        self.write("cache/big", "x")
        self.write("dir/sub/file", "x")
        self.write("dir/sub/file.tmp", "x")
        self.write("logs/keep1", "x")
        self.write("logs/drop1", "x")
        self.process = self.start(*self.RULES)
        rest = {"logs", "logs/keep1", "dir", "dir/sub", "dir/sub/file"}
        self.assertEqual(self.there(), rest | {"b"})
        # into sight, out of sight
        self.follow(lambda: self.rename("a.tmp", "a"), rest | {"a", "b"})
        with open(self.target + "/a") as file:
            self.assertEqual(file.read(), "text of a")
        self.follow(lambda: self.rename("b", "b.tmp"), rest | {"a"})
        self.follow(lambda: self.rename("a", "cache/a"), rest)
        self.follow(lambda: self.rename("cache/a", "a"), rest | {"a"})
        # whole directories, with what is excluded in them
        gone = {"logs", "logs/keep1", "a"}
        self.follow(lambda: self.rename("dir", "cache/dir"), gone)
        self.follow(lambda: self.rename("cache/dir/sub", "sub"), gone | {"sub", "sub/file"})
        self.follow(lambda: self.rename("cache", "shown"),
                    gone | {"sub", "sub/file", "shown", "shown/big", "shown/dir"})
        self.follow(lambda: self.rename("shown", "cache"), gone | {"sub", "sub/file"})
        # an included name that becomes an excluded one where the rules change with the path
        self.follow(lambda: self.rename("logs/keep1", "logs/drop2"), {"logs", "a", "sub", "sub/file"})
        self.follow(lambda: self.rename("logs", "other"),
                    {"other", "other/drop1", "other/drop2", "a", "sub", "sub/file"})
        self.follow(lambda: self.rename("other", "logs"), {"logs", "a", "sub", "sub/file"})
        # a hard link of which one name is left out
        self.follow(lambda: os.link(self.source + "/a", self.source + "/a-link.tmp"), {"logs", "a", "sub", "sub/file"})
        self.follow(lambda: os.unlink(self.source + "/a"), {"logs", "sub", "sub/file"})
        self.follow(lambda: self.rename("a-link.tmp", "a2"), {"logs", "a2", "sub", "sub/file"})
        self.follow(lambda: self.write("sub/new.tmp", "x"), {"logs", "a2", "sub", "sub/file"})
        self.assertEqual(self.stop(self.process)[0], 0)

    def test_another_filter_after_a_restart(self):
        self.write("a.tmp", "x")
        self.write("d/b.tmp", "x")
        self.write("d/c", "x")
        process = self.start("--exclude", "*.tmp")
        self.assertEqual(self.there(), {"d", "d/c"})
        self.assertEqual(self.stop(process)[0], 0)
        process = self.start()
        self.assertEqual(self.there(), {"d", "d/c", "d/b.tmp", "a.tmp"})
        self.assertEqual(self.stop(process)[0], 0)
        process = self.start("--exclude", "c")
        self.assertEqual(self.there(), {"d", "d/b.tmp", "a.tmp"})

    def test_once_and_dry_run(self):
        self.write("a.tmp", "x")
        self.write("d/b", "x")
        lines = self.mirror("-n", *self.RULES, self.source, self.target)[1].splitlines()
        self.assertIn("d/b", lines)
        self.assertNotIn("a.tmp", lines)
        self.once(*self.RULES)
        self.assertEqual(self.there(), {"d", "d/b"})


if __name__ == "__main__":
    mirror_cli.main()

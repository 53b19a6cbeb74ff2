# SPDX-License-Identifier: Apache-2.0
#
# Makes a failing run small: removes operations from its log as long as the command still fails
# (delta debugging), and leaves the fewest operations it found in OUT.
#
#   python3 shrink.py --log LOG --out OUT -- CMD ... {} ...
#   python3 shrink.py --seed N --ops N --out OUT -- CMD ... {} ...
#
# {} in CMD stands for the log to try; CMD fails with exit code 1, anything else is "does not fail".
# With --seed the log is made first, by workload.py in one process on an empty directory. For example
#   shrink.py --log ops.log --out small.log -- python3 run_mirror.py --reel build/reel --replay {} --tries 3
import argparse
import os
import subprocess
import sys
import tempfile

import mounts


def fails(command, lines, place, limit):
    """Does the command still fail with only these operations?"""
    path = os.path.join(place, "try.log")
    with open(path, "w") as f:
        f.writelines(lines)
    try:
        done = subprocess.run([part.replace("{}", path) for part in command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=limit)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 1


def shrink(lines, still_fails, tell=lambda text: None):
    """The shortest list that still fails which removing any one part of cannot better."""
    pieces = 2
    while len(lines) >= 2:
        size = max(1, len(lines) // pieces)
        start, removed = 0, False
        while start < len(lines):
            less = lines[:start] + lines[start + size:]
            if less and still_fails(less):
                lines, removed = less, True
                tell("%d operations" % len(lines))
            else:
                start += size
        if size == 1 and not removed:
            break
        pieces = pieces if removed and size > 1 else min(len(lines), pieces * 2)
    return lines


def make_log(options, place):
    """The operations of one process on an empty directory."""
    with mounts.Bench() as bench:
        top = bench.mount(options.source)
        os.mkdir(top + "/src"), os.mkdir(top + "/out")
        path = os.path.join(place, "full.log")
        command = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "workload.py"), top + "/src",
                   "--outside", top + "/out", "--procs", "1", "--seed", str(options.seed), "--ops", str(options.ops),
                   "--log", path]
        subprocess.run(command, check=True)
        return path


def main():
    args = sys.argv[1:]
    if "--" not in args:
        sys.exit("shrink: no command: put it after --")
    command = args[args.index("--") + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", help="the operations of the failing run")
    parser.add_argument("--seed", type=int, help="make the log from this seed")
    parser.add_argument("--ops", type=int, default=4000)
    parser.add_argument("--source", choices=mounts.KINDS, default="ext4")
    parser.add_argument("--out", required=True)
    parser.add_argument("--limit", type=int, default=300, help="seconds for one try")
    options = parser.parse_args(args[:args.index("--")])
    if (options.log is None) == (options.seed is None):
        parser.error("either --log or --seed")
    with tempfile.TemporaryDirectory(prefix="reel-shrink-") as place:
        if options.log is None:
            mounts.need_kinds(options.source, "ext4")
            mounts.enter_own_world()
        lines = open(options.log or make_log(options, place)).readlines()

        def still_fails(some):
            return fails(command, some, place, options.limit)

        if not still_fails(lines):
            print("shrink: the command does not fail with all %d operations" % len(lines), file=sys.stderr)
            return 1
        small = shrink(lines, still_fails, lambda text: print("shrink: " + text, file=sys.stderr))
        with open(options.out, "w") as f:
            f.writelines(small)
        print("shrink: %d of %d operations are left in %s" % (len(small), len(lines), options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())

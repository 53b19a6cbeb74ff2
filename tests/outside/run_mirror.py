# SPDX-License-Identifier: Apache-2.0
#
# The mirror from outside: reel is started as a person would, a workload runs, `reel wait` returns,
# and then nothing may differ: neither for `reel verify --level full` nor for check.py.
#
#   python3 run_mirror.py --reel PATH --scenario NAME [--source ext4] [--target xfs] [--seed N] ...
#
# Scenarios are the functions below whose names begin with `scenario_`; their first line says what
# must hold. All of them end with equal trees.
import argparse
import json
import os
import shutil
import stat
import sys
import threading
import time

import check
import harness
import mounts
import ops
from harness import Failure, Stage, nap, poll, untouched
from kill_points import scenario_kill_points  # noqa: F401
from power_cut import scenario_power_cut  # noqa: F401

MARK = b"marker-that-must-never-leave-the-outside"


def scenario_pair(options, bench):
    """A workload beside the mirror, from one file system to another."""
    stage = Stage(options, bench)
    stage.reel.start()
    stage.run_workload()
    stage.reel.equal()


def scenario_first(options, bench):
    """What is there before the mirror starts."""
    stage = Stage(options, bench)
    stage.run_workload()
    stage.reel.start()
    stage.reel.equal()


def scenario_same_fs(options, bench):
    """Source, target and state on one file system: the mirror must not see its own work as news."""
    options.state_on = "source"
    stage = Stage(options, bench)
    stage.targets[:] = [os.path.join(stage.source_mount, "tgt")]
    os.mkdir(stage.targets[0])
    stage.reel.start()
    stage.run_workload()
    stage.reel.equal()


def scenario_root(options, bench):
    """The source is the root of its file system, the target too."""
    stage = Stage(options, bench)
    stage.reel.source = stage.source_mount
    stage.reel.targets = stage.target_mounts
    os.rmdir(stage.targets[0])
    if os.path.exists(stage.target_mounts[0] + "/lost+found"):
        os.rmdir(stage.target_mounts[0] + "/lost+found")
    stage.reel.start()
    stage.run_workload()
    stage.reel.equal()


def scenario_two_targets(options, bench):
    """Two targets on different file systems, both equal."""
    stage = Stage(options, bench, target_kinds=[options.target, "xfs" if options.target != "xfs" else "btrfs"])
    stage.reel.start()
    stage.run_workload()
    stage.reel.equal()


def scenario_kill(options, bench):
    """kill -9 at random moments and a restart each time: equal, and what is static is copied once."""
    stage = Stage(options, bench, static=options.static)
    reel = stage.reel
    reel.start()
    reel.equal()
    before = stage.static_print()
    workload = None
    for _ in range(options.kills):
        if workload is None or workload.poll() is not None:
            if workload:
                stage.finish(workload)
            workload = stage.workload()
        nap(stage.rng.choice([0.02, 0.1, 0.3, 0.8]) * (0.5 + stage.rng.random()))
        if not reel.alive():
            raise Failure("reel mirror ended by itself with exit code %d" % reel.process.returncode)
        reel.kill()
        if stage.rng.random() < 0.3:
            nap(0.2 * stage.rng.random())
        reel.start()
    stage.finish(workload)
    reel.equal(240)
    if options.cost:
        untouched(before, stage.static_print(), "after %d kills, what never changed" % options.kills)
    return "%d kills" % options.kills


def scenario_kill_first(options, bench):
    """kill -9 during the first synchronisation."""
    stage = Stage(options, bench, static=options.static)
    stage.run_workload()
    reel = stage.reel
    reel.start()
    for _ in range(min(options.kills, 10)):
        nap(0.6 * stage.rng.random())
        reel.kill()
        reel.start()
    reel.equal(240)


def scenario_gap(options, bench):
    """Stopped or killed, changes meanwhile, started again: a scan finds them, and copies nothing else."""
    stage = Stage(options, bench, static=options.static)
    reel = stage.reel
    reel.start()
    reel.equal()
    before = stage.static_print()
    for i in range(4):
        stage.run_workload(ops=options.ops // 4)
        if i % 2:
            reel.kill()
        else:
            reel.stop()
        stage.run_workload(ops=options.ops // 4)
        reel.start()
        if i == 2:
            stage.run_workload(ops=options.ops // 4)  # beside the scan
        reel.equal(180)
    if options.cost:
        untouched(before, stage.static_print(), "after 4 restarts, what never changed")


def scenario_in_and_out(options, bench):
    """Trees come in from beside the source and go out again."""
    stage = Stage(options, bench)
    actor = ops.Actor(stage.source, stage.outside)
    actor.mktree("O/tree", 4, 8, 1)
    actor.deep("O/tree/deep", 24, 2)
    reel = stage.reel
    reel.start()
    reel.settled()
    for i in range(4):
        actor.rename("O/tree", "S/tree")
        if i % 2:
            reel.equal()
        actor.run(["append", "S/tree/f%d" % i, 100, i])
        actor.rename("S/tree/d0", "O/part")
        actor.run(["create", "O/part/new%d" % i, 0o600, 1000, i])
        actor.run(["append", "O/part/f0", 1000, i])
        actor.rename("O/part", "S/tree/d0")
        reel.equal()
        actor.rename("S/tree", "O/tree")
        if i % 2:
            reel.equal()
        actor.run(["rmtree", "O/tree/d1"])
        actor.run(["mktree", "O/tree/d1", 3, 5, i])
    actor.link("O/tree/f0", "S/half")
    reel.equal()
    actor.append("O/tree/f0", 5000, 3)  # through the name that is outside
    actor.chmod("O/tree/f0", 0o4711)
    actor.close()
    reel.equal()


def scenario_rename_big(options, bench):
    """A directory of 100,000 files gets a new name: one rename on the target, nothing touched, nothing
    copied. The same for a tree that is moved away and back."""
    stage = Stage(options, bench)
    os.mkdir(stage.source + "/big")
    for i in range(options.files):
        os.close(os.open(stage.source + "/big/f%d" % i, os.O_CREAT | os.O_WRONLY, 0o644))
    stage.preload(20)
    os.mkdir(stage.source + "/elsewhere")
    reel = stage.reel
    reel.start()
    reel.equal(300)
    before, copied = stage.static_print("big"), None
    if options.cost:
        copied, renames = reel.counter("bytes_copied_total"), reel.counter("renames")
    static = stage.static_print()
    os.rename(stage.source + "/big", stage.source + "/elsewhere/bigger")
    began = time.monotonic()
    reel.settled()
    took = time.monotonic() - began
    if options.cost:
        untouched(before, stage.static_print("elsewhere/bigger"), "a renamed directory")
        done = reel.counter("renames") - renames
        if done != 1:
            raise Failure("one rename of a directory became %d renames" % done)
    for _ in range(3):
        os.rename(stage.source + "/static", stage.source + "/elsewhere/static")
        reel.settled()
        os.rename(stage.source + "/elsewhere/static", stage.source + "/static")
        os.rename(stage.source + "/static", stage.source + "/elsewhere/static")
        os.rename(stage.source + "/elsewhere/static", stage.source + "/static")
    reel.equal(300)
    if options.cost:
        untouched(static, stage.static_print(), "a tree moved away and back")
        more = reel.counter("bytes_copied_total") - copied
        if more:
            raise Failure("renames copied %d bytes" % more)
    return "the rename settled after %.2f s" % took


def scenario_burst(options, bench):
    """A file that is written a thousand times is copied a few times; what is created and deleted at
    once is hardly ever copied."""
    stage = Stage(options, bench)
    reel = stage.reel
    path = stage.source + "/hot"
    with open(path, "wb") as f:
        f.write(stage.rng.randbytes(1 << 20))
    reel.start()
    reel.equal()
    copied = reel.counter("bytes_copied_total") if options.cost else 0
    fd = os.open(path, os.O_WRONLY)
    began = time.monotonic()
    for _ in range(1000):
        os.pwrite(fd, stage.rng.randbytes(100), stage.rng.randrange(1 << 20))
    os.close(fd)
    took = time.monotonic() - began
    reel.equal()
    if options.cost:
        times = (reel.counter("bytes_copied_total") - copied) / (1 << 20)
        if times > 5 + 20 * took:
            raise Failure("a file of 1 MiB written 1000 times in %.2f s was copied %.1f times" % (took, times))
    copied = reel.counter("bytes_copied_total") if options.cost else 0
    data = stage.rng.randbytes(20000)
    for i in range(5000):
        name = stage.source + "/temp%d" % i
        with open(name, "wb") as f:
            f.write(data)
        os.unlink(name)
    reel.equal()
    if options.cost:
        more = reel.counter("bytes_copied_total") - copied
        if more > 5000 * len(data) // 5:
            raise Failure("%d bytes of %d in files that were deleted at once were copied" % (more, 5000 * len(data)))


def scenario_torn(options, bench):
    """Contents that are copied in the middle of one long write(2) are copied again after it, although
    the write moved ctime only when it began."""
    stage = Stage(options, bench)
    reel = stage.reel
    reel.start()
    reel.settled()
    size = 40 << 20
    paths = [stage.source + "/long%d" % i for i in range(2)]
    for turn in range(8):
        data = [stage.rng.randbytes(1 << 20) * (size >> 20) for _ in paths]

        def write(path, data):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT)
            # The first byte wakes the mirror, which copies while the second call is at work.
            os.pwrite(fd, data[:1], 0)
            os.pwrite(fd, data, 0)
            os.close(fd)
        threads = [threading.Thread(target=write, args=pair) for pair in zip(paths, data)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        reel.equal()
        if turn == 4:
            for path in paths:
                os.unlink(path)


def scenario_full(options, bench):
    """One of two targets is full: reel says so and goes on, the other target follows; with space again
    both are equal."""
    stage = Stage(options, bench, target_kinds=["ext4", options.target], static=4)
    small = bench.mount("ext4", 64)
    stage.targets[0] = small + "/tgt"
    os.mkdir(stage.targets[0])
    reel = stage.reel
    reel.start()
    reel.equal()
    os.mkdir(stage.source + "/large")
    for i in range(30):
        with open(stage.source + "/large/f%d" % i, "wb") as f:
            f.write(stage.rng.randbytes(4 << 20))
    stage.run_workload(ops=options.ops // 4)
    code, _ = reel.wait(15)
    if code == 0:
        raise Failure("reel wait says that 120 MiB are settled on a target of 64 MiB; status: %s" % json.dumps(
            reel.status())[:2000])
    try:
        poll(90, "the other target becomes equal", lambda: same(stage.source, stage.targets[1]))
    except Failure as e:
        raise Failure("%s: %s\nstatus: %s" % (e, check.compare(stage.source, stage.targets[1])[:20],
                                             json.dumps(reel.status())[:3000])) from None
    if not reel.alive():
        raise Failure("reel mirror ended (exit code %d) because one target is full" % reel.process.returncode)
    text = json.dumps(reel.status())
    if "space" not in text.lower() and "ENOSPC" not in text:
        raise Failure("reel status says nothing about the missing space: %s" % text[:1500])
    shutil.rmtree(stage.source + "/large")
    reel.equal(180)


def same(source, target):
    try:
        return not check.compare(source, target)
    except OSError:
        return False


def scenario_unmounted(options, bench):
    """The target's file system is not mounted when reel starts: nothing is written where it should be,
    and with the target back everything is equal."""
    stage = Stage(options, bench)
    reel = stage.reel
    reel.targets = [stage.target_mounts[0] + "/tgt"]
    reel.start()
    stage.run_workload(ops=options.ops // 2)
    reel.equal()
    reel.stop()
    # What stays in place of the target is an empty directory of the same name.
    device = next(line.split()[0] for line in open("/proc/self/mounts") if line.split()[1] == stage.target_mounts[0])
    if options.target == "tmpfs":
        raise Failure("tmpfs forgets what is unmounted; choose another target")
    mounts.run(["mount", "--bind", stage.target_mounts[0], hidden(bench)])
    bench.unmount(stage.target_mounts[0], lazy=False)
    os.mkdir(stage.target_mounts[0] + "/tgt")
    reel.start()
    stage.run_workload(ops=options.ops // 4)
    reel.wait(5) if reel.alive() else None
    found = os.listdir(stage.target_mounts[0] + "/tgt")
    if found:
        raise Failure("reel wrote into the empty mount point of its target: %s" % found[:5])
    if reel.alive():
        reel.stop()
    os.rmdir(stage.target_mounts[0] + "/tgt")
    mounts.run(["mount", "--bind", hidden(bench), stage.target_mounts[0]])
    reel.start()
    reel.equal()
    bench.mounts += [stage.target_mounts[0], hidden(bench)]
    return device


def hidden(bench):
    path = bench.dir + "/hidden"
    os.makedirs(path, exist_ok=True)
    return path


def scenario_attack(options, bench):
    """Directories of the source change places with symlinks to the outside and back: nothing outside
    the target is written, and nothing from outside the source appears in the target."""
    stage = Stage(options, bench)
    canary = bench.dir + "/canary"
    for base in (canary, stage.outside):
        os.makedirs(base + "/sub")
        for name in ("secret", "sub/secret", "f0", "sub/f0"):
            with open(base + "/" + name, "wb") as f:
                f.write(MARK * 100)
    victims = [stage.source + "/v%d" % i for i in range(6)]
    for v in victims:
        os.makedirs(v + "/sub")
        for name in ("secret", "sub/secret", "f0", "sub/f0"):
            with open(v + "/" + name, "wb") as f:
                f.write(b"harmless")
    before = [harness.fingerprint(base) for base in (canary, stage.outside)]
    reel = stage.reel
    reel.start()
    stop = threading.Event()
    threads = [threading.Thread(target=attack, args=(v, [canary, stage.outside, "../../out", "."][i % 4], stop))
               for i, v in enumerate(victims)]
    for t in threads:
        t.start()
    try:
        deadline = time.monotonic() + options.seconds
        while time.monotonic() < deadline:
            leaked(stage.targets)
            nap(0.02)
    finally:
        stop.set()
        for t in threads:
            t.join()
    reel.equal()
    leaked(stage.targets)
    untouched(before, [harness.fingerprint(base) for base in (canary, stage.outside)], "outside the target")


def attack(victim, text, stop):
    """Its own files only: the directory goes aside, a symlink takes its place, and back."""
    aside = victim + ".aside"
    n = 0
    while not stop.is_set():
        n += 1
        os.rename(victim, aside)
        os.symlink(text, victim)
        os.unlink(victim)
        os.rename(aside, victim)
        with open(victim + "/secret", "ab" if n % 50 else "wb") as f:
            f.write(b"x")
        if n % 3 == 0:
            os.symlink(text, victim + ".link")
            ops.libc.renameat2(-100, os.fsencode(victim), -100, os.fsencode(victim + ".link"), ops.RENAME_EXCHANGE)
            os.chmod(victim + ".link/f0", 0o600 + n % 8)
            ops.libc.renameat2(-100, os.fsencode(victim), -100, os.fsencode(victim + ".link"), ops.RENAME_EXCHANGE)
            os.unlink(victim + ".link")
        if n % 5 == 0:
            path = victim + "/f0"
            os.unlink(path)
            os.symlink(text + "/secret", path)
            os.unlink(path)
            with open(path, "wb") as f:
                f.write(b"harmless again")


def leaked(targets):
    for target in targets:
        for base, _, names in os.walk(target):
            for name in names:
                path = os.path.join(base, name)
                try:
                    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                except OSError:
                    continue
                with os.fdopen(fd, "rb") as f:
                    if stat.S_ISREG(os.fstat(fd).st_mode) and MARK in f.read(1 << 20):
                        raise Failure("the contents of an outside file are in the target: %s" % path)


SCENARIOS = {name[9:]: f for name, f in list(globals().items()) if name.startswith("scenario_")}


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reel", "--mirror-cmd", default="reel", help="the command to test, with its first arguments")
    parser.add_argument("--mirror-options", help="more options for `reel mirror`")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="pair")
    parser.add_argument("--source", choices=mounts.KINDS, default="ext4")
    parser.add_argument("--target", choices=mounts.KINDS, default="ext4")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100000)
    parser.add_argument("--ops", type=int, default=4000)
    parser.add_argument("--procs", type=int, default=4)
    parser.add_argument("--pause", type=float, default=2, help="mean milliseconds between a worker's operations")
    parser.add_argument("--weights", help="as workload.py takes them")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--files", type=int, default=100000, help="rename_big: files in the directory")
    parser.add_argument("--static", type=int, default=200, help="MiB that never change")
    parser.add_argument("--seconds", type=float, default=8, help="attack: how long")
    parser.add_argument("--state-on", choices=["source", "elsewhere"], default="elsewhere")
    parser.add_argument("--no-cost", dest="cost", action="store_false", help="only the result counts, not what it cost")
    parser.add_argument("--no-verify", dest="verify", action="store_false", help="the outside check only")
    parser.add_argument("--limit", type=int, default=600, help="seconds after which it has failed")
    parser.add_argument("--log", help="keep the workload's operations in this file")
    parser.add_argument("--replay", help="do these operations instead of new ones")
    parser.add_argument("--tries", type=int, default=1, help="run so often, stop at the first failure")
    return parser.parse_args(argv)


def main():
    options = parse(sys.argv[1:])
    mounts.need_kinds(options.source, options.target, "ext4")
    mounts.enter_own_world()
    os.umask(0o022)
    name = "%s %s->%s" % (options.scenario, options.source, options.target)
    for _ in range(options.tries):
        code = harness.frame(options, name, SCENARIOS[options.scenario])
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
#
# Scenario kill_points of run_mirror.py: reel dies at every named kill point (src/base/kill_point.h), at
# several passages of each, and is started again. The names are read from the sources, so that a new point
# without a place in the walk below fails, as does one at which reel never dies. Needs a build with
# assertions (dev, asan, tsan).
import glob
import os
import re
import subprocess
import time

import check
from harness import HERE, Failure, Reel, Stage, untouched

SMALL_SEGMENTS = {"REEL_TUNE_SEGMENT_BYTES": "4096"}
PATIENCE = 30  # seconds until a point must have been passed
SIGKILL = -9

# (name, which passages): on a start that finds no state, each time with a state of its own.
FIRST = [("mkdir.made", (1, 3, 5)), ("replace.before", range(1, 6)), ("replace.renamed", (2, 4)),
         ("replace.after", (1, 2)), ("gate.before", (1,)), ("gate.made", (1,)), ("gate.marked", (1,)),
         ("holder.before", (1,)), ("holder.after", (1,)), ("source.gap", (1,)), ("users.before", (1,))]
# The same on a target that holds something already, with --adopt; the start after it has no --adopt.
ADOPT = ["gate.marked", "adopt.commit", "adopt.done"]
# Of a mirror that lives on through all of them, in this order.
LIVING = [("intent.before", (1, 3)), ("intent.after", (1, 3)), ("recover.commit", (1, 1)), ("commit.before", (1, 4)),
          ("recover.commit", (1,)), ("commit.after", (1, 3)), ("durable.sync", (1, 2)), ("durable.synced", (1, 2)),
          ("durable.after", (1, 2)), ("log.append.before", (1, 20)), ("log.append.after", (1, 20)),
          ("log.sync.before", (1, 5)), ("log.sync.after", (1, 5)), ("log.segment.before", (1, 3)),
          ("log.segment.after", (1, 3)), ("log.purge.before", (1, 2)), ("log.purge.after", (1, 2)),
          ("log.cut.before", (1,)), ("log.cut.after", (1,)), ("log.seal", (1,)), ("users.before", (2,)),
          ("users.after", (1, 2)), ("replace.before", (3, 7)), ("replace.renamed", (2, 5)), ("replace.after", (3,)),
          ("source.read", (1, 10)), ("source.flushed", (2, 10)), ("source.recorded", (1, 10)), ("source.taken", (1,)),
          ("source.lifted", (1,)), ("rescan.requested", (1,)), ("repair.intent", (1,)), ("repair.commit", (1,))]


def scenario_kill_points(options, bench):
    """Death at every named kill point and a restart each time: equal, and what is static is copied once."""
    walked = {name for name, _ in FIRST + LIVING} | set(ADOPT)
    if walked != names_in_the_sources():
        raise Failure("kill points without a place in this walk, or gone: %s" % sorted(walked ^ names_in_the_sources()))
    stage = Stage(options, bench, static=8)
    deaths = first_starts(stage) + adoptions(stage) + living(stage)
    return "%d deaths at %d points" % (deaths, len(walked))


def names_in_the_sources():
    names = set()
    for path in glob.glob(HERE + "/../../src/**/*.cpp", recursive=True):
        if "/source/lustre/" in path:
            continue  # a local mirror does not come there; its crashes are simulated (tests/lustre)
        with open(path) as file:
            names.update(re.findall(r'\bkill_point\("([^"]+)"\)', file.read()))
    return names


def first_starts(stage):
    rounds = [(name, n) for name, passages in FIRST for n in passages]
    for i, (name, n) in enumerate(rounds):
        reel = newborn(stage, "first%d" % i)
        die_at(reel, name, n)
        begin_again(reel, name, n)
    return len(rounds)


def adoptions(stage):
    for i, name in enumerate(ADOPT):
        reel = newborn(stage, "adopt%d" % i)
        target = reel.targets[0]
        write(target + "/d1/f2", b"other contents")
        write(target + "/extra/deep/file", b"not in the source")
        write(target + "/d2", b"not a directory")
        die_at(reel, name, 1, ["--adopt"])
        begin_again(reel, name, 1)
    return len(ADOPT)


def newborn(stage, name):
    """A small source with a target and a state that is not there yet."""
    source, target = stage.source_mount + "/" + name, stage.target_mounts[0] + "/" + name
    for i in range(12):
        write("%s/d%d/f%d" % (source, i % 3, i), b"%d" % i * 1000)
    os.link(source + "/d0/f0", source + "/d1/linked")
    return Reel(stage.options, source, [target], stage.bench.dir + "/state-" + name, stage.reel.log)


def begin_again(reel, name, n):
    reel.env = SMALL_SEGMENTS
    reel.start()
    write(reel.source + "/d0/later", b"x")
    os.rename(reel.source + "/d1", reel.source + "/d0/moved")
    try:
        reel.settled()
        lines = check.compare(reel.source, reel.targets[0])
    except Failure as e:
        raise Failure("after %s:%d on the first start: %s" % (name, n, e)) from None
    if lines:
        raise Failure("after %s:%d on the first start: %s" % (name, n, lines[:10]))
    reel.kill()
    os.unlink(reel.state + "/hold.sock")  # ends its holder


def die_at(reel, name, n, extra=()):
    """Starts reel, which must die at this passage with nothing more done to it."""
    reel.env = dict(SMALL_SEGMENTS, REEL_KILL_POINT="%s:%d" % (name, n))
    reel.start(extra)
    dies(reel, name, n, lambda: None)


def dies(reel, name, n, poke):
    deadline = time.monotonic() + PATIENCE
    while True:
        poke()
        try:
            code = reel.process.wait(0.3)
            break
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise Failure("kill point %s:%d was not passed within %d s" % (name, n, PATIENCE)) from None
    if code != SIGKILL:
        raise Failure("reel ended with %d instead of dying at %s:%d" % (code, name, n))


def living(stage):
    reel = stage.reel
    reel.env = SMALL_SEGMENTS
    reel.start()
    reel.equal()
    before = stage.static_print()
    life = Life(stage)
    deaths = 0
    reel.kill()
    for name, passages in LIVING:
        for n in passages:
            life.prepare(name)
            reel.env = dict(SMALL_SEGMENTS, REEL_KILL_POINT="%s:%d" % (name, n))
            reel.start()
            dies(reel, name, n, lambda: life.poke(name))
            deaths += 1
    reel.env = SMALL_SEGMENTS
    reel.start()
    life.close()
    reel.equal(240)
    untouched(before, stage.static_print(), "after %d deaths, what never changed" % deaths)
    return deaths


class Life:
    """What goes on around the living mirror."""

    def __init__(self, stage):
        self.stage, self.reel, self.work, self.rng = stage, stage.reel, stage.work, stage.rng
        self.turn = 0
        self.hot = open(self.work + "/hot", "wb", buffering=0)
        self.helpers = []

    def close(self):
        self.hot.close()
        for helper in self.helpers:
            helper.wait()

    def prepare(self, name):
        """What the point needs of the start that is to pass it."""
        for helper in self.helpers:  # without a mirror it holds the state for a moment
            helper.wait()
        if name.startswith("log.cut"):
            newest = max(glob.glob(self.reel.state + "/log/local.stream/*.seg") or [""])
            with open(newest, "ab") as file:
                file.write(b"torn")
        if name == "rescan.requested":
            users = self.reel.run("users", self.reel.state)[1]
            self.reel.run("deregister", self.reel.state, re.search(r"cl\d+-t\w+", users)[0])

    def poke(self, name):
        if name == "log.seal" and self.running():
            self.reel.process.terminate()
        # Not while reel is starting: the helper would take the state from it.
        if name.startswith("repair.") and not any(h.poll() is None for h in self.helpers) and self.running():
            self.damage()
        self.change()

    def running(self):
        return self.reel.alive() and self.reel.status()["running"]

    def damage(self):
        try:
            write(self.reel.targets[0] + "/work/damage", b"x%d" % self.turn)
        except FileNotFoundError:
            return  # not there yet
        self.helpers.append(subprocess.Popen(
            self.reel.command + ["verify", "--repair", "--level", "stat", "--state", self.reel.state, self.reel.source,
                                 self.reel.targets[0]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def change(self):
        """Some of everything, enough records for a segment, and a file that is written all the time."""
        self.turn += 1
        base = "%s/t%d" % (self.work, self.turn)
        os.mkdir(base)
        for i in range(25):
            write("%s/d%d/f%d" % (base, i % 3, i), self.rng.randbytes(self.rng.choice([10, 5000])))
        os.link(base + "/d0/f0", base + "/d1/again")
        os.rename(base + "/d1", base + "/d0/below")
        os.rename(base + "/d0", base + "/d1")
        os.symlink("d1", base + "/link")
        os.unlink(base + "/d1/f3")
        os.chmod(base + "/d2", 0o700)
        old = "%s/t%d" % (self.work, self.turn - 3)
        if os.path.exists(old):
            os.rename(old, base + "/d2/old")
        gone = "%s/t%d/d2/old" % (self.work, self.turn - 1)
        if os.path.exists(gone):
            subprocess.run(["rm", "-rf", gone], check=True)
        for _ in range(30):
            self.hot.write(b"hot")
            time.sleep(0.002)  # over several batches of events


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)

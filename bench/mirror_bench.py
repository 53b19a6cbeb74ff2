#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# How fast the mirror is, one sub-command for each row of the table in README.md beside this file. Every
# figure is a ratio: reel and what it is measured against take turns in the same run, each on file
# systems made anew, and the medians are compared. Needs root, loop devices, ext4 and rsync.
#   mirror_bench.py [--reel FILE] [--bench-dir DIR] [--rounds N] [--dir DIR] ROW...    (all: every row)

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

GiB = 1 << 30


def quiet(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Place:
    """A temporary directory with ext4 file systems in sparse files; leaves nothing behind."""

    def __init__(self, base):
        self.dir = tempfile.mkdtemp(prefix="reel-bench-", dir=base)
        self.mounts = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def make(self, name, size, inodes=None):
        """A fresh file system called `name`; where it is mounted."""
        image, mount = self.path(name + ".image"), self.path(name)
        if mount in self.mounts:
            quiet("umount", mount)
            self.mounts.remove(mount)
        if os.path.exists(image):
            os.unlink(image)
        with open(image, "wb") as file:
            file.truncate(size)
        # Nothing that goes on in the background while others are measured.
        options = ["-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"]
        if inodes:
            options += ["-N", str(inodes)]
        quiet("mkfs.ext4", "-q", "-F", *options, image)
        os.makedirs(mount, exist_ok=True)
        quiet("mount", "-o", "loop,noatime", image, mount)
        self.mounts.append(mount)
        shutil.rmtree(os.path.join(mount, "lost+found"), ignore_errors=True)
        return mount

    def fresh_dir(self, name):
        path = self.path(name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def close(self):
        for mount in reversed(self.mounts):
            subprocess.run(["umount", mount], stderr=subprocess.DEVNULL)
        if any(os.path.ismount(mount) for mount in self.mounts):
            print("still mounted below " + self.dir, file=sys.stderr)
            return
        shutil.rmtree(self.dir, ignore_errors=True)


class Took:
    """Seconds of one run: of the clock, of the processor, and until it is on disk as well."""

    def __init__(self, wall, cpu, synced):
        self.wall, self.cpu, self.synced = wall, cpu, synced


def timed(command, sync=None):
    """Runs `command`; with `sync`, a file system that is synced afterwards."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - begin
    if process.returncode != 0:
        raise SystemExit("failed (%d): %s" % (process.returncode, " ".join(command)))
    if sync:
        quiet("sync", "-f", sync)
    return Took(wall, used.ru_utime + used.ru_stime, time.monotonic() - begin)


def take_turns(rounds, contenders):
    """contenders: name -> function that runs once and returns Took. Each round begins with another."""
    results = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(rounds):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            results[name].append(contenders[name]())
    return results


def median(tooks, what="wall"):
    return statistics.median(getattr(took, what) for took in tooks)


def spread(tooks, what="wall"):
    values = sorted(getattr(took, what) for took in tooks)
    return "%.2f s (%.2f–%.2f)" % (statistics.median(values), values[0], values[-1])


def row(what, must, measured, medians):
    load = os.getloadavg()[0]
    print("| %s | %s | %s | %s | load %.1f on %d cores |" % (what, must, measured, medians, load, os.cpu_count()))
    sys.stdout.flush()


def write_files(root, count, size, per_dir=100):
    block = os.urandom(size)
    for i in range(count):
        if i % per_dir == 0:
            directory = "%s/d%02d/e%05d" % (root, i // per_dir % 20, i // per_dir)
            os.makedirs(directory, exist_ok=True)
        with open("%s/file-%07d.dat" % (directory, i), "wb", buffering=0) as file:
            if size:
                file.write(block)


class Bench:
    def __init__(self, arguments):
        self.reel, self.bench_dir, self.rounds = arguments.reel, arguments.bench_dir, arguments.rounds
        self.scale = arguments.scale
        self.place = Place(arguments.dir)

    def once(self, source, target, state):
        return [self.reel, "mirror", source, target, "--once", "--state", state]

    def first_sync(self):
        count = int(50000 * self.scale)
        source = self.place.make("source", GiB, count * 2)
        write_files(source, count, 4096)
        os.sync()

        def run(command_to):
            target = self.place.make("target", GiB, count * 2)
            os.sync()
            return timed(command_to(target), target)

        results = take_turns(self.rounds, {
            "reel": lambda: run(lambda to: self.once(source, to, self.place.fresh_dir("state"))),
            "rsync": lambda: run(lambda to: ["rsync", "-aHAX", source + "/", to]),
            "cp": lambda: run(lambda to: ["cp", "-a", source + "/.", to]),
        })
        reel, rsync, cp = results["reel"], results["rsync"], results["cp"]
        row("first sync, %d × 4 KiB" % count, "2× rsync -aHAX, 1.4× cp -a",
            "%.2f× rsync, %.2f× cp; all synced: %.2f× rsync, %.2f× cp" % (
                median(rsync) / median(reel), median(cp) / median(reel),
                median(rsync, "synced") / median(reel, "synced"), median(cp, "synced") / median(reel, "synced")),
            "reel %s cpu %.2f, rsync %s cpu %.2f, cp %s cpu %.2f; with sync %.2f, %.2f, %.2f s" % (
                spread(reel), median(reel, "cpu"), spread(rsync), median(rsync, "cpu"), spread(cp), median(cp, "cpu"),
                median(reel, "synced"), median(rsync, "synced"), median(cp, "synced")))

    def large_file(self):
        size = int(4 * GiB * self.scale)
        source = self.place.make("source", size + GiB)
        with open(source + "/large", "wb", buffering=0) as file:
            block = os.urandom(1 << 24)
            for _ in range(size >> 24):
                file.write(block)
        os.sync()

        def run(command_to):
            target = self.place.make("target", size + GiB)
            os.sync()
            return timed(command_to(target), target)

        results = take_turns(self.rounds, {
            "reel": lambda: run(lambda to: self.once(source, to, self.place.fresh_dir("state"))),
            "cp": lambda: run(lambda to: ["cp", source + "/large", to + "/large"]),
        })
        reel, cp = results["reel"], results["cp"]
        row("first sync, one file of %.1f GiB" % (size / GiB), "≤ 1.1 × cp",
            "%.2f × cp; both synced: %.2f × cp" % (median(reel) / median(cp), median(reel, "synced") / median(cp, "synced")),
            "reel %s, cp %s; with sync %.2f, %.2f s" % (spread(reel), spread(cp), median(reel, "synced"), median(cp, "synced")))

    def second_once(self):
        count = int(200000 * self.scale)
        source = self.place.make("source", 2 * GiB, count * 2)
        write_files(source, count, 0)
        state = self.place.fresh_dir("state")
        target = self.place.make("target", 2 * GiB, count * 2)
        copy = self.place.make("copy", 2 * GiB, count * 2)
        timed(self.once(source, target, state))
        timed(["rsync", "-a", source + "/", copy])
        os.sync()
        results = take_turns(self.rounds, {
            "reel": lambda: timed(self.once(source, target, state)),
            "rsync": lambda: timed(["rsync", "-a", source + "/", copy]),
        })
        reel, rsync = results["reel"], results["rsync"]
        row("second --once, %d unchanged" % count, "faster than rsync -a", "%.2f × as fast" % (median(rsync) / median(reel)),
            "reel %s cpu %.2f, rsync %s cpu %.2f" % (spread(reel), median(reel, "cpu"), spread(rsync), median(rsync, "cpu")))

    def follow(self, source, target, state, work):
        """Seconds of `work` alone, and until the target has all of it, and what was done there."""
        mirror = subprocess.Popen([self.reel, "mirror", source, target, "--state", state, "--hold", "0"])
        try:
            self.wait(state)
            before = self.status(state)
            begin = time.monotonic()
            work()
            worked = time.monotonic() - begin
            self.wait(state)
            settled = time.monotonic() - begin
            after = self.status(state)
        finally:
            mirror.terminate()
            mirror.wait()
        counts = ("created", "removed", "renames", "links", "attributes", "bytes_copied")
        return worked, settled, {name: after[name] - before[name] for name in counts}

    def wait(self, state):
        deadline = time.monotonic() + 1800
        while subprocess.run([self.reel, "wait", "--state", state], stderr=subprocess.DEVNULL).returncode != 0:
            if time.monotonic() > deadline:
                raise SystemExit("the mirror does not settle")
            time.sleep(0.02)

    def status(self, state):
        text = subprocess.run([self.reel, "status", "--state", state, "--json"], check=True, stdout=subprocess.PIPE).stdout
        return json.loads(text)["targets"][0]

    def following(self):
        count = int(100000 * self.scale)
        alone, worked, settled, counts = [], [], [], {}
        for _ in range(self.rounds):
            source, target = self.place.make("source", GiB, count * 2), self.place.make("target", GiB, count * 2)
            begin = time.monotonic()
            create_rename_delete(source, count)
            alone.append(time.monotonic() - begin)
            source = self.place.make("source", GiB, count * 2)
            work, end, counts = self.follow(source, target, self.place.fresh_dir("state"), lambda: create_rename_delete(source, count))
            worked.append(work)
            settled.append(end)
        left = count - count // 3
        mid = statistics.median
        row("following, %d created, a third renamed, a third deleted" % count, "settled ≤ 1.5 × the workload; no more than what is left",
            "%.2f × the workload beside it, %.2f × the workload unwatched; %d of %d files left were created" % (
                mid(settled) / mid(worked), mid(settled) / mid(alone), counts["created"], left),
            "unwatched %.2f s, watched %.2f s, settled %.2f s; %s" % (mid(alone), mid(worked), mid(settled), json.dumps(counts)))

    def tree_size(self):
        """One mirror a tree: a start scans all of it."""
        small, large = 10000, int(2000000 * self.scale)
        results, cpu = {}, {}
        for entries in (small, large):
            source = self.place.make("source", 6 * GiB, entries + 100000)
            target = self.place.make("target", 6 * GiB, entries + 100000)
            write_files(source, entries, 0)
            state = self.place.fresh_dir("state")
            mirror = subprocess.Popen([self.reel, "mirror", source, target, "--state", state, "--hold", "0"])
            try:
                self.wait(state)
                results[entries], cpu[entries] = self.follow_changes(mirror.pid, source, state)
            finally:
                mirror.terminate()
                mirror.wait()
        mid = statistics.median
        row("following 1,000 changes in %d and in %d entries" % (small, large), "the same",
            "%.2f × the time, %.2f × the processor time" % (
                mid(results[large]) / mid(results[small]), mid(cpu[large]) / mid(cpu[small])),
            "%.3f and %.3f s, cpu %.3f and %.3f s" % (
                mid(results[small]), mid(results[large]), mid(cpu[small]), mid(cpu[large])))

    def follow_changes(self, pid, source, state):
        """Seconds until 1,000 new files are settled, and of the processor that reel needed, each round."""
        took, cpu = [], []
        for turn in range(self.rounds * 4):
            begin, before = time.monotonic(), cpu_of(pid)
            for i in range(1000):
                with open("%s/changed-%d-%d" % (source, turn, i), "wb") as file:
                    file.write(b"x")
            self.wait(state)
            took.append(time.monotonic() - begin)
            cpu.append(cpu_of(pid) - before)
        return took, cpu

    def parts(self, *arguments):
        command = [os.path.join(self.bench_dir, "mirror_parts")] + [str(a) for a in arguments]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()
        return [json.loads(line) for line in output.splitlines()]

    def gap_scan(self):
        count = int(200000 * self.scale)
        source, target = self.place.make("source", 2 * GiB, count * 2), self.place.make("target", 2 * GiB, count * 2)
        write_files(source, count, 0)
        state = self.place.fresh_dir("state")
        timed(self.once(source, target, state))
        targets = os.path.join(state, "targets")
        runs = self.parts("gap-scan", source, os.path.join(targets, os.listdir(targets)[0], "index"))
        seconds, cpu = (statistics.median(run[name] for run in runs) for name in ("seconds", "cpu"))
        row("gap scan of %d unchanged, warm" % count, "≤ 0.3 s on two cores", "%.2f s; %.2f s of processor time" % (seconds, cpu), "")

    def fold_plan(self):
        runs = [self.parts("fold-plan", int(1e7 * self.scale), int(1e6 * self.scale))[0] for _ in range(self.rounds)]
        mid = sorted(runs, key=lambda run: run["per_s"])[len(runs) // 2]
        row("fold and plan, %d records" % mid["records"], "≥ 1 M records/s", "%.2f M records/s" % (mid["per_s"] / 1e6),
            "fold %.2f s, plan %.2f s (processor time)" % (mid["fold_s"], mid["plan_s"]))

    def memory(self):
        run = self.parts("memory", int(5e6 * self.scale), self.place.fresh_dir("index"))[0]
        row("memory, tree of %d entries" % run["entries"], "≤ 300 MiB", "%d MiB" % run["rss_mib"],
            "first sync %.0f s, scan %.0f s" % (run["first_sync_s"], run["scan_s"]))

    def backlog(self):
        """One of two targets is away while the log grows; then it comes back and reads all of it."""
        files, rounds = int(500000 * self.scale), 6
        source = self.place.make("source", 2 * GiB, files * 2)
        here, away = (self.place.make(name, 2 * GiB, files * 2) for name in ("here", "away"))
        state = self.place.fresh_dir("state")
        command = [self.reel, "mirror", source, here, away, "--state", state, "--hold", "0"]
        mirror = subprocess.Popen(command)
        self.wait(state)
        mirror.terminate()
        mirror.wait()
        quiet("umount", away)
        mirror = subprocess.Popen(command)
        try:
            write_files(source, files, 0)
            names = [entry.path for entry in walk(source) if entry.is_file(follow_symlinks=False)]
            for turn in range(1, rounds):
                for name in names:
                    os.chmod(name, 0o600 + turn)
            target = lambda number: json.loads(subprocess.run([self.reel, "status", "--state", state, "--json"], check=True,
                                                              stdout=subprocess.PIPE).stdout)["targets"][number]
            poll(lambda: target(0)["backlog_records"] == 0)
            unread, before = target(1)["backlog_records"], rss_mib(mirror.pid)
            begin = time.monotonic()
            quiet("mount", "-o", "loop,noatime", self.place.path("away.image"), away)
            self.wait(state)
            row("memory, %d records unread" % unread, "≤ 300 MiB", "%d MiB" % rss_mib(mirror.pid),
                "%d MiB before, caught up in %.0f s" % (before, time.monotonic() - begin))
        finally:
            mirror.terminate()
            mirror.wait()

    def watched(self):
        subprocess.run([os.path.join(self.bench_dir, "watch_cost"), str(self.rounds), "ext4"], check=True)


def cpu_of(pid):
    """Seconds of the processor that the threads of a process have had; those that have ended do not count."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
                total += int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1e9


def rss_mib(pid):
    """The most memory that a process has had resident."""
    with open("/proc/%d/status" % pid) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def walk(directory):
    with os.scandir(directory) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path)


def poll(condition):
    deadline = time.monotonic() + 1800
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the mirror does not settle")
        time.sleep(0.1)


def create_rename_delete(root, count):
    """Two processes, each half of the files."""
    children = []
    for part in range(2):
        child = os.fork()
        if child == 0:
            for i in range(part, count, 2):
                directory = "%s/d%d" % (root, i // 1000)
                if i % 1000 < 2:
                    os.makedirs(directory, exist_ok=True)
                path = "%s/file-%d" % (directory, i)
                with open(path, "wb", buffering=0) as file:
                    file.write(b"contents\n")
                if i % 3 == 0:
                    os.rename(path, path + "-renamed")
                elif i % 3 == 1:
                    os.unlink(path)
            os._exit(0)
        children.append(child)
    for child in children:
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit("the workload failed")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    build = os.path.join(here, "..", "build", "bench")
    rows = ["first-sync", "large-file", "second-once", "following", "watched", "gap-scan", "fold-plan", "memory", "backlog",
            "tree-size"]
    parser = argparse.ArgumentParser(description="measures reel against its references")
    parser.add_argument("--reel", default=os.path.join(build, "src", "cli", "reel"))
    parser.add_argument("--bench-dir", default=os.path.join(build, "bench"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1, help="of the sizes; 1 is what the table asks for")
    parser.add_argument("--dir", default=None, help="where images and state go")
    parser.add_argument("rows", nargs="+", choices=rows + ["all"])
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name in rows if "all" in arguments.rows else arguments.rows:
        bench = Bench(arguments)
        try:
            getattr(bench, name.replace("-", "_"))()
        finally:
            bench.place.close()


if __name__ == "__main__":
    main()

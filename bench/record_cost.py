#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What it costs to be recorded. One sub-command for each row of the table in README.md beside this file; the
# recorders and the bare program take turns, and medians are compared. "beside" is a program that is not recorded while
# the BPF recorder records another one. bpf needs root; strace and fio are left out when they are not there.
#   record_cost.py [--build DIR] [--rounds N] [--dir DIR] [--only VIA,...] ROW...
# Rows: calls, writes, parallel (root), untar, make, sqlite, fio, bytes.

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

from replay_bench import Storage, fresh, rest

SQLITE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("pragma journal_mode=wal")
db.execute("create table t (k integer primary key, v text)")
for i in range(6000):
    db.execute("insert into t values (?, ?)", (i, "x" * 100))
    db.commit()
for i in range(20000):
    db.execute("select v from t where k = ?", (i * 7919 % 6000,)).fetchone()
"""


class Bench:
    def __init__(self, arguments):
        self.reel = os.path.join(arguments.build, "src/cli/reel")
        self.calls = os.path.join(arguments.build, "bench/record_calls")
        self.processes = os.path.join(arguments.build, "tests/parallel/parallel_processes")
        self.rounds = arguments.rounds
        self.dir = tempfile.mkdtemp(prefix="reel-cost-", dir=arguments.dir)
        wanted = arguments.only.split(",") if arguments.only else []
        self.ways = ["bare", "preload", "bpf", "beside", "strace"]
        if os.geteuid() != 0:
            self.ways = [w for w in self.ways if w not in ("bpf", "beside")]
        if not shutil.which("strace"):
            self.ways.remove("strace")
        if wanted:
            self.ways = [w for w in self.ways if w == "bare" or w in wanted]
        self.log_number = 0

    def path(self, name):
        return os.path.join(self.dir, name)

    def fresh_log(self):
        self.log_number += 1
        return self.path("log%d" % self.log_number)

    def run(self, way, command, **options):
        """Runs it in one of the ways; its output, and the log when it was recorded."""
        log = None
        beside = None
        if way in ("preload", "bpf"):
            log = self.fresh_log()
            command = [self.reel, "record", "-q", "--via", way, "-o", log, "--"] + command
        elif way == "strace":
            command = ["strace", "-f", "-qq", "-ttt", "-T", "-o", self.path("strace.out")] + command
        elif way == "beside":
            beside = subprocess.Popen([self.reel, "record", "-q", "--via", "bpf", "-o", self.fresh_log(), "--", "cat"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            beside.stdin.write(b"on\n")
            beside.stdin.flush()
            beside.stdout.readline()  # the recorded program runs, so the recorder is there
        start = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.dir, **options)
        elapsed = time.monotonic() - start
        if beside:
            beside.stdin.close()
            beside.wait()
        if done.returncode != 0:
            sys.exit("%s, %s: exit code %d\n%s" % (way, command, done.returncode, done.stderr))
        return elapsed, done.stdout, log

    def drop(self, log):
        if log:
            shutil.rmtree(log)

    def row(self, name, prepare, command, ways=None):
        """Elapsed seconds of a whole command; what `true` takes in the same way is told apart."""
        ways = ways or [w for w in self.ways if w not in ("strace", "beside")]
        times = {way: [] for way in ways}
        empty = {way: [] for way in ways}
        for _ in range(self.rounds):
            for way in ways:
                empty[way].append(self.timed(way, ["true"]))
                prepare()
                times[way].append(self.timed(way, command))
        bare, bare_empty = statistics.median(times["bare"]), statistics.median(empty["bare"])
        print("%s: bare %.2f s (%s)" % (name, bare, " ".join("%.2f" % t for t in sorted(times["bare"]))))
        for way in ways[1:]:
            median, fixed = statistics.median(times[way]), statistics.median(empty[way])
            pairs = statistics.median(a / b for a, b in zip(times[way], times["bare"]))
            print("  %-8s %+.1f%% (of pairs %+.1f%%; without start and end of a recording, %.0f ms: %+.1f%%)" %
                  (way, (median / bare - 1) * 100, (pairs - 1) * 100, (fixed - bare_empty) * 1000,
                   ((median - fixed) / (bare - bare_empty) - 1) * 100))

    def timed(self, way, command):
        elapsed, _, log = self.run(way, command)
        self.drop(log)
        return elapsed


def per_call(bench, kind, size, count):
    figures = {way: [] for way in bench.ways}
    for _ in range(bench.rounds):
        for way in bench.ways:
            number = count // 10 if way == "strace" else count
            _, out, log = bench.run(way, [bench.calls, bench.path("file"), kind, str(number), str(size)])
            bench.drop(log)
            figures[way].append(float(out))
    bare = statistics.median(figures["bare"])
    print("%s of %d KiB: bare %.0f ns (%s)" % (kind, size >> 10, bare, " ".join("%.0f" % f for f in sorted(figures["bare"]))))
    for way in bench.ways[1:]:
        median = statistics.median(figures[way])
        print("  %-8s %.3fx, %+.0f ns a call" % (way, median / bare, median - bare))


def calls(bench):
    for kind in ("pwrite", "pread"):
        per_call(bench, kind, 4096, 200000)


def writes(bench):
    """The sizes that LANL-Trace's cost is known for: 51-69 % and 0.6-6 %."""
    per_call(bench, "pwrite", 64 << 10, 40000)
    per_call(bench, "pwrite", 8 << 20, 400)


def parallel(bench):
    """The same where they were measured: of a parallel program that writes to its storage."""
    with Storage("ext4-20M") as storage:
        work = fresh(storage)

        def prepare():
            fresh(storage)
            rest()
        for size, turns in ((64 << 10, 100), (8 << 20, 1)):
            bench.row("four processes write %d KiB, %d times, and meet" % (size >> 10, turns), prepare,
                      [bench.processes, "gates", work, str(size), str(turns), "--sync", "1"])


def make_sources(bench):
    """A package of 60 C files: generated, so that nothing is fetched."""
    top = bench.path("package")
    shutil.rmtree(top, ignore_errors=True)
    os.mkdir(top)
    for i in range(60):
        with open(os.path.join(top, "part%d.c" % i), "w") as file:
            file.write("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n")
            for j in range(60):
                file.write("int f%d_%d(int a, const char* s) { for (int i = 0; i < a; ++i) if (strlen(s) > (size_t)i) "
                           "printf(\"%%d\\n\", i * %d); return a + %d; }\n" % (i, j, j, i))
    with open(os.path.join(top, "Makefile"), "w") as file:
        objects = " ".join("part%d.o" % i for i in range(60))
        file.write("all: libparts.a\nlibparts.a: %s\n\tar rc $@ $^\n%%.o: %%.c\n\t$(CC) -O2 -c -o $@ $<\n" % objects)
    return top


def untar(bench):
    tree = bench.path("tree")
    for i in range(6000):
        os.makedirs(os.path.join(tree, "d%d" % (i % 100)), exist_ok=True)
        with open(os.path.join(tree, "d%d/f%d" % (i % 100, i)), "w") as file:
            file.write("line %d\n" % i * (i % 3000))
    archive = bench.path("tree.tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(tree, "tree")
    shutil.rmtree(tree)
    into = bench.path("into")

    def prepare():
        shutil.rmtree(into, ignore_errors=True)
        os.mkdir(into)
    bench.row("untar of 6000 files", prepare, ["tar", "xf", archive, "-C", into])


def make(bench):
    top = make_sources(bench)

    def prepare():
        for name in os.listdir(top):
            if name.endswith((".o", ".a")):
                os.unlink(os.path.join(top, name))
    bench.row("make -j2 of 60 C files", prepare, ["make", "-s", "-j2", "-C", top])


def sqlite(bench):
    database = bench.path("db")

    def prepare():
        for end in ("", "-wal", "-shm"):
            if os.path.exists(database + end):
                os.unlink(database + end)
    bench.row("SQLite, WAL, 6000 commits and 20000 queries", prepare, [sys.executable, "-c", SQLITE, database])


def fio(bench):
    if shutil.which("fio"):
        command = ["fio", "--name=j", "--filename=" + bench.path("fiofile"), "--rw=randrw", "--bs=64k", "--size=256m",
                   "--ioengine=psync", "--loops=24", "--randrepeat=1", "--output=/dev/null"]
    else:
        command = [bench.calls, bench.path("fiofile"), "pwrite", "100000", "65536"]
    bench.row("64 KiB random reads and writes, " + command[0].split("/")[-1], lambda: None, command)


def bytes_of(bench):
    """Bytes of log per event, by workload."""
    def size(log):
        return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(log) for name in names)

    def events(log):
        out = subprocess.run([bench.reel, "export", log, "--format", "csv"], capture_output=True, check=True).stdout
        return out.count(b"\n") - 1
    top = make_sources(bench)
    repository = bench.path("repository")
    script = ("git init -q %s && cd %s && git config user.email a@b && git config user.name a && cp %s/*.c . && "
              "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i >> part$i.c; git add -A; git commit -qm $i; done; git gc -q; git log -p > l" %
              (repository, repository, top))
    work = {
        "git": ["sh", "-c", script],
        "make": ["make", "-s", "-j2", "-C", top],
        "sqlite": [sys.executable, "-c", SQLITE, bench.path("db")],
        "calls": [bench.calls, bench.path("file"), "pwrite", "100000"],
        "python": [sys.executable, "-c", "import json, http.server, xml.dom.minidom, unittest, asyncio, email, sqlite3"],
        "find": ["find", "/usr/include", "/usr/share/doc", "-size", "+1M"],
    }
    for name, command in work.items():
        for way in [w for w in bench.ways if w in ("preload", "bpf")]:
            shutil.rmtree(repository, ignore_errors=True)
            for end in ("", "-wal", "-shm"):
                if os.path.exists(bench.path("db" + end)):
                    os.unlink(bench.path("db" + end))
            for made in os.listdir(top):
                if made.endswith((".o", ".a")):
                    os.unlink(os.path.join(top, made))
            _, _, log = bench.run(way, command)
            count = events(log)
            print("bytes per event, %-7s %-8s %6.2f (%d events)" % (name, way, size(log) / count, count))
            bench.drop(log)


ROWS = {"calls": calls, "writes": writes, "parallel": parallel, "untar": untar, "make": make, "sqlite": sqlite, "fio": fio, "bytes": bytes_of}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    parser.add_argument("--only")
    parser.add_argument("rows", nargs="+", choices=list(ROWS))
    arguments = parser.parse_args()
    arguments.build = os.path.abspath(arguments.build)
    bench = Bench(arguments)
    try:
        for row in arguments.rows:
            ROWS[row](bench)
    finally:
        shutil.rmtree(bench.dir, ignore_errors=True)


if __name__ == "__main__":
    main()

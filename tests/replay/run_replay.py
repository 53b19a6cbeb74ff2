#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records a real program, replays the trace somewhere else, and compares.

The program runs in an empty directory. Afterwards the tree that the replay made below --into must be
the one that the program left: names, types, sizes, modes, link texts, which names are one file. Every
result must be the recorded one, and the replay's own trace must have the same calls thread by thread.
Exit code: 0 right, 1 wrong, 77 something that the scenario needs is not installed.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "support"))
import programs  # noqa: E402
from programs import SKIP, Missing, Runner, need, tree, tree_differences, write  # noqa: E402

NAMES = """
mkdir -p a/b/c; echo one > a/b/c/f; mv a/b a/d; cat a/d/c/f > g; ln g h; ln -s a/d/c l; echo two >> l/f
mv a z; rm z/d/c/f; rmdir z/d/c; mkfifo p; (echo through > p &); cat p > q; chmod 600 q; cp --sparse=always q r
truncate -s 1M big; dd if=/dev/zero of=big bs=4k seek=10 count=3 conv=notrunc 2>/dev/null; mkdir z/d/c; echo three > z/d/c/f; wait
"""

# cp -a sets modes by ACLs. Values are not recorded: what an ACL permits is.
ATTRIBUTES = """
umask 027; mkdir a; echo one > a/f; echo two > a/g; chmod 751 a; chmod 640 a/f; setfacl -m u:1:rw,g:2:r a/g; setfacl -d -m u::rwx,g::rx,o::x,u:3:rwx a
setfattr -n user.note -v something a/f; cp -a a b; touch b/new; mkdir b/sub; setfacl -b b/g; getfattr -d -m - a/f b/g > told; setfattr -x user.note b/f
"""

# mv to another file system and back, where rename does not do; calls that fail otherwise; a directory that is gone.
FAILURES = """
mkdir -p d/e; echo one > d/e/f; echo two > g; mv g /dev/shm/reel-replay-g; mv /dev/shm/reel-replay-g h; mv d /dev/shm/reel-replay-d; mv /dev/shm/reel-replay-d k
mkdir "" 2> errors; mkdir k 2>> errors; rmdir k 2>> errors; mv k k/k 2>> errors; ln h h 2>> errors; cat k 2>> errors; mkdir gone; cd gone; rmdir ../gone; cd ..
(ulimit -f 300; head -c 500000 /dev/zero > long) 2>> errors; mkdir there; true
"""


def attributes(inputs, work):
    need("setfacl")
    need("setfattr")
    return ["bash", "-c", ATTRIBUTES]


def failures(inputs, work):
    if os.stat("/dev/shm").st_dev == os.stat(work).st_dev:
        raise Missing("two file systems")
    return ["bash", "-c", FAILURES]


def names(inputs, work):
    return ["sh", "-c", NAMES]


def fio(inputs, work):
    need("fio")
    write(f"{inputs}/jobs", "[global]\nsize=1m\nbs=16k\nrw=randrw\nthread\nrandseed=7\n"
          "[p]\nioengine=psync\nnumjobs=2\nfsync=16\n[m]\nioengine=mmap\n[a]\nioengine=libaio\niodepth=4\n")
    return ["fio", "--output=report", f"{inputs}/jobs"]


def rocksdb(inputs, work):
    need("db_bench")
    return ["db_bench", f"--db={work}/db", "--benchmarks=fillrandom,overwrite,readrandom", "--num=3000", "--threads=2", "--write_buffer_size=65536",
            "--target_file_size_base=65536", "--compression_type=none"]


SCENARIOS = {f.__name__: f for f in (programs.untar, programs.make, programs.git, programs.sqlite, programs.pipeline, programs.imports, programs.node,
                                     programs.go, programs.postgres, names, attributes, failures, fio, rocksdb)}


def calls(reel, log):
    """thread -> [(call, path, result)], as `reel log --json` tells it"""
    result = subprocess.run([reel, "log", log, "--json"], capture_output=True, check=True)
    threads = {}
    for line in result.stdout.splitlines():
        record = json.loads(line)
        if record.get("op", "") in ("", "compute"):
            continue
        threads.setdefault(record.get("thread"), []).append((record["op"], record.get("path"), record.get("result")))
    return threads


def fail(text):
    print("FAILED:", text)
    return 1


def strace(runner, command, work, log):
    """Recorded by strace, imported: the command's exit code, or the import's"""
    need("strace")
    text = log + ".strace"
    ended = subprocess.run(runner.alone(["strace", "-f", "-ttt", "-T", "-y", "-o", text, *command]), cwd=work).returncode
    if ended != 0:
        return ended
    imported = subprocess.run(runner.alone([runner.reel, "import", "--format", "strace", text, "-o", log]), capture_output=True, text=True)
    print(imported.stderr, end="")
    return imported.returncode


def run(args):
    top = tempfile.mkdtemp(prefix="reel-replay-")
    inputs, work, into, log, retrace = (os.path.join(top, n) for n in ("inputs", "work", "into", "log", "retrace"))
    os.mkdir(inputs)
    os.mkdir(work)
    try:
        scenario = SCENARIOS[args.scenario]
        command = scenario(inputs, work)
        runner = Runner(scenario, top, args.reel)
        if args.via == "strace":
            ended = strace(runner, command, work, log)
        else:
            ended = subprocess.run(runner.recorded(args.via, log, command), cwd=work).returncode
        if ended != 0:
            return fail(f"the command, recorded, ended with {ended}")
        if runner.user:
            runner.give(log)
        replayed = subprocess.run(runner.alone([runner.reel, "replay", log, "--into", into, "--prepare", "--mode", args.mode, "--retrace", retrace,
                                                "--json", "--stall", "20", "--differences", "20"]), capture_output=True, text=True)
        if replayed.returncode not in (0, 41):
            return fail(f"replay ended with {replayed.returncode}: {replayed.stderr}")
        report = json.loads(replayed.stdout)
        wrong = [f"{d['call']} (thread {d['thread']}, record {d['record']}): {d['recorded']} was, {d['replayed']} is" for d in report["differences"]]
        wrong += tree_differences(tree(work), tree(into + work), "in the original", "in the replay")
        if calls(runner.reel, log) != calls(runner.reel, retrace):
            wrong.append("the retrace has other calls or results: " + report["retrace"])
        for line in wrong[:20]:
            print(" ", line)
        print(f"{args.scenario} {args.via} {args.mode}: {report['calls']} calls, {report['played']} played, {report['different']} different, "
              f"was {report['original_ns'] / 1e9:.3f} s, is {report['replay_ns'] / 1e9:.3f} s, skipped {report['skipped']}")
        return fail(f"{len(wrong)} differences") if wrong else 0
    except Missing as missing:
        print("SKIPPED:", missing)
        return SKIP
    finally:
        if args.keep:
            print("kept:", top)
        else:
            shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=textwrap.dedent(__doc__))
    parser.add_argument("--reel", required=True)
    parser.add_argument("--scenario", choices=SCENARIOS, required=True)
    parser.add_argument("--via", default="auto")
    parser.add_argument("--mode", default="afap")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    sys.exit(run(options))

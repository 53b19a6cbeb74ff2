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
import stat
import subprocess
import sys
import tempfile
import textwrap

SKIP = 77


class Missing(Exception):
    pass


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Missing(program + " is not installed")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def small_tree(top, count):
    for i in range(count):
        write(f"{top}/d{i % 7}/s{i % 3}/f{i}", "line\n" * (i * 37 % 900))
    os.symlink("d0/s0/f0", f"{top}/link")
    os.link(f"{top}/d0/s0/f0", f"{top}/hard")


# Scenarios: prepare inputs, return the command.

def untar(inputs, work):
    need("tar")
    small_tree(f"{inputs}/src", 300)
    subprocess.run(["tar", "-C", inputs, "-cf", f"{inputs}/src.tar", "src"], check=True)
    return ["tar", "-xf", f"{inputs}/src.tar"]


def make(inputs, work):
    need("make", "gcc")
    names = [f"part{i}" for i in range(4)]
    for name in names:
        write(f"{inputs}/{name}.c", f'#include <stdio.h>\nint {name}(void) {{ return printf("{name}\\n"); }}\n')
    calls = "".join(f"int {n}(void);\n" for n in names) + "int main(void) { return " + "+".join(n + "()" for n in names) + " == 0; }\n"
    write(f"{inputs}/main.c", calls)
    objects = " ".join(n + ".o" for n in names) + " main.o"
    write(f"{inputs}/Makefile", f"all: prog lib.a\nprog: {objects}\n\tgcc -o $@ $^\nlib.a: {objects}\n\tar rcs $@ $^\n%.o: {inputs}/%.c\n\tgcc -O1 -c -o $@ $<\n")
    return ["make", "-s", "-j2", "-f", f"{inputs}/Makefile"]


def git(inputs, work):
    need("git")
    small_tree(f"{inputs}/repo", 60)
    env = dict(os.environ, GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")
    for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run(["git", *args], cwd=f"{inputs}/repo", check=True, env=env)
    return ["sh", "-c", f"git clone -q --no-hardlinks {inputs}/repo copy && git -C copy gc -q"]


SQLITE = """
import sqlite3, threading
db = sqlite3.connect("data.db")
db.execute("pragma journal_mode=wal")
db.execute("create table t(a integer primary key, b text)")
db.commit()
def work(n):
    c = sqlite3.connect("data.db", timeout=60)
    for i in range(25):
        with c:
            c.execute("insert into t(b) values (?)", (f"{n}-{i}" * 20,))
        c.execute("select count(*) from t").fetchone()
    c.close()
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
db.close()
"""


def sqlite(inputs, work):
    write(f"{inputs}/work.py", SQLITE)
    return [sys.executable, f"{inputs}/work.py"]


def pipeline(inputs, work):
    need("sort", "tr", "sed", "wc", "tee")
    write(f"{inputs}/words", "\n".join(str(i * 7919 % 10007) for i in range(20000)) + "\n")
    return ["sh", "-c", f"cat {inputs}/words | tr 0-4 a-e | sed s/9/nine/ | tee middle | sort | uniq -c > out; wc -l < out > count; (echo a; echo b) > both"]


def imports(inputs, work):
    package = "numpy" if subprocess.run([sys.executable, "-c", "import numpy"], capture_output=True).returncode == 0 else "email.mime.multipart, xml.dom.minidom, unittest, asyncio"
    return ["env", f"PYTHONPYCACHEPREFIX={work}/cache", sys.executable, "-c", f"import {package}"]


NAMES = """
mkdir -p a/b/c; echo one > a/b/c/f; mv a/b a/d; cat a/d/c/f > g; ln g h; ln -s a/d/c l; echo two >> l/f
mv a z; rm z/d/c/f; rmdir z/d/c; mkfifo p; (echo through > p &); cat p > q; chmod 600 q; cp --sparse=always q r
truncate -s 1M big; dd if=/dev/zero of=big bs=4k seek=10 count=3 conv=notrunc 2>/dev/null; mkdir z/d/c; echo three > z/d/c/f; wait
"""


def names(inputs, work):
    return ["sh", "-c", NAMES]


def fio(inputs, work):
    need("fio")
    write(f"{inputs}/jobs", "[global]\nsize=1m\nbs=16k\nrw=randrw\nthread\nrandseed=7\n"
          "[p]\nioengine=psync\nnumjobs=2\nfsync=16\n[m]\nioengine=mmap\n[a]\nioengine=libaio\niodepth=4\n")
    return ["fio", "--output=report", f"{inputs}/jobs"]


def node(inputs, work):
    need("node")
    write(f"{inputs}/program.js", "const fs = require('fs'); fs.mkdirSync('d'); for (let i = 0; i < 50; i++) fs.writeFileSync(`d/f${i}`, 'x'.repeat(i * 100));"
          "Promise.all([...Array(20).keys()].map(i => fs.promises.copyFile(`d/f${i}`, `c${i}`))).then(() => fs.renameSync('d', 'e'));")
    return ["node", f"{inputs}/program.js"]


GO = """
package main
import ("fmt"; "os"; "sync")
func main() {
    os.Mkdir("d", 0755)
    var all sync.WaitGroup
    for i := 0; i < 20; i++ {
        all.Add(1)
        go func(n int) {
            defer all.Done()
            name := fmt.Sprintf("d/f%d", n)
            os.WriteFile(name, make([]byte, n*1000), 0600)
            os.Rename(name, fmt.Sprintf("d/g%d", n))
        }(i)
    }
    all.Wait()
    os.Symlink("d/g3", "l")
    text, _ := os.ReadFile("l")
    os.WriteFile("size", []byte(fmt.Sprint(len(text))), 0644)
}
"""


def go(inputs, work):
    need("go")
    write(f"{inputs}/p/main.go", GO)
    env = dict(os.environ, GOCACHE=f"{inputs}/gocache", GO111MODULE="off", HOME=inputs)
    subprocess.run(["go", "build", "-o", f"{inputs}/program", f"{inputs}/p/main.go"], env=env, check=True)
    return [f"{inputs}/program"]


def rocksdb(inputs, work):
    need("db_bench")
    return ["db_bench", f"--db={work}/db", "--benchmarks=fillrandom,overwrite,readrandom", "--num=3000", "--threads=2", "--write_buffer_size=65536",
            "--target_file_size_base=65536", "--compression_type=none"]


SCENARIOS = {f.__name__: f for f in (untar, make, git, sqlite, pipeline, imports, names, fio, node, go, rocksdb)}


def tree(top):
    """path -> what must be equal"""
    found, inodes = {}, {}
    for directory, _, _ in os.walk(top):
        for name in [""] + os.listdir(directory):
            path = os.path.join(directory, name) if name else directory
            s = os.lstat(path)
            rel = os.path.relpath(path, top)
            if rel == ".":
                continue
            kind = stat.S_IFMT(s.st_mode)
            link = os.readlink(path) if stat.S_ISLNK(s.st_mode) else ""
            size = s.st_size if stat.S_ISREG(s.st_mode) else 0
            if not stat.S_ISDIR(s.st_mode):
                inodes.setdefault(s.st_ino, []).append(rel)
            found[rel] = (oct(kind), size, oct(stat.S_IMODE(s.st_mode)), link)
    groups = {tuple(sorted(set(paths))) for paths in inodes.values() if len(set(paths)) > 1}
    return found, groups


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


def compare(work, made):
    left, left_groups = tree(work)
    right, right_groups = tree(made)
    wrong = [f"{p}: {left.get(p)} in the original, {right.get(p)} in the replay" for p in sorted(left.keys() | right.keys())
             if left.get(p) != right.get(p)]
    if left_groups != right_groups:
        wrong.append(f"hard links: {sorted(left_groups ^ right_groups)[:5]}")
    return wrong


def strace(reel, command, work, log):
    """Recorded by strace, imported: the command's exit code, or the import's"""
    need("strace")
    text = log + ".strace"
    ended = subprocess.run(["strace", "-f", "-ttt", "-T", "-y", "-o", text, *command], cwd=work).returncode
    if ended != 0:
        return ended
    imported = subprocess.run([reel, "import", "--format", "strace", text, "-o", log], capture_output=True, text=True)
    print(imported.stderr, end="")
    return imported.returncode


def run(args):
    top = tempfile.mkdtemp(prefix="reel-replay-")
    inputs, work, into, log, retrace = (os.path.join(top, n) for n in ("inputs", "work", "into", "log", "retrace"))
    os.mkdir(inputs)
    os.mkdir(work)
    try:
        command = SCENARIOS[args.scenario](inputs, work)
        if args.via == "strace":
            ended = strace(args.reel, command, work, log)
        else:
            ended = subprocess.run([args.reel, "record", "-q", "--via", args.via, "-o", log, "--", *command], cwd=work).returncode
        if ended != 0:
            return fail(f"the command, recorded, ended with {ended}")
        replayed = subprocess.run([args.reel, "replay", log, "--into", into, "--prepare", "--mode", args.mode, "--retrace", retrace,
                                   "--json", "--stall", "20", "--differences", "20"], capture_output=True, text=True)
        if replayed.returncode not in (0, 41):
            return fail(f"replay ended with {replayed.returncode}: {replayed.stderr}")
        report = json.loads(replayed.stdout)
        wrong = [f"{d['call']} (thread {d['thread']}, record {d['record']}): {d['recorded']} was, {d['replayed']} is" for d in report["differences"]]
        wrong += compare(work, into + work)
        if calls(args.reel, log) != calls(args.reel, retrace):
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
    options.reel = os.path.abspath(options.reel)
    sys.exit(run(options))

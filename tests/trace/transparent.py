#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a program run the same when it is recorded? Runs it alone and recorded, each in an empty directory of the same
name, and compares what it prints, its exit code, and the tree that it leaves (names, types, sizes, modes, link texts,
hard links; contents where they do not depend on times). The trace must be readable and say how it ended.
Exit code: 0 the same, 1 not, 77 something that the scenario needs is not installed.
"""
import argparse
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
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


def compiled(inputs, *flags, source="odd.c"):
    need("cc")
    program = f"{inputs}/odd"
    made = subprocess.run(["cc", "-O1", "-w", "-pthread", *flags, "-o", program, f"{HERE}/{source}"], capture_output=True, text=True)
    if made.returncode != 0:
        raise Missing(f"cc {' '.join(flags)} does not work here: {made.stderr.splitlines()[-1:]}")
    return program


# Scenarios: make inputs, return the command. Where `contents` is False these depend on times or on chance.

class Scenario:
    def __init__(self, make, contents=True):
        self.make, self.contents = make, contents


def untar(inputs):
    need("tar")
    small_tree(f"{inputs}/src", 300)
    subprocess.run(["tar", "-C", inputs, "-cf", f"{inputs}/src.tar", "src"], check=True)
    return ["tar", "-xvf", f"{inputs}/src.tar"]


def make(inputs):
    need("make", "cc", "ar")
    names = [f"part{i}" for i in range(6)]
    for name in names:
        write(f"{inputs}/{name}.c", f'#include <stdio.h>\nint {name}(void) {{ return printf("{name}\\n"); }}\n')
    write(f"{inputs}/main.c", "".join(f"int {n}(void);\n" for n in names) + "int main(void) { return " + "+".join(n + "()" for n in names) + " == 0; }\n")
    objects = " ".join(n + ".o" for n in names) + " main.o"
    write(f"{inputs}/Makefile", f"all: prog lib.a\n\t./prog\nprog: {objects}\n\tcc -o $@ $^\nlib.a: {objects}\n\tar rcsD $@ $^\n%.o: {inputs}/%.c\n\tcc -O1 -c -o $@ $<\n")
    return ["make", "-s", "-j2", "-f", f"{inputs}/Makefile"]


def git(inputs):
    need("git")
    small_tree(f"{inputs}/repo", 60)
    env = dict(os.environ, GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")
    for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run(["git", *args], cwd=f"{inputs}/repo", check=True, env=env)
    # One thread: with more the pack differs from run to run.
    return ["sh", "-c", f"git clone -q --no-hardlinks {inputs}/repo copy && git -C copy -c pack.threads=1 gc -q && git -C copy fsck && git -C copy log --format=%H && git -C copy status"]


SQLITE = """
import sqlite3, threading
db = sqlite3.connect("data.db")
db.execute("pragma journal_mode=wal")
db.execute("create table t(a integer primary key, b text)")
db.commit()
def work(n):
    c = sqlite3.connect("data.db", timeout=60)
    for i in range(25):
        with c: c.execute("insert into t(b) values (?)", (f"{n}-{i}" * 20,))
    c.close()
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(db.execute("select b from t").fetchall()))
print(db.execute("pragma integrity_check").fetchall())
db.close()
"""


def sqlite(inputs):
    write(f"{inputs}/work.py", SQLITE)
    return [sys.executable, f"{inputs}/work.py"]


def fio(engine):
    def make(inputs):
        need("fio")
        write(f"{inputs}/job", f"[j]\nioengine={engine}\nsize=1m\nbs=16k\nrw=randwrite\nrandseed=7\niodepth=4\nverify=crc32c\nthread\n")
        return ["fio", "--output=/dev/null", f"{inputs}/job"]
    return make


def pipeline(inputs):
    need("sort", "tr", "sed", "wc", "tee")
    write(f"{inputs}/words", "\n".join(str(i * 7919 % 10007) for i in range(20000)) + "\n")
    return ["sh", "-c", f"cat {inputs}/words | tr 0-4 a-e | sed s/9/nine/ | tee middle | sort | uniq -c > out; wc -l < out; (echo a; echo b) > both; exit 3"]


def imports(inputs):
    return ["env", f"PYTHONPYCACHEPREFIX={inputs}/cache", sys.executable, "-c",
            "import asyncio, email.mime.multipart, http.server, logging.config, multiprocessing.pool, unittest.mock, xml.dom.minidom, sys; print(len(sys.modules))"]


def node(inputs):
    need("node")
    write(f"{inputs}/program.js", "const fs = require('fs'); fs.mkdirSync('d'); for (let i = 0; i < 50; i++) fs.writeFileSync(`d/f${i}`, 'x'.repeat(i * 100));"
          "Promise.all([...Array(20).keys()].map(i => fs.promises.copyFile(`d/f${i}`, `c${i}`))).then(() => { fs.renameSync('d', 'e'); console.log(fs.readdirSync('.').length); });")
    return ["node", f"{inputs}/program.js"]


GO = """
package main
import ("fmt"; "os"; "sync")
func main() {
    var all sync.WaitGroup
    for i := 0; i < 20; i++ {
        all.Add(1)
        go func(n int) { defer all.Done(); os.WriteFile(fmt.Sprintf("f%d", n), make([]byte, n*100), 0600) }(i)
    }
    all.Wait()
    _, err := os.Open("missing")
    entries, _ := os.ReadDir(".")
    fmt.Println(len(entries), err)
    os.Exit(4)
}
"""


def go(inputs):
    need("go")
    write(f"{inputs}/p/main.go", GO)
    env = dict(os.environ, GOCACHE=f"{inputs}/gocache", GOFLAGS="-mod=mod", GO111MODULE="off", HOME=inputs)
    built = subprocess.run(["go", "build", "-o", f"{inputs}/program", f"{inputs}/p/main.go"], env=env, capture_output=True, text=True)
    if built.returncode != 0:
        raise Missing("go does not build here: " + built.stderr[:200])
    return [f"{inputs}/program"]


def odd(scenario, *flags):
    return lambda inputs: [compiled(inputs, *flags), scenario]


def setuid(inputs):
    if os.geteuid() != 0:
        raise Missing("root, to make a setuid program")
    program = compiled(inputs)
    os.chown(program, 65534, 65534)
    os.chmod(program, 0o6755)
    if os.statvfs(inputs).f_flag & os.ST_NOSUID:
        raise Missing("a file system that honours setuid")
    return ["sh", "-c", f"{program} user; {program} child; true"]


SCENARIOS = {
    "untar": Scenario(untar), "make": Scenario(make), "git": Scenario(git, contents=False), "sqlite": Scenario(sqlite, contents=False),
    "fio_psync": Scenario(fio("psync"), contents=False), "fio_libaio": Scenario(fio("libaio"), contents=False), "fio_mmap": Scenario(fio("mmap"), contents=False),
    "pipeline": Scenario(pipeline), "imports": Scenario(imports), "node": Scenario(node), "go": Scenario(go),
    "static": Scenario(odd("threads", "-static")), "setuid": Scenario(setuid),
}
for name in ("signals", "errors", "vforks", "spawns", "execs", "clones", "uring", "aio", "killed"):
    SCENARIOS[name] = Scenario(odd(name))
for name in ("errors", "vforks", "spawns", "threads", "clones"):
    SCENARIOS["asan_" + name] = Scenario(odd(name, "-fsanitize=address"))
    if name != "clones":  # ThreadSanitizer itself does not follow children made by number
        SCENARIOS["tsan_" + name] = Scenario(odd(name, "-fsanitize=thread"))


def tree(top, contents):
    found, inodes = {}, {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            s = os.lstat(path)
            rel = os.path.relpath(path, top)
            text = ""
            if stat.S_ISLNK(s.st_mode):
                text = os.readlink(path)
            elif stat.S_ISREG(s.st_mode) and contents:
                with open(path, "rb") as f:
                    text = hashlib.sha1(f.read()).hexdigest()
            size = s.st_size if stat.S_ISREG(s.st_mode) else 0
            found[rel] = (oct(s.st_mode), size, s.st_uid, s.st_gid, text)
            if stat.S_ISREG(s.st_mode):
                inodes.setdefault(s.st_ino, []).append(rel)
    groups = sorted(sorted(paths) for paths in inodes.values() if len(paths) > 1)
    return found, groups


def run(command, work, contents):
    shutil.rmtree(work, ignore_errors=True)
    os.mkdir(work, 0o755)
    os.chmod(work, 0o777)
    done = subprocess.run(command, cwd=work, capture_output=True, stdin=subprocess.DEVNULL, timeout=100)
    return {"exit code": done.returncode, "output": done.stdout, "standard error": done.stderr, "tree": tree(work, contents)}


def differences(alone, recorded):
    for what in ("exit code", "output", "standard error"):
        if alone[what] != recorded[what]:
            yield f"{what}: {alone[what]} alone, {recorded[what]} recorded"
    (left, left_groups), (right, right_groups) = alone["tree"], recorded["tree"]
    for path in sorted(left.keys() | right.keys()):
        if left.get(path) != right.get(path):
            yield f"{path}: {left.get(path)} alone, {right.get(path)} recorded"
    if left_groups != right_groups:
        yield f"hard links: {left_groups} alone, {right_groups} recorded"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reel", required=True)
    parser.add_argument("--scenario", choices=SCENARIOS, required=True)
    parser.add_argument("--via", required=True)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    reel = os.path.abspath(options.reel)
    scenario = SCENARIOS[options.scenario]
    top = tempfile.mkdtemp(prefix="reel-transparent-")
    os.chmod(top, 0o755)
    inputs, work, log = (os.path.join(top, n) for n in ("inputs", "work", "log"))
    os.mkdir(inputs)
    try:
        if options.via == "bpf" and os.geteuid() != 0:
            raise Missing("root, for the BPF recorder")
        command = scenario.make(inputs)
        os.umask(0o022)
        alone = run(command, work, scenario.contents)
        if alone["exit code"] == SKIP:
            raise Missing("a kernel that has what the program needs")
        if alone["exit code"] == -9:  # what a shell calls it, and reel
            alone["exit code"] = 137
        recorded = run([reel, "record", "-q", "--via", options.via, "-o", log, "--", *command], work, scenario.contents)
        wrong = list(differences(alone, recorded))
        report = subprocess.run([reel, "report", log], capture_output=True, text=True)
        if report.returncode != 0:
            wrong.append(f"reel report of the trace ended with {report.returncode}: {report.stderr}")
        for line in wrong[:20]:
            print(" ", line)
        print(f"{options.scenario} {options.via}: exit code {alone['exit code']}, {len(alone['tree'][0])} names left, {len(wrong)} differences")
        return 1 if wrong else 0
    except Missing as missing:
        print("SKIPPED:", missing)
        return SKIP
    finally:
        if options.keep:
            print("kept:", top)
        else:
            shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

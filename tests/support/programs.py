# SPDX-License-Identifier: Apache-2.0
"""Real programs to be recorded, and the trees that they leave. A program is a function of `inputs`, a directory where it
prepares what it needs, and `work`, where the command that it returns will be run; all of them end with 0."""
import glob
import hashlib
import os
import shutil
import stat
import subprocess
import sys

SKIP = 77  # the exit code of a test for Missing


class Missing(Exception):
    """Something that the program needs is not there."""


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Missing(program + " is not installed")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


USER = 65534


class Runner:
    """How a program is run, alone and by reel: as root only if we are root and it does not mind (`as_root`)"""

    def __init__(self, program, top, reel):
        self.reel, self.user = os.path.abspath(reel), []
        if os.geteuid() != 0 or getattr(program, "as_root", True):
            return
        need("setpriv")
        self.user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        os.chmod(top, 0o755)
        for name in ("", *os.listdir(top)):
            os.chown(f"{top}/{name}", USER, USER)
        if subprocess.run([*self.user, "test", "-x", self.reel]).returncode != 0:  # it was built where only root can look
            os.mkdir(f"{top}/bin")
            for path in (self.reel, *glob.glob(os.path.dirname(self.reel) + "/*.so")):
                shutil.copy(path, f"{top}/bin")
            self.reel = f"{top}/bin/{os.path.basename(self.reel)}"

    def alone(self, command):
        return [*self.user, *command]

    def recorded(self, via, log, command):
        """The BPF recorder must be root and makes its program the user's; the others are the user's, as their program"""
        if via == "bpf" and os.geteuid() != 0:
            raise Missing("root, for the BPF recorder")
        record = [self.reel, "record", "-q", "--via", via, "-o", log, "--"]
        return [*record, *self.user, *command] if via == "bpf" else [*self.user, *record, *command]

    def give(self, top):
        """What root made to the user"""
        for directory, names, files in os.walk(top):
            for path in (directory, *(os.path.join(directory, name) for name in files)):
                os.chown(path, USER, USER)


def small_tree(top, count):
    for i in range(count):
        write(f"{top}/d{i % 7}/s{i % 3}/f{i}", "line\n" * (i * 37 % 900))
    os.symlink("d0/s0/f0", f"{top}/link")
    os.link(f"{top}/d0/s0/f0", f"{top}/hard")


def untar(inputs, work):
    need("tar")
    small_tree(f"{inputs}/src", 300)
    subprocess.run(["tar", "-C", inputs, "-cf", f"{inputs}/src.tar", "src"], check=True)
    return ["tar", "-xvf", f"{inputs}/src.tar"]


def make(inputs, work):
    need("make", "cc", "ar")
    names = [f"part{i}" for i in range(6)]
    for name in names:
        write(f"{inputs}/{name}.c", f'#include <stdio.h>\nint {name}(void) {{ return printf("{name}\\n"); }}\n')
    write(f"{inputs}/main.c", "".join(f"int {n}(void);\n" for n in names) + "int main(void) { return " + "+".join(n + "()" for n in names) + " == 0; }\n")
    objects = " ".join(n + ".o" for n in names) + " main.o"
    write(f"{inputs}/Makefile", f"all: prog lib.a\n\t./prog\nprog: {objects}\n\tcc -o $@ $^\nlib.a: {objects}\n\tar rcsD $@ $^\n%.o: {inputs}/%.c\n\tcc -O1 -c -o $@ $<\n")
    return ["make", "-s", "-j2", "-f", f"{inputs}/Makefile"]


def git(inputs, work):
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
        with c:
            c.execute("insert into t(b) values (?)", (f"{n}-{i}" * 20,))
        c.execute("select count(*) from t").fetchone()
    c.close()
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(db.execute("select b from t").fetchall()))
print(db.execute("pragma integrity_check").fetchall())
db.close()
"""


def sqlite(inputs, work):
    write(f"{inputs}/work.py", SQLITE)
    return [sys.executable, f"{inputs}/work.py"]


def pipeline(inputs, work):
    need("sort", "tr", "sed", "wc", "tee")
    write(f"{inputs}/words", "\n".join(str(i * 7919 % 10007) for i in range(20000)) + "\n")
    return ["sh", "-c", f"cat {inputs}/words | tr 0-4 a-e | sed s/9/nine/ | tee middle | sort | uniq -c > out; wc -l < out | tee count; (echo a; echo b) > both"]


def imports(inputs, work):
    package = "numpy" if subprocess.run([sys.executable, "-c", "import numpy"], capture_output=True).returncode == 0 else (
        "asyncio, email.mime.multipart, http.server, logging.config, multiprocessing.pool, unittest.mock, xml.dom.minidom")
    return ["env", f"PYTHONPYCACHEPREFIX={work}/cache", sys.executable, "-c", f"import {package}, sys; print(len(sys.modules))"]


def node(inputs, work):
    need("node")
    write(f"{inputs}/program.js", "const fs = require('fs'); fs.mkdirSync('d'); for (let i = 0; i < 50; i++) fs.writeFileSync(`d/f${i}`, 'x'.repeat(i * 100));"
          "Promise.all([...Array(20).keys()].map(i => fs.promises.copyFile(`d/f${i}`, `c${i}`))).then(() => { fs.renameSync('d', 'e'); console.log(fs.readdirSync('.').length); });")
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
    _, err := os.Open("missing")
    entries, _ := os.ReadDir("d")
    fmt.Println(len(entries), err)
}
"""


def go(inputs, work):
    need("go")
    write(f"{inputs}/p/main.go", GO)
    env = dict(os.environ, GOCACHE=f"{inputs}/gocache", GO111MODULE="off", HOME=inputs)
    built = subprocess.run(["go", "build", "-o", f"{inputs}/program", f"{inputs}/p/main.go"], env=env, capture_output=True, text=True)
    if built.returncode != 0:
        raise Missing("go does not build here: " + built.stderr[:200])
    return [f"{inputs}/program"]


# Two clients at a time: which of them has a row first is chance, which transactions there are is not.
POSTGRES = """
set -e
export PATH={bin}:/usr/bin:/bin HOME=$PWD
initdb -D data -U bench -A trust > /dev/null
postgres -D data -c listen_addresses= -c unix_socket_directories=$PWD -c autovacuum=off -c log_min_messages=panic 2> log &
trap 'kill -QUIT $!' EXIT
until pg_isready -q -h $PWD -U bench; do sleep 0.05; done
pgbench -h $PWD -U bench -i -q -s 1 postgres 2> /dev/null
pgbench -h $PWD -U bench -n -c 2 -j 2 -t 50 --random-seed=1 postgres 2> /dev/null | grep processed
pg_ctl -D data -s -w -m fast stop
trap - EXIT
wait
"""


def postgres(inputs, work):
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [shutil.which("initdb")]
    if not programs[-1]:
        raise Missing("initdb (postgresql) is not installed")
    write(f"{inputs}/run.sh", POSTGRES.format(bin=os.path.dirname(os.path.realpath(programs[-1]))))
    return ["sh", f"{inputs}/run.sh"]


postgres.as_root = False  # it refuses


def tree(top, contents=False):
    """What is below: path -> what must be equal in two trees (owners too; of files the size, and the contents on request),
    and the groups of paths that are one file."""
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
            if not stat.S_ISDIR(s.st_mode):
                inodes.setdefault(s.st_ino, []).append(rel)
    return found, {tuple(sorted(paths)) for paths in inodes.values() if len(paths) > 1}


def tree_differences(left, right, left_name, right_name):
    """Two results of tree(), a line for each difference"""
    (left, left_groups), (right, right_groups) = left, right
    lines = [f"{path}: {left.get(path)} {left_name}, {right.get(path)} {right_name}"
             for path in sorted(left.keys() | right.keys()) if left.get(path) != right.get(path)]
    if left_groups != right_groups:
        lines.append(f"hard links: {sorted(left_groups ^ right_groups)[:5]}")
    return lines

# SPDX-License-Identifier: Apache-2.0
#
# The mirror under programs that people run: each input works in the source while reel follows, and at
# its end the trees must be equal.
#
#   python3 real_inputs.py --reel PATH --input package|git|dpkg|sqlite|sparse|stress [--source ..] [--target ..]
#
# What needs the network (package, dpkg) takes what is in apt's cache first and is skipped, with the
# reason, when there is not enough.
import glob
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading

import harness
import mounts
import run_mirror
from harness import Stage, nap

PACKAGE = "hello"
DEBS = 100


def quiet(command, cwd=None, limit=900, **kw):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=limit, **kw)
    if done.returncode != 0:
        raise harness.Failure("%s failed (%d): %s" % (" ".join(command), done.returncode, done.stdout[-1500:]))
    return done.stdout


def followed(options, bench):
    """A stage whose mirror is running and settled."""
    stage = Stage(options, bench)
    stage.reel.start()
    stage.reel.settled()
    return stage


def input_package(options, bench):
    """A C source package is unpacked, configured, built and cleaned."""
    stage = followed(options, bench)
    tree = os.path.join(stage.source, "package")
    if options.fetched:
        quiet(["dpkg-source", "-x", options.fetched, tree])
        quiet(["sh", "-c", "./configure && make -j2"], cwd=tree)
    else:
        os.mkdir(tree)
        write_package(tree)
        quiet(["make", "-j2"], cwd=tree)
    stage.reel.equal()
    quiet(["make", "clean"], cwd=tree)
    stage.reel.equal()
    return options.fetched and os.path.basename(options.fetched) or "a package written on the spot"


def write_package(tree):
    """Three hundred C files and a makefile: what is built when no source package can be had."""
    for i in range(300):
        os.makedirs("%s/part%d" % (tree, i % 20), exist_ok=True)
        with open("%s/part%d/unit%d.c" % (tree, i % 20, i), "w") as f:
            f.write("int unit%d(int x) { return x * %d; }\n" % (i, i))
    with open(tree + "/main.c", "w") as f:
        f.write("int main(void) { return 0; }\n")
    with open(tree + "/Makefile", "w") as f:
        f.write("SRC := main.c $(wildcard part*/*.c)\nOBJ := $(SRC:.c=.o)\nall: prog libunits.a\n"
                "prog: $(OBJ)\n\t$(CC) -o $@ $(OBJ)\nlibunits.a: $(OBJ)\n\t$(AR) rcs $@ $(OBJ)\n"
                "clean:\n\trm -f prog libunits.a $(OBJ)\n")


def fetch_package():
    """The .dsc of a small source package, or None where there are none (no deb-src, no network)."""
    if not shutil.which("dpkg-source"):
        return None
    place = tempfile.mkdtemp(prefix="reel-outside-src-")
    done = subprocess.run(["apt-get", "source", "--download-only", "-qq", PACKAGE], cwd=place, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=120)
    found = glob.glob(place + "/*.dsc")
    if done.returncode == 0 and found:
        return found[0]
    shutil.rmtree(place)
    return None


def input_git(options, bench):
    """A repository of 3000 commits is imported, cloned, checked out here and there, and packed."""
    stage = followed(options, bench)
    rng = random.Random(options.seed)
    env = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "HOME": bench.dir}
    origin, clone = stage.source + "/origin.git", stage.source + "/clone"
    quiet(["git", "init", "-q", "--bare", origin], env=env)
    stream = []
    for i in range(1, 3001):
        name = "d%d/f%d" % (rng.randrange(40), rng.randrange(25))
        text = "".join("line %d of %d\n" % (rng.randrange(1000), i) for _ in range(rng.randrange(1, 60)))
        stream.append("commit refs/heads/main\nmark :%d\ncommitter A <a@b> %d +0000\ndata 5\nc%04d%s\nM 644 inline %s\n"
                      "data %d\n%s\n" % (i, 1600000000 + i, i, "\nfrom :%d" % (i - 1) if i > 1 else "", name, len(text), text))
    done = subprocess.run(["git", "-C", origin, "fast-import", "--quiet"], input="".join(stream), text=True, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    if done.returncode != 0:
        raise harness.Failure("git fast-import: " + done.stdout[-1000:])
    quiet(["git", "-C", origin, "symbolic-ref", "HEAD", "refs/heads/main"], env=env)
    quiet(["git", "clone", "-q", "--no-hardlinks", origin, clone], env=env)
    stage.reel.equal()
    for back in (2900, 100, 1500):
        quiet(["git", "-C", clone, "checkout", "-q", "main~%d" % back], env=env)
    quiet(["git", "-C", clone, "checkout", "-q", "main"], env=env)
    stage.reel.equal()
    quiet(["git", "-C", clone, "repack", "-adq"], env=env)
    quiet(["git", "-C", origin, "gc", "-q", "--prune=now"], env=env)
    quiet(["git", "clone", "-q", "--local", origin, clone + "2"], env=env)  # hard links
    stage.reel.equal()


def input_dpkg(options, bench):
    """A hundred packages are unpacked over each other, then removed in part."""
    stage = followed(options, bench)
    for deb in options.fetched:
        quiet(["dpkg", "-x", deb, stage.source + "/root"])
    stage.reel.equal(300)
    for name in ("usr/share/doc", "usr/lib"):
        shutil.rmtree(os.path.join(stage.source, "root", name), ignore_errors=True)
    stage.reel.equal(300)
    return "%d packages" % len(options.fetched)


def fetch_debs():
    """Archives from apt's cache, and the smallest of the installed packages downloaded besides."""
    debs = glob.glob("/var/cache/apt/archives/*.deb")[:DEBS]
    if len(debs) >= DEBS or not shutil.which("dpkg-query"):
        return debs
    listing = quiet(["dpkg-query", "-W", "-f", "${Installed-Size} ${Package}\n"]).split("\n")
    sized = sorted((int(line.split()[0]), line.split()[1]) for line in listing if len(line.split()) == 2)
    names = [name for size, name in sized if size > 20][:DEBS - len(debs)]
    place = tempfile.mkdtemp(prefix="reel-outside-debs-")
    subprocess.run(["apt-get", "download", "-qq"] + names, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   timeout=300)
    return debs + glob.glob(place + "/*.deb")


def input_sqlite(options, bench):
    """Databases with a rollback journal and with a write-ahead log, several writers, closed at the end."""
    stage = followed(options, bench)
    for mode in ("DELETE", "WAL", "TRUNCATE", "PERSIST"):
        path = stage.source + "/%s.db" % mode.lower()
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA journal_mode=" + mode)
            db.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)")
        db.close()
        errors = []

        def write(number, path=path, errors=errors):
            try:
                rng = random.Random(options.seed * 10 + number)
                db = sqlite3.connect(path, timeout=60, isolation_level=None)
                for _ in range(options.transactions):
                    db.execute("BEGIN IMMEDIATE")
                    for _ in range(5):
                        db.execute("INSERT OR REPLACE INTO t VALUES (?, ?)", (rng.randrange(5000), rng.randbytes(rng.randrange(3000))))
                    db.execute("DELETE FROM t WHERE k = ?", (rng.randrange(5000),))
                    db.execute("COMMIT" if rng.random() < 0.9 else "ROLLBACK")
                if number == 0:
                    db.execute("VACUUM")
                db.close()
            except sqlite3.Error as e:
                errors.append(str(e))
        threads = [threading.Thread(target=write, args=(i,)) for i in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if errors:
            raise RuntimeError("sqlite: %s" % errors)
        stage.reel.equal()
        # A copy of the copy: opening a database changes it.
        shutil.copy(stage.targets[0] + "/%s.db" % mode.lower(), bench.dir + "/copy.db")
        copy = sqlite3.connect(bench.dir + "/copy.db")
        verdict = copy.execute("PRAGMA integrity_check").fetchone()[0]
        copy.close()
        if verdict != "ok":
            raise harness.Failure("the copy of the %s database is damaged: %s" % (mode, verdict))


def input_sparse(options, bench):
    """20 GiB with a little data here and there, changed in place, holes made and filled."""
    stage = followed(options, bench)
    rng = random.Random(options.seed)
    fd = os.open(stage.source + "/sparse", os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(fd, 20 << 30)
    for _ in range(300):
        os.pwrite(fd, rng.randbytes(rng.randrange(1, 200000)), rng.randrange(20 << 30))
    stage.reel.equal(300)
    for _ in range(200):
        where = rng.randrange(20 << 30)
        if rng.random() < 0.5:
            run_mirror.ops.libc.fallocate(fd, run_mirror.ops.PUNCH, where, 1 << 28)
        else:
            os.pwrite(fd, rng.randbytes(4096), where)
    os.close(fd)
    stage.reel.equal(300)


# Those that leave their files alone when they end; each removes its own directory.
STRESSORS = ["access", "chattr", "chdir", "chmod", "chown", "copy-file", "dentry", "dir", "dirdeep", "dirmany", "dup",
             "fallocate", "fiemap", "file-ioctl", "filename", "flock", "fpunch", "fsize", "getdent", "hdd", "iomix", "io",
             "link", "locka", "lockf", "lockofd", "metamix", "mknod", "open", "rename", "symlink", "sync-file", "touch",
             "unlink", "utime", "verity", "xattr"]


def input_stress(options, bench):
    """stress-ng's file system stressors, killed in the middle so that their files stay."""
    stage = followed(options, bench)
    place = stage.source + "/stress"
    os.mkdir(place)
    known = quiet(["stress-ng", "--stressors"]).split()
    chosen = [s for s in STRESSORS if s in known]
    rng = random.Random(options.seed)
    rng.shuffle(chosen)
    share = max(2, options.stress_seconds // 5)
    for start in range(0, len(chosen), len(chosen) // 5 + 1):
        command = ["stress-ng", "--temp-path", place, "--timeout", str(share), "--hdd-bytes", "16m", "--quiet"]
        for stressor in chosen[start:start + len(chosen) // 5 + 1]:
            command += ["--" + stressor, "1"]
        p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        nap(share * 0.7)
        if start % 2:
            os.killpg(p.pid, 9)  # what it was doing stays as it is
        p.wait()
        end_session(p.pid)
        run_mirror.ops.clear_for_good(place)
        stage.reel.equal(300)
    shutil.rmtree(place, ignore_errors=True)
    stage.reel.equal(300)


def end_session(session):
    """stress-ng's children make process groups of their own."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) == session:
                os.kill(int(pid), 9)
                harness.poll(20, "a stressor ends", lambda pid=pid: gone(pid))
        except ProcessLookupError:
            continue


def gone(pid):
    try:
        return open("/proc/%s/stat" % pid).read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


INPUTS = {name[6:]: f for name, f in list(globals().items()) if name.startswith("input_")}


def main():
    argv = sys.argv[1:]
    if "--input" not in argv:
        sys.exit("real_inputs: --input is one of: " + ", ".join(INPUTS))
    name = argv[argv.index("--input") + 1]
    del argv[argv.index("--input"):argv.index("--input") + 2]
    options = run_mirror.parse(argv)
    options.transactions, options.stress_seconds, options.fetched = 300, 30, None
    mounts.need_kinds(options.source, options.target, "ext4")
    if name == "package":
        mounts.need_tools("make", "cc")
        options.fetched = fetch_package()
    elif name == "dpkg":
        mounts.need_tools("dpkg")
        options.fetched = fetch_debs()
        if len(options.fetched) < 10:
            mounts.skip("no packages in apt's cache and none to be downloaded")
    elif name == "git":
        mounts.need_tools("git")
    elif name == "stress":
        mounts.need_tools("stress-ng")
    fetched = [options.fetched] if isinstance(options.fetched, str) else options.fetched or []
    places = {os.path.dirname(f) for f in fetched if "/reel-outside-" in f}
    # The parent of our own world removes what was fetched, whatever becomes of the child.
    mounts.enter_own_world(lambda: [shutil.rmtree(p, ignore_errors=True) for p in places])
    os.umask(0o022)
    return harness.frame(options, "%s %s->%s" % (name, options.source, options.target), INPUTS[name])


if __name__ == "__main__":
    sys.exit(main())

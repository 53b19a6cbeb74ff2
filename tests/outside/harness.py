# SPDX-License-Identifier: Apache-2.0
#
# What the scenarios of run_mirror.py and real_inputs.py share: a reel that can be started, killed,
# asked and waited for; a bench with a source, targets and a static part; and the frame of a run, which
# prints the seed, the command that repeats it and what reel said when something is wrong.
import contextlib
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
import traceback

import check
import mounts

HERE = os.path.dirname(os.path.abspath(__file__))
WORKLOAD = os.path.join(HERE, "workload.py")


class Failure(Exception):
    pass


class TimeLimit(BaseException):
    """Not an Exception: no handler but the frame may swallow it."""


class Reel:
    """`reel mirror` as a process of ours."""

    def __init__(self, options, source, targets, state, log):
        self.command = shlex.split(options.reel)
        self.options = options
        self.source, self.targets, self.state, self.log = source, targets, state, log
        self.process = None
        self.env = {}  # of the mirror, beside ours

    def start(self, extra=()):
        with open(self.log, "ab") as log:
            log.write(b"--- start\n")
            log.flush()
            self.process = subprocess.Popen(
                self.command + ["mirror", "--state", self.state] + shlex.split(self.options.mirror_options or "")
                + list(extra) + [self.source] + self.targets, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, **self.env))

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9, wherever it is."""
        if self.alive():
            self.process.kill()
        self.process.wait()

    def stop(self, limit=60):
        """SIGTERM; the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failure("reel mirror did not end within %d s of SIGTERM" % limit) from None

    def run(self, *args, limit=300):
        done = subprocess.run(self.command + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace", timeout=limit)
        return done.returncode, done.stdout, done.stderr

    def ask_wait(self, limit):
        """One `reel wait`; given up when there is no mirror any more that it could wait for."""
        with subprocess.Popen(self.command + ["wait", "--state", self.state, "--timeout", str(limit)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True, errors="replace") as asked:
            deadline = time.monotonic() + limit + 20
            while True:
                try:
                    err = asked.communicate(timeout=0.5)[1]
                    return asked.returncode, err.strip()
                except subprocess.TimeoutExpired:
                    if self.alive() and time.monotonic() < deadline:
                        continue
                    asked.kill()
                    if self.alive():
                        raise Failure("reel wait --timeout %d did not end" % limit) from None

    def wait(self, limit=120):
        """The exit code of `reel wait`; asked again while reel is only starting."""
        deadline = time.monotonic() + limit
        while True:
            left = deadline - time.monotonic()
            code, err = self.ask_wait(max(1, int(left)))
            if code == 0 or left <= 1:
                return code, err
            if not self.alive():
                raise Failure("reel mirror ended by itself with exit code %s" % self.process.returncode)
            time.sleep(0.1)

    def status(self):
        code, out, err = self.run("status", "--state", self.state, "--json")
        try:
            return json.loads(out)
        except ValueError:
            raise Failure("reel status --json: exit code %d, not JSON: %r %r" % (code, out[:300], err[:300])) from None

    def counter(self, name):
        """The counter of reel status, summed over the targets."""
        value = find(self.status(), name)
        if value is None:
            raise Failure("reel status --json has no %s" % name)
        return value

    def settled(self, limit=120):
        code, err = self.wait(limit)
        if code != 0:
            with contextlib.suppress(Failure):
                print("status: %s" % json.dumps(self.status())[:3000], file=sys.stderr)
            raise Failure("reel wait: exit code %d within %d s: %s" % (code, limit, err.strip()))

    def equal(self, limit=120):
        """Waits, then both verifications must find nothing."""
        self.settled(limit)
        for target in self.targets:
            lines = check.compare(self.source, target)
            code, out, err = 0, "", ""
            if self.options.verify:
                code, out, err = self.run("verify", self.source, target, "--level", "full")
            if lines:
                verdict = "reel verify was not asked" if not self.options.verify else \
                    "reel verify sees it too" if code == 41 else "reel verify says %d" % code
                raise Failure("%d differences in %s (%s):\n  %s" % (
                    len(lines), os.path.basename(os.path.dirname(target)), verdict, "\n  ".join(lines[:30])))
            if code != 0:
                raise Failure("reel verify --level full: exit code %d where the outside check finds nothing:\n%s%s" % (
                    code, out[-2000:], err[-2000:]))


def find(value, name):
    """A key anywhere in JSON; on the top level it is the total, below it is summed."""
    if isinstance(value, dict):
        if name in value:
            return value[name]
        value = list(value.values())
    if isinstance(value, list):
        found = [x for x in (find(v, name) for v in value) if x is not None]
        return sum(found) if found else None
    return None


class Stage:
    """A bench with a source, a directory outside of it, and targets."""

    def __init__(self, options, bench, source_kind=None, target_kinds=None, static=0, target_mb=1536):
        self.options, self.bench = options, bench
        self.rng = random.Random(options.seed)
        self.source_mount = bench.mount(source_kind or options.source)
        self.source = os.path.join(self.source_mount, "src")
        self.outside = os.path.join(self.source_mount, "out")
        os.mkdir(self.source), os.mkdir(self.outside)
        self.target_mounts = [bench.mount(kind, target_mb) for kind in target_kinds or [options.target]]
        self.targets = [os.path.join(m, "tgt") for m in self.target_mounts]
        for target in self.targets:
            os.mkdir(target)
        state = self.source_mount if options.state_on == "source" else bench.dir
        self.reel = Reel(options, self.source, self.targets, os.path.join(state, "state"),
                         os.path.join(bench.dir, "reel.log"))
        options.stage = self
        self.work = self.source
        if static:
            self.preload(static)
            self.work = os.path.join(self.source, "work")
            os.mkdir(self.work)
        self.rounds = 0

    def preload(self, megabytes):
        """What never changes, and so must never be copied again."""
        os.mkdir(self.source + "/static")
        for i in range(megabytes // 4):
            if i % 10 == 0:
                os.mkdir(self.source + "/static/d%d" % (i // 10))
            with open(self.source + "/static/d%d/f%d" % (i // 10, i), "wb") as f:
                f.write(self.rng.randbytes(4 << 20))
        for i in range(1000):
            with open(self.source + "/static/small%d" % i, "wb") as f:
                f.write(b"%d" % i)

    def static_print(self, below="static"):
        return [fingerprint(os.path.join(t, below)) for t in self.targets]

    def workload(self, ops=None, procs=None, seed=None, extra=()):
        """Starts it; returns the process. Its seed depends on the run's and on how many were before."""
        options = self.options
        seed = options.seed * 1000 + self.rounds if seed is None else seed
        self.rounds += 1
        command = [sys.executable, WORKLOAD, self.work, "--outside", self.outside, "--pause", str(options.pause)]
        if options.replay:
            command += ["--replay", options.replay]
        else:
            command += ["--seed", str(seed), "--ops", str(ops or options.ops), "--procs", str(procs or options.procs)]
            if options.log:
                command += ["--log", options.log if self.rounds == 1 else "%s-%d" % (options.log, self.rounds)]
            if options.weights:
                command += ["--weights", options.weights]
        self.said = os.path.join(self.bench.dir, "workload.log")
        with open(self.said, "wb") as said:
            return subprocess.Popen(command + list(extra), stderr=said)

    def run_workload(self, **kw):
        self.finish(self.workload(**kw))

    def finish(self, process, limit=600):
        if process.wait(limit) != 0:
            raise Failure("the workload itself failed (exit code %d), a fault of the test: %s" % (
                process.returncode, open(self.said, errors="replace").read()[-1500:]))


def fingerprint(root):
    """{path: (inode, ctime)}: changes with every touch of anything."""
    out = {}
    for base, dirs, names in os.walk(os.fsencode(root)):
        for name in dirs + names:
            s = os.lstat(os.path.join(base, name))
            out[os.path.relpath(os.path.join(base, name), os.fsencode(root))] = (s.st_ino, s.st_ctime_ns)
    return out


def untouched(before, after, what):
    for a, b in zip(before, after):
        changed = sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))
        if changed:
            again = sum(1 for k in changed if k in a and k in b and a[k][0] != b[k][0])
            raise Failure("%s: %d of %d objects were touched on the target (%d made anew), first %s" % (
                what, len(changed), len(a), again, changed[:3]))


def poll(limit, what, condition):
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise Failure("%s: not within %d s" % (what, limit))
        time.sleep(0.05)


def nap(seconds):
    """A pause that is part of the scenario (a random moment), never what correctness waits for."""
    time.sleep(seconds)


def repeat_command(options, argv):
    """The command line that does this run again."""
    args = [a for a in argv[1:]]
    if not any(a == "--seed" or a.startswith("--seed=") for a in args):
        args += ["--seed", str(options.seed)]
    return " ".join(shlex.quote(a) for a in [sys.executable, os.path.abspath(argv[0])] + args)


def frame(options, name, scenario):
    """Runs scenario(options, bench) under a time limit; prints what a person needs; the exit code."""
    def out_of_time(_signum, _frame):
        raise TimeLimit()
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(options.limit)
    began = time.monotonic()
    options.stage = None
    failure = None
    with mounts.Bench() as bench:
        try:
            note = scenario(options, bench)
        except TimeLimit:
            failure = "time limit of %d s; it was here:\n%s" % (options.limit, traceback.format_exc(limit=-4))
        except Failure as e:
            failure = str(e)
        except Exception:
            failure = "the test itself broke:\n" + traceback.format_exc()
        finally:
            signal.alarm(0)
            reel = options.stage.reel if options.stage else None
            if failure:
                tell(options, name, failure, reel)
            if reel and reel.process:
                if reel.alive():
                    reel.process.kill()
                reel.process.wait()
            end_strays()
    if failure:
        return 1
    print("ok: %s, seed %d, %.1f s%s" % (name, options.seed, time.monotonic() - began, ": " + note if note else ""))
    return 0


def tell(options, name, failure, reel):
    print("FAILED: %s, seed %d: %s" % (name, options.seed, failure), file=sys.stderr)
    if reel and os.path.exists(reel.log):
        text = open(reel.log, errors="replace").read()
        print("reel said (%d bytes, the last of it):\n%s" % (len(text), text[-6000:]), file=sys.stderr)
    print("again: %s" % repeat_command(options, sys.argv), file=sys.stderr)
    sys.stderr.flush()


def end_strays():
    """In our own PID namespace every process but this one was started by the test (reel's holder too)."""
    if os.getpid() != 1:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is left when a recording does not end as it should: the recorded program is killed, reel is killed, the log's
disk becomes full, there is no room for rings. The program must not notice, what was recorded must be readable, and the
trace must say what is missing.
Exit code: 0 right, 1 wrong, 77 something that the scenario needs is not there.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HALF = 20000
PATIENCE_S = 60


class Wrong(Exception):
    pass


def check(true, text):
    if not true:
        raise Wrong(text)


def wait_for(path, process=None):
    until = time.monotonic() + PATIENCE_S
    while not os.path.exists(path):
        check(time.monotonic() < until, f"{path} did not come")
        check(process is None or process.poll() is None or os.path.exists(path), f"reel ended with {process and process.poll()} before {path} was there")
        time.sleep(0.005)


class Run:
    """A recording of `odd halves` in work/, into log/."""

    def __init__(self, options, top):
        self.reel, self.via, self.top = os.path.abspath(options.reel), options.via, top
        self.work, self.log, self.program = f"{top}/work", f"{top}/log", f"{top}/odd"
        os.mkdir(self.work)
        subprocess.run(["cc", "-O1", "-w", "-pthread", "-o", self.program, f"{HERE}/odd.c"], check=True)

    def start(self, before=(), **how):
        command = [*before, self.reel, "record", "--via", self.via, "-o", self.log, "--", self.program, "halves"]
        return subprocess.Popen(command, cwd=self.work, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **how)

    def go(self):
        with open(f"{self.work}/go", "w"):
            pass

    def program_pid(self):
        with open(f"{self.work}/half") as f:
            return int(f.read())

    def program_was_not_harmed(self):
        wait_for(f"{self.work}/end")
        with open(f"{self.work}/end") as f:
            check(f.read() == "0", "calls of the program failed")

    def writes(self):
        told = subprocess.run([self.reel, "log", self.log, "--json"], capture_output=True, text=True)
        check(told.returncode == 0, f"reel log ended with {told.returncode}: {told.stderr}")
        return sum(1 for line in told.stdout.splitlines() if json.loads(line).get("op") == "pwrite")

    def incomplete(self):
        told = subprocess.run([self.reel, "report", "--json", self.log], capture_output=True, text=True)
        check(told.returncode == 0, f"reel report ended with {told.returncode}: {told.stderr}")
        return " / ".join(json.loads(told.stdout)["incomplete"])


def killed_program(run):
    """Every call that had returned is there."""
    reel = run.start()
    wait_for(f"{run.work}/half", reel)
    os.kill(run.program_pid(), signal.SIGKILL)
    check(reel.wait(PATIENCE_S) == 128 + signal.SIGKILL, f"reel ended with {reel.returncode}")
    check(run.writes() == HALF, f"{run.writes()} writes of {HALF} are in the trace")


def killed_reel(run):
    """The program goes on to its end; the trace has what was collected (preload: all, once it is recovered)."""
    reel = run.start()
    wait_for(f"{run.work}/half", reel)
    time.sleep(0.4)  # not to be right: only so that something was written to the log
    os.kill(reel.pid, signal.SIGKILL)
    reel.wait()
    run.go()
    run.program_was_not_harmed()
    check("cut off" in run.incomplete(), f"the trace says {run.incomplete()!r}")
    if run.via == "preload":
        recovered = subprocess.run([run.reel, "record", "--recover", "-o", run.log], capture_output=True, text=True)
        check(recovered.returncode == 0, f"--recover ended with {recovered.returncode}: {recovered.stderr}")
        check(run.writes() == 2 * HALF, f"{run.writes()} writes of {2 * HALF} were recovered")
        check("recovered" in run.incomplete(), f"the trace says {run.incomplete()!r}")
    else:
        check(0 < run.writes() <= HALF, f"{run.writes()} writes are in the trace")


def with_small(directory, size, seen):
    """A command in whose eyes the directory is a small file system of its own; copied to `seen` for us."""
    return ["unshare", "-m", "sh", "-c", f'mount --make-rprivate / && mount -t tmpfs -o size={size} tmpfs {directory} && "$@"; code=$?; '
            f"cp -a {directory} {seen}; exit $code", "sh"]


def full_disk(run):
    """The log lies on a file system of 560 KiB: 48 and the reserve."""
    run.log += "/trace"
    os.mkdir(f"{run.top}/log")
    run.go()
    reel = run.start(with_small(f"{run.top}/log", "560k", f"{run.top}/seen"))
    said = reel.communicate(timeout=PATIENCE_S)[1]
    check(reel.returncode == 3, f"reel ended with {reel.returncode}, not as the command: {said}")
    run.program_was_not_harmed()
    run.log = f"{run.top}/seen/trace"
    check("could not be written" in said and "could not be written" in run.incomplete(), f"the trace says {run.incomplete()!r}, reel said {said!r}")
    check(1000 < run.writes() < 2 * HALF, f"{run.writes()} writes are in the trace")
    check(not os.path.exists(f"{run.log}/reserve"), "the reserve was left")


def full_rings(run):
    """/dev/shm has room for the first rings only: the rest is counted."""
    run.go()
    reel = run.start(with_small("/dev/shm", "128k", f"{run.top}/seen"))
    said = reel.communicate(timeout=PATIENCE_S)[1]
    check(reel.returncode == 3, f"reel ended with {reel.returncode}: {said}")
    run.program_was_not_harmed()
    check("no room" in run.incomplete(), f"the trace says {run.incomplete()!r}")
    lost = run.incomplete()
    check(0 < run.writes() < 2 * HALF, f"{run.writes()} writes are in the trace, which says {lost!r}")


def no_rings(run):
    """/dev/shm is full: the rings lie beside the log."""
    run.go()
    reel = run.start(["unshare", "-m", "sh", "-c", 'mount --make-rprivate / && mount -t tmpfs -o size=64k tmpfs /dev/shm && '
                      '{ head -c 1M /dev/zero > /dev/shm/fill 2>/dev/null; "$@"; }', "sh"])
    said = reel.communicate(timeout=PATIENCE_S)[1]
    check(reel.returncode == 3, f"reel ended with {reel.returncode}: {said}")
    run.program_was_not_harmed()
    check(run.writes() == 2 * HALF, f"{run.writes()} writes of {2 * HALF} are in the trace: {run.incomplete()}")


SCENARIOS = {f.__name__: f for f in (killed_program, killed_reel, full_disk, full_rings, no_rings)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reel", required=True)
    parser.add_argument("--scenario", choices=SCENARIOS, required=True)
    parser.add_argument("--via", required=True)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    mounts = options.scenario in ("full_disk", "full_rings", "no_rings")
    if (options.via == "bpf" or mounts) and os.geteuid() != 0 or not shutil.which("cc") or not shutil.which("unshare"):
        print("SKIPPED: needs root (for bpf and small file systems), cc and unshare")
        return 77
    top = tempfile.mkdtemp(prefix="reel-deaths-")
    try:
        SCENARIOS[options.scenario](Run(options, top))
        print("right")
        return 0
    except Wrong as wrong:
        print("FAILED:", wrong)
        return 1
    finally:
        if options.keep:
            print("kept:", top)
        else:
            shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

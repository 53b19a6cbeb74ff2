# SPDX-License-Identifier: Apache-2.0
#
# The harness is checked with the stand-in for reel: it must call a mirror right that is right and
# wrong that is wrong, and nothing may be left behind by a run that is killed.
#
# Its runs have a temporary directory of their own: tests that run beside it have empty directories
# too, which are mount points in their namespaces, and to remove one would end their mounts.
import atexit
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import mounts
import shrink

HERE = os.path.dirname(os.path.abspath(__file__))
PLACE = tempfile.mkdtemp(prefix="reel-harness-", dir=mounts.IMAGES)
atexit.register(shutil.rmtree, PLACE, ignore_errors=True)
os.environ["TMPDIR"] = PLACE


def command(*args):
    return [sys.executable, HERE + "/run_mirror.py", "--reel", "%s %s/plain_reel.py" % (sys.executable, HERE),
            "--seed", "3", "--limit", "60", "--ops", "1500"] + list(args)


def run(*args, **environment):
    done = subprocess.run(command(*args), env={**os.environ, **environment}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=100)
    return done.returncode, done.stdout


def left_behind():
    return [m for m in open("/proc/mounts") if PLACE in m] + glob.glob(PLACE + "/reel-outside-*.img")


def killed(how):
    """Ends a run in its middle; what must be gone is waited for, the kernel takes a moment."""
    p = subprocess.Popen(command("--scenario", "kill", "--kills", "1000", "--static", "4"), stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(1.5)
    os.kill(p.pid, how)
    p.wait(30)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        alive = subprocess.run(["pgrep", "-s", str(p.pid)], stdout=subprocess.PIPE, text=True).stdout.split()
        if not alive and not left_behind():
            return []
        time.sleep(0.1)
    return alive + left_behind()


def main():
    mounts.need_kinds("ext4", "xfs")
    wrong = []

    def expect(label, fine, text):
        if not fine:
            wrong.append(label)
            print("%s: %s" % (label, text))

    # It takes three of a hundred lines to fail, in their order.
    small = shrink.shrink(list(range(100)), lambda some: [x for x in some if x in (7, 50, 93)] == [7, 50, 93])
    expect("shrink", small == [7, 50, 93], small)
    for scenario in ("pair", "two_targets", "gap"):
        code, text = run("--scenario", scenario, "--static", "4", "--no-cost")
        expect("a right mirror, " + scenario, code == 0, text)
    code, text = run("--scenario", "pair", REEL_PLAIN_BREAK="1")
    expect("a spoilt byte", code == 1 and "contents differ" in text and "again: " in text and "--seed 3" in text, text)
    code, text = run("--scenario", "gap", "--static", "4")
    expect("a mirror that copies everything anew", code == 1 and "were touched on the target" in text, text)
    code, text = run("--scenario", "unmounted", "--target", "xfs")
    expect("a mirror that fills the mount point", code == 1 and "empty mount point" in text, text)
    code, text = run("--scenario", "pair", "--limit", "1", "--pause", "20")
    expect("a time limit", code == 1 and "time limit of 1 s" in text, text)
    for how in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
        left = killed(how)
        expect("after %s" % how.name, not left, left)
    print("%d wrong" % len(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
#
# File systems to test on, that cannot be left behind. Bench is a context manager: its temporary
# directory holds loop-mounted ext4, xfs and btrfs on sparse images, and tmpfs. Two things make sure
# that nothing stays, whatever ends the test (Ctrl-C, a ctest time-out, kill -9):
#   - enter_own_world() runs the program again in a mount and PID namespace of its own: when it dies,
#     the kernel kills every process started in it (reel's too) and with the last of them the mounts go;
#   - an image is unlinked as soon as it is mounted, so its space goes with the mount, and the
#     temporary directory is itself such a mount: at worst an empty directory stays.
# What is missing (root, a mkfs tool) ends the program with 77, which ctest counts as skipped.
import os
import shutil
import signal
import subprocess
import sys
import tempfile

SKIP = 77
KINDS = ("ext4", "xfs", "btrfs", "tmpfs")
MKFS = {"ext4": ["mkfs.ext4", "-q", "-F", "-I", "256", "-m", "0"], "xfs": ["mkfs.xfs", "-q", "-f"],
        "btrfs": ["mkfs.btrfs", "-q", "-f"]}
WORLD = "REEL_OUTSIDE_WORLD"
IMAGES = os.environ.get("TMPDIR", "/var/tmp")  # a disk, where /tmp may be memory


def skip(why):
    print("skipped: " + why, file=sys.stderr)
    sys.exit(SKIP)


def need_root():
    if os.geteuid() != 0:
        skip("needs root (loop mounts, fanotify)")


def need_tools(*tools):
    for tool in tools:
        if not shutil.which(tool):
            skip("needs %s, which is not installed" % tool)


def need_kinds(*kinds):
    need_root()
    need_tools("mount", "umount", "unshare", *[MKFS[k][0] for k in kinds if k in MKFS])


def enter_own_world():
    """Runs this program again in its own mount and PID namespace; returns only inside of it."""
    if os.environ.get(WORLD):
        def stop(signum, _frame):
            raise KeyboardInterrupt("signal %d" % signum)
        signal.signal(signal.SIGTERM, stop)  # PID 1 would ignore it
        signal.signal(signal.SIGHUP, stop)
        return
    need_root()
    need_tools("unshare")
    os.environ[WORLD] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                          sys.executable] + sys.argv)


class Bench:
    """with Bench() as bench: source = bench.mount("ext4") ...

    bench.dir is a file system of its own too, for logs and state."""

    def __init__(self, keep=False):
        self.keep = keep
        self.mounts = []
        self.made = 0

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="reel-outside-")
        self.mount_at(self.dir, "ext4", 2048)
        return self

    def mount(self, kind, megabytes=1536, options=None):
        """Mounts a new file system and returns where. nodev: device nodes on it are never devices."""
        point = os.path.join(self.dir, "%s%d" % (kind, self.made))
        self.made += 1
        os.mkdir(point)
        return self.mount_at(point, kind, megabytes, options)

    def mount_at(self, point, kind, megabytes, options=None):
        flags = "nodev,nosuid" + ("," + options if options else "")
        if kind == "tmpfs":
            run(["mount", "-t", "tmpfs", "-o", flags + ",size=%dm,nr_inodes=2m" % megabytes, "tmpfs", point])
        else:
            handle, image = tempfile.mkstemp(prefix="reel-outside-", suffix=".img", dir=IMAGES)
            try:
                os.truncate(handle, megabytes << 20)
                run(MKFS[kind] + [image])
                run(["mount", "-o", "loop," + flags, image, point])
            finally:
                os.close(handle)
                os.unlink(image)
        self.mounts.append(point)
        return point

    def unmount(self, point, lazy=True):
        for _ in range(50):
            if subprocess.run(["umount", point], stderr=subprocess.DEVNULL).returncode == 0:
                break
            wait_a_moment()
        else:
            if not lazy:
                raise RuntimeError("cannot unmount %s: busy" % point)
            subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL)
        self.mounts.remove(point)

    def __exit__(self, *_):
        if self.keep:
            print("kept: %s" % self.dir, file=sys.stderr)
            return
        for point in reversed(list(self.mounts)):
            self.unmount(point)
        shutil.rmtree(self.dir, ignore_errors=True)


def wait_a_moment():
    try:
        signal.sigtimedwait([signal.SIGCHLD], 0.1)
    except InterruptedError:
        pass


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError("%s failed (%d): %s" % (" ".join(command), done.returncode, done.stdout.strip()))
    return done.stdout

# SPDX-License-Identifier: Apache-2.0
#
# File systems to test on, that cannot be left behind. Bench is a context manager: its temporary
# directory holds loop-mounted ext4, xfs and btrfs on sparse images, and tmpfs. Two things make sure
# that nothing stays, whatever ends the test (Ctrl-C, a ctest time-out, kill -9):
#   - enter_own_world() moves the program into a mount and PID namespace of its own: when it dies,
#     the kernel kills every process started in it (reel's too) and with the last of them the mounts go;
#   - an image is unlinked as soon as it is mounted, so its space goes with the mount, and the
#     temporary directory is itself such a mount: at worst an empty directory stays.
# What is missing (root, a mkfs tool) ends the program with 77, which ctest counts as skipped.
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile

SKIP = 77
KINDS = ("ext4", "xfs", "btrfs", "tmpfs")
MKFS = {"ext4": ["mkfs.ext4", "-q", "-F", "-I", "256", "-m", "0", "-i", "4096"], "xfs": ["mkfs.xfs", "-q", "-f"],
        "btrfs": ["mkfs.btrfs", "-q", "-f"]}
CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IMAGES = os.environ.get("TMPDIR", "/var/tmp")  # a disk, where /tmp may be memory

libc = ctypes.CDLL(None, use_errno=True)


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
    need_tools("mount", "umount", *[MKFS[k][0] for k in kinds if k in MKFS])


def enter_own_world(at_end=lambda: None):
    """Goes on in a child that is process 1 of a PID and mount namespace of its own; the parent passes
    signals on, calls at_end when the child is gone, and ends with its exit code."""
    need_root()
    if libc.unshare(CLONE_NEWNS | CLONE_NEWPID) != 0:
        skip("cannot make namespaces: " + os.strerror(ctypes.get_errno()))
    must_mount(None, b"/", None, MS_REC | MS_PRIVATE)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        supervise(pid, at_end)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if open("/proc/self/stat").read().split()[3] != str(parent):  # still the old /proc
        os._exit(1)
    must_mount(b"proc", b"/proc", b"proc", 0)

    def stop(signum, _frame):
        raise KeyboardInterrupt("signal %d" % signum)
    for signum in PASSED_ON:  # process 1 ignores what it has no handler for
        signal.signal(signum, stop)


def must_mount(what, where, kind, flags):
    if libc.mount(what, where, kind, flags, None) != 0:
        skip("cannot mount in a namespace: " + os.strerror(ctypes.get_errno()))


def supervise(pid, at_end):
    """The parent's part: never returns. A second signal, or 20 s, ends what a first one does not."""
    asked = []

    def pass_on(signum, _frame):
        asked.append(signum)
        os.kill(pid, signum if len(asked) == 1 else signal.SIGKILL)
        signal.alarm(20)
    for signum in PASSED_ON + (signal.SIGALRM,):
        signal.signal(signum, pass_on)
    os.setpgid(pid, pid)  # so that Ctrl-C comes to us alone, and once
    status = os.waitpid(pid, 0)[1]
    at_end()
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


class Bench:
    """with Bench() as bench: source = bench.mount("ext4") ...

    bench.dir is a file system of its own too, for logs and state. With keep_images what is mounted from
    then on can be mounted again: images says from what."""

    def __init__(self, keep=False):
        self.keep = keep
        self.keep_images = False
        self.images = {}  # mount point: image
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
        elif self.keep_images:
            image = self.images[point] = point + ".img"
            with open(image, "wb") as f:
                f.truncate(megabytes << 20)
            run(MKFS[kind] + [image])
            run(["mount", "-o", "loop," + flags, image, point])
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

    def mount_again(self, point):
        run(["umount", point])
        run(["mount", "-o", "loop,nodev,nosuid", self.images[point], point])

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

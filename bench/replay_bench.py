#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How near a replay's elapsed time comes to the program's own, by storage, workload and mode.

For each storage and workload: the program is recorded once there (or with --traced-on on others: what the replay is
for); then, in turns, the bare program and a replay of each log in each mode run there, each in an empty directory
after a sync. Printed: the bare program's
median and its variation (standard deviation / mean), how much longer the recorded run took (from its first call to
its last), and of each mode the median's error against the bare program.
Throttled storage is a loop device over tmpfs in a cgroup (v1, blkio): root. Example:

    replay_bench.py --reel build/release/src/cli/reel --storage tmpfs,ext4-20M --workload untar,fsync --rounds 5
    replay_bench.py --reel build/release/src/cli/reel --traced-on tmpfs --storage ext4-20M,btrfs-60M-10M --workload fsync

Storage: tmpfs, or FILESYSTEM-LIMIT, FILESYSTEM-READS-WRITES, each limit NM (MiB/s) or Niops.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

BLKIO = "/sys/fs/cgroup/blkio/reel-bench"

FSYNC = """
import os, threading
def work(n):
    fd = os.open(f"f{n}", os.O_CREAT | os.O_WRONLY)
    for i in range(120):
        os.write(fd, b"x" * 65536)
        if i % 4 == 3: os.fsync(fd)
        sum(range(20000))
    os.close(fd)
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
"""

SQLITE = """
import sqlite3
db = sqlite3.connect("data.db")
db.execute("pragma journal_mode=wal")
db.execute("pragma synchronous=full")
db.execute("create table t(a integer primary key, b text)")
for i in range(1500):
    with db: db.execute("insert into t(b) values (?)", ("x" * 500,))
db.close()
"""


def untar(inputs):
    for i in range(12000):
        os.makedirs(f"{inputs}/src/d{i % 40}", exist_ok=True)
        with open(f"{inputs}/src/d{i % 40}/f{i}", "w") as f:
            f.write("line\n" * 800)
    subprocess.run(["tar", "-C", inputs, "-cf", f"{inputs}/src.tar", "src"], check=True)
    return ["tar", "-xf", f"{inputs}/src.tar"]


def python_program(text):
    def make(inputs):
        with open(f"{inputs}/program.py", "w") as f:
            f.write(text)
        return [sys.executable, "-S", f"{inputs}/program.py"]
    return make


# The same as fsync without an interpreter's lock: computing overlaps.
THREADS = r"""
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void* work(void* number) {
  volatile unsigned sum = 0;
  static char bytes[65536];
  char name[16];
  snprintf(name, sizeof name, "f%ld", (long)number);
  int fd = open(name, O_CREAT | O_WRONLY, 0644);
  for (int i = 0; i < 120; ++i) {
    if (write(fd, bytes, sizeof bytes) != sizeof bytes) return NULL;
    if (i % 4 == 3) fsync(fd);
    for (unsigned k = 0; k < 400000; ++k) sum += k;
  }
  close(fd);
  return NULL;
}
int main(void) {
  pthread_t threads[4];
  for (long n = 0; n < 4; ++n) pthread_create(&threads[n], NULL, work, (void*)n);
  for (int n = 0; n < 4; ++n) pthread_join(threads[n], NULL);
  return 0;
}
"""


def threads(inputs):
    with open(f"{inputs}/threads.c", "w") as f:
        f.write(THREADS)
    subprocess.run(["cc", "-O2", "-pthread", "-o", f"{inputs}/threads", f"{inputs}/threads.c"], check=True)
    return [f"{inputs}/threads"]


WORKLOADS = {"untar": untar, "threads": threads, "fsync": python_program(FSYNC), "sqlite": python_program(SQLITE)}


class Storage:
    """A mounted directory."""

    def __init__(self, name, at=None):
        """`at`: mounted over this directory, so that names are the same on both."""
        self.name, self.loop = name, None
        self.top = tempfile.mkdtemp(prefix="reel-bench-")
        self.dir = at or self.top + "/mnt"
        os.makedirs(self.dir, exist_ok=True)

    def __enter__(self):
        kind, _, limit = self.name.partition("-")
        if kind == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.dir], check=True)
            return self
        os.mkdir(self.top + "/back")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.top + "/back"], check=True)
        image = self.top + "/back/image"
        subprocess.run(["truncate", "-s", "1G", image], check=True)
        subprocess.run(["mkfs." + kind, "-q", image], check=True)
        self.loop = subprocess.run(["losetup", "--direct-io=off", "-f", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run(["mount", self.loop, self.dir], check=True)
        self.limit(limit)
        return self

    def limit(self, text):
        if not text:
            return
        os.makedirs(BLKIO, exist_ok=True)
        device = os.stat(self.loop).st_rdev
        number = f"{os.major(device)}:{os.minor(device)}"
        reads, _, writes = text.partition("-")
        for way, limit in (("read", reads), ("write", writes or reads)):
            # 0 lifts one: whoever had this device before may have left it.
            limits = {"iops": 0, "bps": 0, **({"iops": limit[:-4]} if limit.endswith("iops") else {"bps": int(limit[:-1]) << 20})}
            for what, value in limits.items():
                with open(f"{BLKIO}/blkio.throttle.{way}_{what}_device", "w") as f:
                    f.write(f"{number} {value}")
        with open(f"{BLKIO}/cgroup.procs", "w") as f:
            f.write(str(os.getpid()))

    def __exit__(self, *_):
        if self.loop:
            with open("/sys/fs/cgroup/blkio/cgroup.procs", "w") as f:
                f.write(str(os.getpid()))
        subprocess.run(["umount", self.dir], check=False)
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop], check=False)
            subprocess.run(["umount", self.top + "/back"], check=False)
        shutil.rmtree(self.top, ignore_errors=True)


def fresh(storage):
    work = f"{storage.dir}/run"
    shutil.rmtree(work, ignore_errors=True)
    os.mkdir(work)
    os.sync()
    return work


def rest():
    """Nothing is on its way to the device, and a throttle has its full budget."""
    os.sync()
    time.sleep(0.3)


def bare(command, storage):
    work = fresh(storage)
    rest()
    begin = time.monotonic()
    subprocess.run(command, cwd=work, check=True)
    return time.monotonic() - begin


def replayed(reel, log, mode, storage):
    work = fresh(storage)
    subprocess.run([reel, "replay", log, "--into", work, "--prepare-only"], check=True)
    rest()
    result = subprocess.run([reel, "replay", log, "--into", work, "--no-prepare", "--mode", mode, "--json"], capture_output=True, text=True)
    report = json.loads(result.stdout)
    return report["replay_ns"] / 1e9, report["different"]


def record(options, command, storage, log):
    """Records the program on `storage`; returns the seconds from its first call to its last."""
    subprocess.run([options.reel, "record", "-q", "--via", options.via, "-o", log, "--", *command], cwd=fresh(storage), check=True)
    told = subprocess.run([options.reel, "report", "--json", log], check=True, capture_output=True)
    return json.loads(told.stdout)["elapsed_ns"] / 1e9


def recorded_on(options, command, storage, inputs):
    """Yields (storage's name, log, seconds) of a recording on each storage that is asked for."""
    for name in options.traced_on.split(",") if options.traced_on else [storage.name]:
        log = f"{inputs}/log.{name}"
        if name == storage.name:
            yield name, log, record(options, command, storage, log)
            continue
        with Storage(name, at=storage.dir) as other:
            yield name, log, record(options, command, other, log)
        storage.limit(storage.name.partition("-")[2])


def group(options, storage, workload):
    """The cells that have their bare runs in common: one workload, replayed on one storage."""
    with tempfile.TemporaryDirectory(prefix="reel-bench-in-") as inputs:
        command = WORKLOADS[workload](inputs)
        bare(command, storage)  # warms the program itself
        rest()
        logs = list(recorded_on(options, command, storage, inputs))
        own, taken, different = [], {}, {}
        for _ in range(options.rounds):
            own.append(bare(command, storage))
            for name, log, _ in logs:
                for mode in options.modes.split(","):
                    seconds, differ = replayed(options.reel, log, mode, storage)
                    taken.setdefault((name, mode), []).append(seconds)
                    different[name] = different.get(name, 0) + differ
    median = statistics.median(own)
    variation = statistics.stdev(own) / statistics.mean(own) if len(own) > 1 else 0
    for name, _, recorded in logs:
        errors = "".join(f" {(statistics.median(taken[name, m]) / median - 1) * 100:+8.1f}" for m in options.modes.split(","))
        print(f"{storage.name:14} {workload:8} {name:14} {median:8.3f} {variation * 100:6.1f} {(recorded / median - 1) * 100:+10.1f} {errors}   {different[name]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reel", required=True)
    parser.add_argument("--via", default="preload")
    parser.add_argument("--storage", default="tmpfs,ext4-20M,xfs-300iops")
    parser.add_argument("--traced-on", help="storages on which the program is recorded; default: where it is replayed")
    parser.add_argument("--modes", default="afap,timed,think,resource")
    parser.add_argument("--workload", default=",".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.reel = os.path.abspath(options.reel)
    heads = "".join(f" {m + ' %':>8}" for m in options.modes.split(","))
    print(f"{'storage':14} {'workload':8} {'recorded on':14} {'bare s':>8} {'var %':>6} {'recorded %':>10} {heads}   results that differ")
    for name in options.storage.split(","):
        with Storage(name) as storage:
            for workload in options.workload.split(","):
                group(options, storage, workload)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
#
# The power goes, as nearly as a living kernel can do it: source, target and state lie on file systems
# that are shut down in the middle of the work without writing out their journals (FS_IOC_SHUTDOWN, as
# the file systems' own tests do), every process is killed, reel's holder too, the file systems are
# mounted again, and the boot id is another one (or the same: they were unmounted by force). What was
# not on disk is gone, on each of the three another stretch of time.
import fcntl
import os
import struct
import uuid

import harness
import mounts
from harness import Stage, nap

FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("I", 2)


def new_boot_id(path):
    with open(path, "w") as f:
        f.write("%s\n" % uuid.uuid4())


def cut_power(bench, rng, boot_id):
    points = list(bench.images)
    for point in rng.sample(points, len(points)):
        fd = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(fd)
    harness.end_strays()
    for point in points:
        bench.mount_again(point)
    if rng.random() < 0.7:
        new_boot_id(boot_id)


def scenario_power_cut(options, bench):
    """The power goes at random moments: equal in the end, and what was long on the disk is not copied again."""
    boot_id = os.path.join(bench.dir, "boot_id")
    new_boot_id(boot_id)
    mounts.run(["mount", "--bind", boot_id, "/proc/sys/kernel/random/boot_id"])
    bench.keep_images = True
    stage = Stage(options, bench, static=options.static)
    reel = stage.reel
    reel.state = os.path.join(bench.mount("ext4"), "state")
    reel.start()
    reel.equal()
    before = stage.static_print()
    for _ in range(options.kills):
        stage.workload()
        nap(stage.rng.choice([0.1, 0.4, 1.0, 2.0]) * (0.5 + stage.rng.random()))
        cut_power(bench, stage.rng, boot_id)
        reel.start()
        if stage.rng.random() < 0.3:  # and again, before it is up to date
            nap(stage.rng.random())
            cut_power(bench, stage.rng, boot_id)
            reel.start()
    reel.equal(240)
    if options.cost:
        harness.untouched(before, stage.static_print(), "after %d power cuts, what never changed" % options.kills)
    return "%d power cuts" % options.kills

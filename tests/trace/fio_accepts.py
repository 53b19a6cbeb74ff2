#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fio takes what `reel export --format fio` writes, and does what the recorded program did.

Exit code: 0 right, 1 wrong, 77 there is no fio."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

PROGRAM = """
import os, time
for name in ("data", "other"):
    fd = os.open(name, os.O_CREAT | os.O_RDWR)
    for i in range(40): os.pwrite(fd, b"x" * 4096, i * 4096)
    os.fsync(fd)
    for i in range(20): os.write(fd, b"y" * 1000)
    time.sleep(0.4)
    for i in range(40): os.pread(fd, 4096, (i * 7 % 40) * 4096)
    os.fdatasync(fd)
    os.close(fd)
open("with blank", "w").write("no name for fio")
"""


def main(reel):
    if not shutil.which("fio"):
        print("SKIPPED: fio is not installed")
        return 77
    top = tempfile.mkdtemp(prefix="reel-fio-")
    try:
        log, iolog, out = (os.path.join(top, n) for n in ("log", "iolog", "out"))
        subprocess.run([reel, "record", "-q", "--path", top + "/*", "-o", log, "--", sys.executable, "-c", PROGRAM], cwd=top, check=True)
        with open(iolog, "w") as to:
            told = subprocess.run([reel, "export", log, "--format", "fio"], stdout=to, stderr=subprocess.PIPE, text=True, check=True).stderr
        assert "1 reads, writes and syncs have no place" in told, told
        for name in ("data", "other"):
            os.unlink(os.path.join(top, name))
        ran = subprocess.run(["fio", "--name=replay", "--ioengine=psync", "--read_iolog=" + iolog, "--output-format=json", "--output=" + out],
                             cwd=top, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        job = json.load(open(out))["jobs"][0]
        got = (job["error"], job["read"]["total_ios"], job["read"]["io_bytes"], job["write"]["total_ios"], job["write"]["io_bytes"])
        assert got == (0, 80, 80 * 4096, 120, 80 * 4096 + 40 * 1000), got
        # Its clock starts at the first call; two naps of 400 ms were between the others.
        assert 750 <= job["job_runtime"] <= 20000, job["job_runtime"]
        assert os.path.getsize(os.path.join(top, "data")) == 40 * 4096
        return 0
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))

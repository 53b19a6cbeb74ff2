# SPDX-License-Identifier: Apache-2.0
#
# A stand-in that speaks reel's verbs (mirror, wait, status, verify) and copies everything anew each
# time it is waited for. The harness is tested with it: run_mirror.py --reel "python3 plain_reel.py"
# --no-cost must succeed, and must fail with REEL_PLAIN_BREAK=1, which spoils one byte of the target.
import argparse
import json
import os
import sys
import time

import check
import exact_copy


def serve(options):
    """Copies whenever a request file appears; answers by renaming it."""
    os.makedirs(options.state, exist_ok=True)
    while True:
        for name in os.listdir(options.state):
            if not name.endswith(".request"):
                continue
            for target in options.paths[1:]:
                exact_copy.exact_copy(options.paths[0], target)
                if os.environ.get("REEL_PLAIN_BREAK"):
                    spoil(target)
            path = os.path.join(options.state, name)
            os.rename(path, path.removesuffix("request") + "done")
        time.sleep(0.02)


def spoil(target):
    for base, _, names in os.walk(target):
        for name in names:
            path = os.path.join(base, name)
            if os.path.isfile(path) and not os.path.islink(path) and os.stat(path).st_size:
                times = os.stat(path)
                with open(path, "r+b") as f:
                    first = f.read(1)
                    f.seek(0)
                    f.write(bytes([first[0] ^ 1]))
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
                return


def wait(options):
    path = os.path.join(options.state, "%d." % os.getpid())
    open(path + "request", "w").close()
    deadline = time.monotonic() + options.timeout
    while not os.path.exists(path + "done"):
        if time.monotonic() > deadline:
            return 30
        time.sleep(0.02)
    os.unlink(path + "done")
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["mirror", "wait", "status", "verify"])
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--state")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--level")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_intermixed_args()
    if options.verb == "mirror":
        serve(options)
    if options.verb == "wait":
        return wait(options)
    if options.verb == "status":
        print(json.dumps({"bytes_copied_total": 0, "renames": 0}))
        return 0
    if os.environ.get("REEL_PLAIN_BREAK"):
        return 0
    return 41 if check.compare(*options.paths) else 0


if __name__ == "__main__":
    sys.exit(main())

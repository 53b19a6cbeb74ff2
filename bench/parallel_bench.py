#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How near a causal replay of a parallel program comes to the program's own time, when the trace is from other storage.

For each workload and each pair of storages: the program is recorded on the first, once a round; then, in turns, the
program (recorded again, for its time by the same clock) and the replays of that round's recording in each mode run on the
second. Times are from the first call on the program's files to the last (of replays: by their own trace). Printed: the program's
median and its variation (standard deviation / mean), and the error of each mode's median. "tasks_given", "queue_given": who gets
which task, or the lock, is a matter of who comes first; here the program keeps to what was recorded, as a replay does.
Where no call shows who waits the program is run once more, throttled; the last column is that run's time by the first
one's. Root, for throttled storage (replay_bench.py says how it is named). Example:

    parallel_bench.py --reel build/bench/src/cli/reel --programs build/dev/tests/parallel --rounds 5
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile

from replay_bench import Storage, fresh, rest

MODES = ("afap", "timed", "think", "causal")
RANKS = 4
ENVIRONMENT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
               "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_btl": "self,vader", "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
# size, iterations, flags
WORKLOADS = {"pseudo": (65536, 200, []), "pseudo_sync": (65536, 150, ["--barrier", "1"]),
             "pseudo_sync_dat": (65536, 120, ["--barrier", "1", "--compute", "2000"]), "fitness": (65536, 120, []),
             "quake": (65536, 60, []), "halo": (65536, 120, ["--compute", "2000"]), "tasks": (65536, 300, []), "tasks_given": (65536, 300, []),
             "pipeline": (65536, 120, ["--compute", "2000"]), "queue": (4096, 60, ["--compute", "2000"]),
             "queue_given": (4096, 60, ["--compute", "2000"]), "polling": (65536, 200, ["--compute", "2000"]),
             "hdf5": (65536, 60, ["--compute", "1000"]), "spin": (65536, 100, ["--compute", "2000"]), "phases": (65536, 100, ["--compute", "2000"]),
             "gates": (65536, 100, ["--compute", "2000"]), "turns": (65536, 120, ["--compute", "1000"]), "relay": (65536, 120, ["--compute", "1000"]),
             "board": (65536, 120, ["--compute", "1000"])}
GIVEN = {"tasks_given": "assignment", "queue_given": "queue"}  # the file that says whose turn it was
FORKS = ("pipeline", "queue", "queue_given", "polling", "spin", "phases", "gates", "turns", "relay", "board")
THROTTLED = ("spin", "phases")  # no call shows who waits


def command_of(options, workload, given):
    size, iterations, flags = WORKLOADS[workload]
    name = workload.partition("_")[0]
    arguments = [name, ".", str(size), str(iterations), "--sync", "1", *flags, *(["--given", given] if given else [])]
    if workload in FORKS:
        return [f"{options.programs}/parallel_processes", *arguments], []
    program = "parallel_hdf5" if workload == "hdf5" else "parallel_ranks"
    return ["mpirun", "-n", str(RANKS), f"{options.programs}/{program}", *arguments], ["--mpi"]


def record(options, workload, storage, log, *more, given=None):
    command, flags = command_of(options, workload, given)
    work = fresh(storage)
    rest()
    subprocess.run([options.reel, "record", "-q", "--via", "preload", *flags, *more, "-o", log, "--", *command], cwd=work, check=True,
                   env={**os.environ, **ENVIRONMENT}, stdout=subprocess.DEVNULL)
    return work


TRANSFERS = ("READ", "WRITE")


def time_of(options, log, work):
    """Nanoseconds from the first call on a file below `work` to the last transfer or change of a name there: what MPI does when it begins
    and ends is not in it, nor is how a program is started."""
    events = [json.loads(line) for line in subprocess.run([options.reel, "log", log, "--json"], capture_output=True, check=True).stdout.splitlines()]
    enter = lambda e: e["time"] * 10**9 + e["time_ns"]
    names = [e for e in events if "op" in e and e.get("path", "").startswith(work + "/") and e["type"] not in ("FILE", "STRING")]
    begin = min(map(enter, names))
    # Behind that all transfers are the program's, but those to its output.
    moved = [e for e in events if e["type"] in TRANSFERS and e["fd"] > 2 and enter(e) >= begin]
    return max(enter(e) + e["duration_ns"] for e in names + moved) - begin


def replay(options, recording, mode, storage, top):
    work = fresh(storage)
    subprocess.run([options.reel, "replay", recording.log, "--into", work, "--prepare-only"], check=True)
    rest()
    made = f"{top}/made"
    shutil.rmtree(made, ignore_errors=True)
    subprocess.run([options.reel, "replay", recording.log, "--into", work, "--no-prepare", "--mode", mode, "--json", "--retrace", made], check=True,
                   stdout=subprocess.DEVNULL)
    return time_of(options, made, recording.work)  # names are the recording's


class Recording:
    """Of a workload on the storage that is mounted."""

    def __init__(self, options, workload, storage, top, number):
        self.log = f"{top}/log.{number}"
        self.work = record(options, workload, storage, self.log)
        self.given = shutil.copy(f"{self.work}/{GIVEN[workload]}", f"{top}/given.{number}") if workload in GIVEN else None
        self.time = time_of(options, self.log, self.work)
        self.found = 0
        if workload in THROTTLED:
            throttled = f"{top}/throttled.{number}"
            work = record(options, workload, storage, throttled, "--throttle", self.log)
            self.found = time_of(options, throttled, work) / self.time


def cell(options, workload, source, target):
    own, modes = [], {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory(prefix="reel-bench-") as top:
        with Storage(source) as storage:
            recordings = [Recording(options, workload, storage, top, number) for number in range(options.rounds)]
        with Storage(target) as storage:
            for number, recording in enumerate(recordings):
                again = f"{top}/again.{number}"
                work = record(options, workload, storage, again, given=recording.given)
                own.append(time_of(options, again, work))
                for mode in MODES:
                    modes[mode].append(replay(options, recording, mode, storage, top))
    was = statistics.median(recording.time for recording in recordings)
    median, variation = statistics.median(own), statistics.stdev(own) / statistics.mean(own) if len(own) > 1 else 0
    errors = {mode: (statistics.median(modes[mode]) / median - 1) * 100 for mode in MODES}
    found = statistics.median(recording.found for recording in recordings)
    print(f"{workload:16} {source:12} {target:12} {was / 1e9:8.3f} {median / 1e9:8.3f} {variation * 100:6.1f}" +
          "".join(f" {errors[mode]:+8.1f}" for mode in MODES) + (f" {found:8.2f}" if found else ""), flush=True)
    return abs(errors["causal"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reel", required=True)
    parser.add_argument("--programs", required=True, help="directory of parallel_ranks, parallel_processes and parallel_hdf5")
    parser.add_argument("--workload", default=",".join(WORKLOADS))
    parser.add_argument("--traced-on", default="tmpfs,ext4-20M")
    parser.add_argument("--storage", default="ext4-20M,xfs-300iops")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.reel, options.programs = os.path.abspath(options.reel), os.path.abspath(options.programs)
    print(f"{'workload':16} {'traced on':12} {'replayed on':12} {'was s':>8} {'own s':>8} {'var %':>6}" + "".join(f" {mode + ' %':>8}" for mode in MODES) + f" {'found x':>7}")
    errors = [cell(options, workload, source, target) for workload in options.workload.split(",")
              for source in options.traced_on.split(",") for target in options.storage.split(",")]
    print(f"causal: mean error {statistics.mean(errors):.1f} %, worst {max(errors):.1f} %")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Causal replays of parallel programs, by reel and by reel-mpi on one node or on several that are made up: every call is
made, with its result, the tree is the program's, and no dependency that the recording shows is violated.
Exit code: 0 right, 1 wrong, 77 something that is needed is not installed."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "support")]
from mpi_trace import Trace  # noqa: E402
from programs import SKIP, Missing, need, tree, tree_differences  # noqa: E402
from run_ranks import ENVIRONMENT, command_of, complain, run  # noqa: E402

ITERATIONS = 20
# Who waits by one of these is in it before what it waits for has happened.
WAITING = {"wait", "poll", "read", "recv", "accept", "connect", "flock", "range_lock", "futex_wait", "mutex_lock", "sem_wait",
           "barrier_wait"}
BARRIER = 1  # the kind of a collective
NO_CALLS = {"compute", "held", "mpi_done"}


def begin(event):
    return event["time"] * 10**9 + event["time_ns"]


def end(event):
    return begin(event) + event["duration_ns"]


def threads_of(trace):
    threads = {}
    for event in trace.events:
        if event["op"] not in NO_CALLS:
            threads.setdefault(event["thread"], []).append(event)
    return threads


def replayed(trace, retrace, problems):
    """record -> the event that the replay made of it"""
    again, found = threads_of(retrace), {}
    for thread, events in threads_of(trace).items():
        made = again.get(thread, [])
        if [e["op"] for e in made] != [e["op"] for e in events]:
            problems.append(f"thread {thread}: {len(made)} calls replayed of {len(events)}, or others")
        found.update({one["index"]: other for one, other in zip(events, made)})
    return found


def violations(dependencies, made, clocks_differ_by):
    found = []
    for one in dependencies:
        source, target = made.get(one["from"]["record"]), made.get(one["to"]["record"])
        if source is None or target is None:
            continue
        waits = target["op"].startswith("mpi_") or target["op"] in WAITING
        # Who reads from a pipe may have the bytes before the call that writes them has returned.
        begun = one["begun"] or one["why"] == "stream"
        over, goes_on = begin(source) if begun else end(source), end(target) if waits else begin(target)
        if over > goes_on + clocks_differ_by:
            found.append(f"{one['why']}: {target['op']} (record {one['to']['record']}) {(over - goes_on) / 1e3:.1f} us before "
                         f"{source['op']} (record {one['from']['record']})")
    return found


def barriers(trace, clocks_differ_by):
    """Who left one before the last had come."""
    meetings, found = {}, []
    for rank, events in trace.by_rank.items():
        number = 0
        for event in (e for e in events if e["op"] == "mpi_collective" and e["mode"] == BARRIER):
            meetings.setdefault((event["arg"], number), []).append(event)
            number += 1
    for (comm, number), members in meetings.items():
        if max(map(begin, members)) > min(map(end, members)) + clocks_differ_by:
            found.append(f"barrier {number} of communicator {comm}")
    return len(meetings), found


def replay(args, log, into, retrace, mode):
    command = [args.reel, "replay"]
    if args.processes_playing:
        command = ["mpirun", "-n", str(args.processes_playing), args.reel_mpi]
        command += ["--per-node", str(args.per_node), "replay"] if args.per_node else ["replay"]
    done = subprocess.run([*command, log, "--into", into, "--mode", mode, "--retrace", retrace, "--json"], capture_output=True, text=True,
                          env={**os.environ, **ENVIRONMENT}, timeout=80)
    if done.returncode not in (0, 41) or not done.stdout:
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def compare(args, top):
    command, flags = command_of(args, ITERATIONS)
    work, log = f"{top}/work", f"{top}/log"
    run([args.reel, "record", "-q", *flags, "--via", "preload", "-o", log, "--", *command], work)
    left = tree(work, contents=False)
    trace = Trace(args.reel, log)
    told = subprocess.run([args.reel, "report", "--waits", "--json", log], capture_output=True, check=True)
    dependencies = json.loads(told.stdout)["dependencies"]
    report = replay(args, log, f"{top}/into", f"{top}/again", "causal")
    problems = [] if report["different"] == 0 else [f"{report['different']} results differ"]
    problems += tree_differences(left, tree(f"{top}/into{work}", contents=False), "left", "replayed")
    retrace = Trace(args.reel, f"{top}/again")
    tolerated = 100_000 if args.per_node else 0
    problems += violations(dependencies, replayed(trace, retrace, problems), tolerated)
    number, early = barriers(retrace, tolerated)
    problems += early
    # That this looks at all: a replay that keeps no message violates some.
    replay(args, log, f"{top}/careless", f"{top}/careless.again", "afap")
    careless = violations(dependencies, replayed(trace, Trace(args.reel, f"{top}/careless.again"), []), tolerated)
    if flags and not careless:
        problems.append("nothing is violated without waiting, either: this test shows nothing")
    print(f"{args.scenario}: {len(dependencies)} dependencies, {number} barriers; causal {report['replay_ns'] / 1e6:.1f} ms of "
          f"{report['original_ns'] / 1e6:.1f} ms; afap violates {len(careless)}")
    return problems


def main():
    parser = argparse.ArgumentParser()
    for option in ("reel", "reel-mpi", "scenario", "ranks", "processes"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--hdf5", default="")
    parser.add_argument("--processes-playing", type=int, default=0, help="of reel-mpi; 0: reel")
    parser.add_argument("--per-node", type=int, default=0)
    args = parser.parse_args()
    args.odd = ""
    for program in ("reel", "reel_mpi", "ranks", "processes"):
        setattr(args, program, os.path.abspath(getattr(args, program)))
    try:
        need("mpirun")
        # Calls on the lock file that overlapped may be told in another order than theirs (docs/guarantees.md,
        # "overlapping calls"), and are then played in it: so the queue is given three chances not to overlap.
        for _ in range(3 if args.scenario == "queue" else 1):
            with tempfile.TemporaryDirectory(prefix="reel-ranks-") as top:
                if not complain(compare(args, top)[:20]):
                    return 0
        return 1
    except Missing as missing:
        print(f"skipped: {missing}")
        return SKIP


if __name__ == "__main__":
    sys.exit(main())

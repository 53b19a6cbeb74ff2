#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who waits for whom, found in recordings of programs whose graph is known (graphs.py): every edge between calls on files,
and no other. Prints precision and recall. Exit code: 0 all found and none else, 1 not, 77 something is not installed."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "support")]
import graphs  # noqa: E402
from mpi_trace import Trace  # noqa: E402
from programs import SKIP, Missing, need, tree, tree_differences  # noqa: E402
from run_ranks import FORK_WORKLOADS, command_of, complain, run  # noqa: E402

ITERATIONS = 6
THROTTLED_ITERATIONS = 100  # throttling asks about the places of a loop in different turns of it
THROTTLED_RUNS = 2
sys.setrecursionlimit(100_000)


class Found:
    """The dependencies that reel tells of, as edges between calls on files."""

    def __init__(self, trace, dependencies, work, ranks):
        self.ranks = ranks  # process -> rank
        files = {e["target"] for e in trace.events if e["op"] == "open" and e["result"] >= 0 and e["path"].startswith(work)}
        self.is_io = lambda e: e["result"] >= 0 and (e["path"].startswith(work) or (not e["path"] and e["target"] in files))
        self.threads, self.place = {}, {}
        for event in trace.events:
            calls = self.threads.setdefault(event["thread"], [])
            self.place[event["index"]] = (event["thread"], len(calls))
            calls.append(event)
        self.needs = {}
        for one in dependencies:
            self.needs.setdefault(one["to"]["record"], []).append((one["from"]["record"], one["begun"]))
        self.trace, self.ends = trace, {}

    def begin(self, thread, number):
        return [0] * len(self.ranks) if number == 0 else self.end(thread, number - 1)

    def before(self, thread, number):
        """How many I/O of each rank are over when the call can go on."""
        clock = list(self.begin(thread, number))
        for record, begun in self.needs.get(self.threads[thread][number]["index"], []):
            other = self.begin(*self.place[record]) if begun else self.end(*self.place[record])
            clock = [max(a, b) for a, b in zip(clock, other)]
        return clock

    def end(self, thread, number):
        if (thread, number) not in self.ends:
            clock = self.before(thread, number)
            event = self.threads[thread][number]
            rank = self.ranks.get(self.trace.process(event))
            if rank is not None and self.is_io(event):
                clock[rank] += 1
            self.ends[thread, number] = clock
        return self.ends[thread, number]

    def edges(self):
        needs = [[] for _ in self.ranks]
        for thread, calls in self.threads.items():
            rank = self.ranks.get(self.trace.process(calls[0]))
            if rank is not None:
                needs[rank] += [self.before(thread, i) for i, event in enumerate(calls) if self.is_io(event)]
        return graphs.reduced(needs)


def known(scenario, work, ranks, iterations):
    if scenario in ("tasks", "queue"):
        with open(f"{work}/" + {"tasks": "assignment", "queue": "queue"}[scenario]) as order:
            return getattr(graphs, scenario)(ranks, iterations, [int(line) for line in order])
    return getattr(graphs, scenario)(ranks, iterations)


def waits_of(args, log):
    told = subprocess.run([args.reel, "report", "--waits", "--json", log], capture_output=True, check=True)
    return json.loads(told.stdout)["dependencies"]


def found_waits(args, log):
    """of those by throttling: which threads and calls (records have other numbers in a copy)"""
    return [(one[end]["thread"], one[end]["op"]) for one in waits_of(args, log) if one["why"] == "found" for end in ("from", "to")]


def told_edges(args, log, work, iterations, how):
    """those that reel tells of, and the true ones"""
    trace = Trace(args.reel, log)
    processes = sorted({trace.process(e) for e in trace.events})
    ranks = {process: i for i, process in enumerate(processes[1:])} if args.scenario in FORK_WORKLOADS else trace.rank_of
    wanted = known(args.scenario, work, len(ranks), iterations)
    found = Found(trace, waits_of(args, log), work, ranks).edges()
    if args.scenario == "quake" and found != wanted:
        most = graphs.quake(len(ranks), iterations, senders_wait=True)
        if all(graphs.follows(edge, most) for edge in found) and all(graphs.follows(edge, found) for edge in wanted):
            print(f"{args.scenario}: {len(found - wanted)} edges are of senders of a gather that waited until somebody took what they sent")
            found = wanted
    right = len(found & wanted)
    print(f"{args.scenario}, {how}: {len(wanted)} edges; precision {right / max(len(found), 1):.3f}, recall {right / max(len(wanted), 1):.3f}")
    for edge in sorted(found - wanted)[:10]:
        print("  found and not there:", edge)
    for edge in sorted(wanted - found)[:10]:
        print("  not found:", edge)
    return found, wanted


def is_implied(edge, wanted):
    """One run may see a source a place too early (docs/replay.md): who waits for a step has waited for those before it."""
    source, step, waits, before = edge
    return any((source, later, waits, before) in wanted for later in range(step, step + 3))


def threads_of_ranks(args, log):
    """all but the one that made them"""
    trace = Trace(args.reel, log)
    return sorted({e["thread"] for e in trace.events})[1:]


def compare(args):
    iterations = THROTTLED_ITERATIONS if args.scenario in graphs.INVISIBLE else ITERATIONS
    with tempfile.TemporaryDirectory(prefix="reel-graph.") as top:
        command, flags = command_of(args, iterations)
        work, log = f"{top}/work", f"{top}/log"
        printed = run([args.reel, "record", "-q", *flags, "--via", args.via, "-o", log, "--", *command], work)
        left = tree(work, contents=True)
        found, wanted = told_edges(args, log, work, iterations, "observed")
        if args.via == "bpf":  # it sees who slept until another woke him: nothing of who came last
            return 0 if found and all(graphs.follows(edge, wanted) for edge in found) else 1
        if args.scenario == "relay" and not any(e["op"] == "mutex_unlock" and e["arg2"] == 2 for e in Trace(args.reel, log).events):
            return complain(["a broadcast wakes all that wait, and nobody is told to have been woken in vain"])
        if args.scenario not in graphs.INVISIBLE:
            return 0 if found == wanted else 1
        if found:
            return 1  # what no call shows is not made up, either
        problems = []
        threads = threads_of_ranks(args, log)
        for again, only in enumerate([["--throttle-only", str(thread)] for thread in threads] if args.one_by_one else [[]] * THROTTLED_RUNS):
            throttled = run([args.reel, "record", *flags, "--throttle", log, *only, "--", *command], work)
            problems += [] if throttled == printed else [f"prints {throttled!r} when throttled, {printed!r} else"]
            problems += tree_differences(left, tree(work, contents=True), "recorded", "throttled")
            found, wanted = told_edges(args, log, work, iterations, f"throttled {again + 1} times")
            if found == wanted:
                break
            problems += [] if all(is_implied(edge, wanted) for edge in found) else ["dependencies that are none"]
        problems += [] if found == wanted else ["other dependencies"]
        run([args.reel, "anonymize", log, f"{top}/nobody"], work)
        if found_waits(args, f"{top}/nobody") != found_waits(args, log):
            problems.append("the anonymized log has other dependencies")
        return complain(problems)


def main():
    parser = argparse.ArgumentParser()
    for option in ("reel", "scenario", "ranks", "processes"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--via", default="preload")
    parser.add_argument("--shm", default="", choices=["", "1", "2"], help="what the ranks share: files of /dev/shm, memory of System V")
    parser.add_argument("--one-by-one", action="store_true", help="a throttled run for each thread, as //TRACE has it")
    args = parser.parse_args()
    args.reel, args.odd = os.path.abspath(args.reel), ""
    try:
        need("mpirun")
        if args.via == "bpf" and os.geteuid() != 0:
            raise Missing("bpf needs root")
    except Missing as missing:
        print(f"SKIP: {missing}")
        return SKIP
    # An unlink may return after the next holder's open has: which came first is then not in the trace
    # (docs/guarantees.md, "overlapping calls"), so the queue is given three chances not to overlap.
    for _ in range(3 if args.scenario == "queue" else 1):
        if compare(args) == 0:
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())

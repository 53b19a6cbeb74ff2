#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Parallel programs, alone and recorded: what they print and leave must be the same; in the trace every message must have
been sent and received, collectives be complete, and nothing of MPI's own be there.
Exit code: 0 right, 1 wrong, 77 something that is needed is not installed."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "support")]
from mpi_trace import Trace  # noqa: E402
from programs import SKIP, Missing, need, tree, tree_differences  # noqa: E402

ENVIRONMENT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
               "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_btl": "self,vader", "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
               "OMPI_MCA_orte_abort_on_non_zero_status": "1"}
MPI_WORKLOADS = ["pseudo", "pseudo_sync", "fitness", "quake", "halo", "tasks", "collective", "hdf5"]
FORK_WORKLOADS = ["pipeline", "queue", "polling", "spin", "phases", "gates", "turns", "relay", "board"]
ODD = ["persistent", "some", "wildcards", "communicators", "messages", "collectives", "threads", "children", "window", "neighbours"]
CHANCE = {"tasks", "queue"}  # who does what is chance; so is what they leave
FLAGS = {"pseudo_sync": ["--barrier", "1", "--compute", "200"], "halo": ["--compute", "200"], "spin": ["--compute", "2000"],
         "phases": ["--compute", "2000"], "gates": ["--compute", "2000"], "turns": ["--compute", "500"], "relay": ["--compute", "500"],
         "board": ["--compute", "500"]}


def run(command, work, environment=None, expect=0):
    shutil.rmtree(work, ignore_errors=True)
    os.mkdir(work)
    done = subprocess.run(command, cwd=work, env={**os.environ, **ENVIRONMENT, **(environment or {})}, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    if expect is not None and done.returncode != expect:
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return "".join(sorted(done.stdout.splitlines(keepends=True)))


def complain(problems):
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def launcher_of(args):
    return "mpiexec.mpich" if getattr(args, "mpich", False) else "mpirun"


def command_of(args, iterations=6):
    name = args.scenario
    program = name.replace("pseudo_sync", "pseudo")
    if name in FORK_WORKLOADS:
        shm = ["--shm", args.shm] if getattr(args, "shm", "") else []
        return [args.processes, program, ".", "1000", str(iterations), *FLAGS.get(name, []), *shm], []
    launcher = [launcher_of(args), "-n", "4"]
    if name in MPI_WORKLOADS:
        if name == "hdf5" and not args.hdf5:
            raise Missing("HDF5 for Open MPI (libhdf5-openmpi-dev) is not installed")
        return launcher + [args.hdf5 if name == "hdf5" else args.ranks, program, ".", "1000", str(iterations), *FLAGS.get(name, [])], ["--mpi"]
    if name == "fortran":
        if not args.fortran:
            raise Missing("Fortran for MPI (gfortran, libopenmpi-dev) is not installed")
        return launcher + [args.fortran], ["--mpi"]
    return launcher + [args.odd, name], ["--mpi", *(["--mpi-library", args.mpich_library] if args.mpich_library else [])]


def io_outside(trace, work):
    """calls on files that are neither the program's nor what every program does"""
    # The last two, and ucx.conf: libraries that HDF5 and MPICH bring look for these when they are loaded.
    allowed = (work, "/dev/", "/proc/", "/etc/gnutls/", "/sys/devices/system/node")
    return [f"{e['op']} of {e['path']}" for e in trace.events
            if e["path"] and e["op"] != "exec" and not e["path"].startswith(allowed) and not e["path"].endswith("/ucx.conf")]


def compare(args, top):
    command, flags = command_of(args)
    work, log = f"{top}/work", f"{top}/log"
    output, left = run(command, work), None
    contents = args.scenario not in CHANCE
    left = tree(work, contents)
    recorded = run([args.reel, "record", "-q", *flags, "--via", "preload", "-o", log, "--", *command], work)
    problems = [] if recorded == output else [f"prints {recorded!r} when recorded, {output!r} alone"]
    problems += tree_differences(left, tree(work, contents), "alone", "recorded") if contents else []
    trace = Trace(args.reel, log)
    if not flags:
        return problems
    if trace.ranks != 4:
        problems.append(f"{trace.ranks} ranks were seen")
    problems += trace.problems() + io_outside(trace, work) + more(args.scenario, trace)
    losses = [loss for loss in trace.losses if not (args.scenario == "window" and "locked" in loss)]
    return problems + losses


def count(trace, op, **fields):
    return sum(1 for e in trace.events if e["op"] == op and all(e[k] == v for k, v in fields.items()))


def more(scenario, trace):
    """What a scenario is known to have."""
    expected = {"persistent": [("mpi_isend", 24), ("mpi_irecv", 24), ("mpi_wait", 28)], "wildcards": [("mpi_send", 60), ("mpi_recv", 30), ("mpi_irecv", 30)],
                "threads": [("mpi_send", 400), ("mpi_irecv", 400), ("mpi_wait", 400), ("write", 404)], "children": [("exec", 8), ("wait", 4), ("write", 8)],
                "halo": [("mpi_isend", 48), ("mpi_wait", 24)], "messages": [("mpi_probe", 8)],
                "window": [("mpi_isend", 24), ("mpi_irecv", 24), ("mpi_wait", 24), ("mpi_collective", 20)],
                "neighbours": [("mpi_isend", 28), ("mpi_irecv", 28), ("mpi_wait", 12)],
                "fortran": [("mpi_isend", 24), ("mpi_irecv", 24), ("mpi_wait", 24), ("mpi_send", 3), ("mpi_recv", 3), ("mpi_collective", 40), ("mpi_arrive", 12)]}
    found = []
    for op, number in expected.get(scenario, []):
        if count(trace, op) != number:
            found.append(f"{count(trace, op)} times {op}, expected {number}")
    if scenario == "window" and not any("locked" in loss for loss in trace.losses):
        found.append("does not say that a window was locked")
    if scenario == "messages" and count(trace, "mpi_done", result=-125) != 4:
        found.append("4 requests were cancelled")
    return found


def killed(args, top):
    """A rank is killed, and with it all: the trace is whole up to there."""
    log = f"{top}/log"
    run([args.reel, "record", "-q", "--mpi", "-o", log, "--", "mpirun", "-n", "4", args.odd, "killed"], f"{top}/work", expect=None)
    trace = Trace(args.reel, log)
    problems = [] if trace.ranks == 4 else [f"{trace.ranks} ranks were seen"]
    if count(trace, "mpi_collective", mode=6) < 4 * 15:
        problems.append("collectives are missing")
    if count(trace, "exit") != 4 or "exit" not in trace.facts or trace.facts["exit"] == "0":
        problems.append("does not tell the end")
    return problems


def logs_of_ranks(args, top):
    """Each rank has its reel and its log."""
    run(["mpirun", "-n", "4", args.reel, "record", "-q", "-o", f"{top}/log", "--", args.ranks, "halo", ".", "100", "5"], f"{top}/work")
    problems = []
    for rank in range(4):
        trace = Trace(args.reel, f"{top}/log.{rank}")
        if list(trace.rank_of.values()) != [rank] or count(trace, "mpi_isend") != 10:
            problems.append(f"log.{rank} is not that of rank {rank}")
    return problems + merged(args, top)


def merged(args, top):
    """The logs of the ranks as one trace: it adds up, and no message comes before it was sent."""
    subprocess.run([args.reel, "merge", "-q", f"{top}/whole", *(f"{top}/log.{rank}" for rank in range(4))], check=True)
    trace = Trace(args.reel, f"{top}/whole")
    problems = trace.problems() + trace.losses + ([] if trace.ranks == 4 else [f"{trace.ranks} ranks are in the merged trace"])
    return problems + [f"the message of rank {sent} to rank {to} comes {early} ns before it was sent" for sent, to, early in trace.early_messages()]


def other_mpi(args, top):
    """Recorded with the library that was built for the other MPI: it runs as alone, and the trace says that messages are missing."""
    command = [launcher_of(args), "-n", "4", args.odd, "collectives"]
    work, log = f"{top}/work", f"{top}/log"
    output = run(command, work)
    recorded = run([args.reel, "record", "-q", "--mpi", "-o", log, "--", *command], work)
    problems = [] if recorded == output else [f"prints {recorded!r} when recorded, {output!r} alone"]
    trace = Trace(args.reel, log)
    if not any("another than the one" in loss for loss in trace.losses):
        problems.append(f"does not say that messages are missing: {trace.losses}")
    if any(e["op"].startswith("mpi_") for e in trace.events):
        problems.append("has messages")
    if count(trace, "exit") < 4:
        problems.append("does not have the ranks' ends")
    return problems


def refused(args, top):
    """The library for MPICH cannot hand calls of Open MPI on: it says so, and the program ends."""
    command = [args.reel, "record", "--mpi", "--mpi-library", args.mpich_library, "-o", f"{top}/log", "--", "mpirun", "-n", "2", args.odd, "collectives"]
    done = subprocess.run(command, cwd=top, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    return [] if done.returncode != 0 and "was built for MPICH" in done.stderr else [f"exit code {done.returncode}: {done.stderr}"]


def namespaces(args, top):
    """As logs_of_ranks, with the odd ranks' clocks 1000 s ahead: each pair of parts has been measured."""
    need("unshare")
    if subprocess.run(["unshare", "-T", "--monotonic", "1000", "true"], capture_output=True).returncode != 0:
        raise Missing("time namespaces (root)")
    script = 'case $OMPI_COMM_WORLD_RANK in *[13]) exec unshare -T --fork --monotonic 1000 "$@";; *) exec "$@";; esac'
    run(["mpirun", "-n", "4", "sh", "-c", script, "sh", args.reel, "record", "-q", "-o", f"{top}/log", "--", args.ranks, "halo", ".", "100", "5"], f"{top}/work")
    problems = merged(args, top)
    trace = Trace(args.reel, f"{top}/whole")
    if any(f"mpi.clock.{rank}.{which}" not in trace.facts for rank in (1, 3) for which in (0, 1)):
        problems.append("the clocks were not compared")
    begins = [min(e["time"] for e in events) for events in trace.by_rank.values()]
    if max(begins) - min(begins) > 60:
        problems.append(f"ranks begin at {begins}")
    return problems


def main():
    parser = argparse.ArgumentParser()
    for option in ("reel", "scenario", "ranks", "processes", "odd"):
        parser.add_argument("--" + option, required=True)
    for option in ("hdf5", "fortran"):
        parser.add_argument("--" + option, default="")
    parser.add_argument("--mpich", action="store_true", help="ranks are MPICH's")
    parser.add_argument("--mpich-library", default="", help="the recorder's library for it")
    args = parser.parse_args()
    args.reel = os.path.abspath(args.reel)
    try:
        if (args.mpich or args.scenario == "refused") and not args.mpich_library:
            raise Missing("MPICH (libmpich-dev) was not there when reel was built")
        need(launcher_of(args))
        with tempfile.TemporaryDirectory(prefix="reel-parallel.") as top:
            special = {"killed": killed, "logs_of_ranks": logs_of_ranks, "namespaces": namespaces, "other_mpi": other_mpi,
                       "refused": refused}.get(args.scenario)
            return complain(special(args, top) if special else compare(args, top))
    except Missing as missing:
        print(f"skipped: {missing}")
        return SKIP


if __name__ == "__main__":
    sys.exit(main())
